"""Render pages for people from templates: HTML that all looks alike, and plain text."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_MARKDOWN_CHARACTERS = re.compile(r"([\\`*_\[\]|~])")


def render_page(template: str, **facts: Any) -> str:
    """Render an HTML template; all text in the facts is escaped.

    Args:
        template: A path below dawnlist/, such as `components/notify/page.html`.
        facts: The template's variables.
    """
    environment = _build_environment(autoescape=True)
    return environment.get_template(template).render(**facts)


def render_text(template: str, **facts: Any) -> str:
    """Render a plain text template. Nothing is escaped, because nothing in the text is markup.

    Args:
        template: A path below dawnlist/.
        facts: The template's variables.
    """
    environment = _build_environment(autoescape=False, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template).render(**facts)


def _build_environment(**options: Any) -> Environment:
    return Environment(loader=PackageLoader("dawnlist", "."), undefined=StrictUndefined, **options)


def escape_markdown(text: str) -> str:
    """Escape text for a cell of a Markdown table: the result has no markup and is on one line."""
    line = " ".join(text.split())
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        line = line.replace(character, entity)
    return _MARKDOWN_CHARACTERS.sub(r"\\\1", line)
