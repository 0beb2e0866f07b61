"""The base of all sections of settings, and the types of values that several sections share."""

import re
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator


def wrap_single_value(annotation: Any, value: Any) -> Any:
    """Return a list of one text or number where the annotation is a list, or an object of lists.

    Any other value is returned as it is.
    """
    kind = get_origin(annotation)
    if kind is list and isinstance(value, str | int | float):
        return [value]
    if kind is dict and isinstance(value, dict):
        _, element = get_args(annotation)
        return {name: wrap_single_value(element, inner) for name, inner in value.items()}
    return value


class Section(BaseModel):
    """A section of the settings. Where a list is expected, a text or a number is a list of one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _wrap_single_values(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        wrapped = {}
        for name, value in values.items():
            field = cls.model_fields.get(str(name))
            wrapped[name] = value
            if field is not None:
                wrapped[name] = wrap_single_value(field.annotation, value)
        return wrapped


def _restore_rule_mode(value: object) -> object:
    """Turn YAML's booleans back into words: without quotes, YAML reads on and off as booleans."""
    if value is True:
        return "on"
    if value is False:
        return "off"
    return value


RuleMode = Annotated[Literal["on", "off", "shadow"], BeforeValidator(_restore_rule_mode)]
"""on: the rule drops events; shadow: it reports them and drops nothing; off: it does not run."""


def _check_web_address(url: str) -> str:
    """Check an address that a browser or a client may open; it may be empty."""
    if url and not re.fullmatch(r"https?://[^\s@?#]+", url):
        raise ValueError("give an address that begins with https:// or http://, without a user")
    return url.rstrip("/")


WebAddress = Annotated[str, AfterValidator(_check_web_address)]
"""An address that begins with https:// or http://; it has no user, no password and no query."""
