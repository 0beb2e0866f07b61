"""What an id of a source is, for the clean step's expressions and for the predictor's requests alike.

Without Ibis, so that the predictor stays light.
"""

import re
from typing import Final

INVISIBLE_CHARACTERS: Final = (
    (0x00, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),
    (0x200B, 0x200B),
    (0x200E, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x2069),
    (0xFEFF, 0xFEFF),
)
"""Ranges of control characters, and of invisible ones that make two ids look alike or reverse a line."""
BLANK_CHARACTERS: Final = (
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
)
"""Ranges of characters that are removed at both ends of a text."""
NULL_SPELLINGS: Final = ("null", "nan", "none", "nil", "n/a", "<na>", "nat", "undefined", r"\n")
"""What sources write for NULL, in lower case."""
WHOLE_FLOAT: Final = r"-?[0-9]+\.0+"
"""An integer that went through a float column."""


def build_character_class(ranges: tuple[tuple[int, int], ...]) -> str:
    """Build the pattern of one character of the ranges, in the syntax of RE2 and of Java."""
    parts = [rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in ranges]
    return f"[{''.join(parts)}]"


def _build_python_class(ranges: tuple[tuple[int, int], ...]) -> str:
    parts = [f"{chr(first)}-{chr(last)}" for first, last in ranges]
    return f"[{''.join(parts)}]"


_INVISIBLE = re.compile(_build_python_class(INVISIBLE_CHARACTERS))
_BLANKS = "".join(chr(code) for first, last in BLANK_CHARACTERS for code in range(first, last + 1))
_WHOLE_FLOAT = re.compile(WHOLE_FLOAT)


def normalise_identifier(text: str) -> str:
    """Read an id as the clean step does: ' 123.0 ' is '123'.

    A text that clean takes for NULL, such as a blank, stays as it is: it is nobody's id.
    """
    cleaned = text
    if not (text.isascii() and text.isprintable()):
        cleaned = _INVISIBLE.sub("", text)
    cleaned = cleaned.strip(_BLANKS)
    if not cleaned or cleaned.lower() in NULL_SPELLINGS:
        return text
    if "." in cleaned and _WHOLE_FLOAT.fullmatch(cleaned):
        return cleaned.partition(".")[0]
    return cleaned
