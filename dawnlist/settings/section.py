"""The base of all sections of settings, and the types of values that several sections share."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
