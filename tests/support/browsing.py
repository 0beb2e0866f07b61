"""What a browser would fetch to show a page, told from its HTML: nothing, if it is to open without a network."""

import re
from html.parser import HTMLParser

LOADING = {"src", "srcset", "poster", "data", "background", "xlink:href"}
IN_STYLE = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            link = name == "href" and tag in ("link", "base", "image", "use")
            refresh = name == "content" and re.match(r"\d+\s*;", value or "")
            if name in LOADING or link or refresh:
                self.found.append(value or "")
            elif name == "style":
                self.handle_data(value or "")

    def handle_data(self, data: str) -> None:
        self.found += [one or other for one, other in IN_STYLE.findall(data)]


def fetched(html: str) -> list[str]:
    """Addresses that the page loads, but for what it brings along itself; a link that is to be clicked is none."""
    page = _Page()
    page.feed(html)
    page.close()
    return [address for address in page.found if not address.startswith(("data:", "#"))]
