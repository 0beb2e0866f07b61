"""Describe values that somebody sent or wrote: short, without passwords, whatever they are."""

import reprlib
from typing import Any, Final

from dawnlist.urls import mask_passwords

MAX_DESCRIPTION: Final = 200
"""Characters of a description; a longer one is cut."""
MAX_LEVELS: Final = 2
"""Levels of nested lists and objects that a description shows; "..." stands for deeper ones."""
MAX_ELEMENTS: Final = 4
"""Elements of each list or object that a description shows."""
MAX_INTEGER_BITS: Final = 200
"""A longer integer is described by its length. Python refuses to write one of 4,301 digits."""


class _ShortRepr(reprlib.Repr):
    """Python's repr, of which the time and the length don't depend on how large the value is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = MAX_LEVELS
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = MAX_ELEMENTS
        self.maxother = MAX_DESCRIPTION

    def repr_str(self, x: str, level: int) -> str:
        """Describe a text. It is masked before it is cut, since half a password shows no sign."""
        return repr(cut_text(mask_passwords(x), MAX_DESCRIPTION))

    def repr_bytes(self, x: bytes, level: int) -> str:
        """Describe bytes by their beginning."""
        return repr(x[:MAX_DESCRIPTION])

    def repr_int(self, x: int, level: int) -> str:
        """Describe an integer."""
        bits = x.bit_length()
        if bits > MAX_INTEGER_BITS:
            return f"an integer of {bits} bits"
        return repr(x)


_SHORT_REPR: Final = _ShortRepr()


def describe_value(value: Any) -> str:
    """Return a value as Python writes it, in at most MAX_DESCRIPTION characters.

    Passwords in texts are masked. Deep levels and most elements of a large value are left out, so
    that a value that is nested a thousand deep, or refers to itself, is no problem.
    """
    return cut_text(_SHORT_REPR.repr(value), MAX_DESCRIPTION)


def cut_text(text: str, length: int) -> str:
    """Return a text, or its beginning with "..." if it is longer than `length` characters."""
    if len(text) <= length:
        return text
    return text[: length - 3] + "..."
