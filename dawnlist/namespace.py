"""The namespace: a shop's name, which begins every path in the lake and every key in the store."""

import re
from typing import Final

_NAMESPACE_PATTERN: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def check_namespace(text: str) -> str:
    """Return the namespace unchanged.

    Raises:
        ValueError: the text could lead to another shop's paths or keys.
    """
    if not _NAMESPACE_PATTERN.fullmatch(text):
        raise ValueError(
            f"namespace {text!r} is not usable in paths and keys: "
            "give 1 to 40 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
        )
    return text
