"""HTML pages for people: one look, and all text of any origin comes out escaped."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def rendered(template: str, **facts: Any) -> str:
    """The page that a template below components/, such as `notify/page.html`, makes of the facts."""
    environment = Environment(loader=PackageLoader("components", "."), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(template).render(**facts)
