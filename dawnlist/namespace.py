"""The namespace: one shop's name, a prefix on every path of the lake and every key of the store."""

import re
from typing import Final

_NAMESPACE_PATTERN: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def check_namespace(text: str) -> str:
    """The namespace, unchanged; ValueError when it would break out of its prefix."""
    if not _NAMESPACE_PATTERN.fullmatch(text):
        raise ValueError(
            f"namespace {text!r} is not usable in paths and keys: "
            "give 1 to 40 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
        )
    return text
