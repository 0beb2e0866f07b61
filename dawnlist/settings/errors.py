"""Explain the errors of a validation on one line."""

from collections.abc import Callable
from typing import Any, Final

from pydantic import ValidationError

from dawnlist.values import MAX_DESCRIPTION, cut_text, describe_value

UNKNOWN_SETTING: Final = "there is no such name"
MAX_EXPLAINED_ERRORS: Final = 20
"""Errors in settings that a message explains; it gives the number of the others."""
MAX_RULE: Final = 600
"""Characters of a broken rule in a message; a longer one is cut."""


def _add_nothing(details: Any) -> str:
    """Return no text to follow an error."""
    return ""


def explain_validation_errors(
    error: ValidationError, build_suffix: Callable[[Any], str] = _add_nothing
) -> str:
    """Explain the first of pydantic's errors on one line, and say how many more there are.

    `build_suffix` returns what is to follow each error.
    """
    all_details = error.errors()
    explanations = []
    for details in all_details[:MAX_EXPLAINED_ERRORS]:
        explanations.append(_explain_error(details) + build_suffix(details))
    more = len(all_details) - len(explanations)
    if more:
        explanations.append(f"and {more} more")
    return "; ".join(explanations)


def _explain_error(details: Any) -> str:
    """Explain one of pydantic's errors: the setting's name, its value and the broken rule."""
    name = ".".join(map(str, details["loc"])) or "the document"
    rule = details["msg"]
    if details["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        rule = UNKNOWN_SETTING
    value = describe_value(details["input"])
    return f"{cut_text(name, MAX_DESCRIPTION)} is {value}: {cut_text(rule, MAX_RULE)}"
