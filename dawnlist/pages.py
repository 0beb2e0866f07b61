"""Pages for people: HTML of one look, in which all text of any origin comes out escaped, and plain text."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_MARKDOWN_CHARACTERS = re.compile(r"([\\`*_\[\]|~])")


def render_page(template: str, **facts: Any) -> str:
    """The page that a template below dawnlist/, such as `components/notify/page.html`, makes of the facts."""
    return _build_environment(autoescape=True).get_template(template).render(**facts)


def render_text(template: str, **facts: Any) -> str:
    """The plain text that a template makes of the facts, in which nothing is markup, so nothing is escaped."""
    return (
        _build_environment(autoescape=False, trim_blocks=True, lstrip_blocks=True)
        .get_template(template)
        .render(**facts)
    )


def _build_environment(**options: Any) -> Environment:
    return Environment(loader=PackageLoader("dawnlist", "."), undefined=StrictUndefined, **options)


def escape_markdown(text: str) -> str:
    """Text as it stands in a Markdown table cell: no markup of any kind, on one line."""
    line = " ".join(text.split())
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        line = line.replace(char, entity)
    return _MARKDOWN_CHARACTERS.sub(r"\\\1", line)
