"""HTML pages for people: one look, and all text of any origin comes out escaped."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_MARKDOWN = re.compile(r"([\\`*_\[\]|~])")


def rendered(template: str, **facts: Any) -> str:
    """The page that a template below components/, such as `notify/page.html`, makes of the facts."""
    environment = Environment(loader=PackageLoader("components", "."), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(template).render(**facts)


def as_markdown(text: str) -> str:
    """Text as it stands in a Markdown table cell: no markup of any kind, on one line."""
    line = " ".join(text.split())
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        line = line.replace(char, entity)
    return _MARKDOWN.sub(r"\\\1", line)
