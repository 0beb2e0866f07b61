"""Normalise emoji: one form for each, whatever skin tone or presentation it was written with.

Variation selectors and skin tones are taken off. Sequences that are one picture stay whole:
families and professions (joined by ZWJ), flags of two letters or of tags, and keycaps.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

import emoji

_DECORATIONS: Final = re.compile("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
"""Variation selectors and skin tones."""
_SKIN_TONE: Final = re.compile("[\U0001f3fb-\U0001f3ff]")


@lru_cache(maxsize=4096)
def find_emoji(text: str) -> str:
    """Return the first emoji of a text in its normal form; empty if it holds none."""
    matches = emoji.emoji_list(unicodedata.normalize("NFC", text))
    if not matches:
        return ""
    return normalise_emoji(matches[0]["emoji"])


def normalise_emoji(sequence: str) -> str:
    """Take variation selectors and skin tones off an emoji. A skin tone alone stays."""
    normal = _DECORATIONS.sub("", sequence)
    if not normal:
        return sequence
    return normal


@lru_cache(maxsize=4096)
def name_emoji(sequence: str) -> str:
    """Return the name of an emoji in its normal form, such as thumbs_up; empty if it has none."""
    full_form = _FULL_FORMS.get(sequence)
    if full_form is None:
        return ""
    return emoji.demojize(full_form).strip(":")


def _collect_full_forms() -> dict[str, str]:
    """Map normal forms to the sequences by which Unicode names them, those without a skin tone."""
    forms: dict[str, str] = {}
    for sequence, data in emoji.EMOJI_DATA.items():
        has_tone = _SKIN_TONE.search(sequence) is not None
        if data["status"] == emoji.STATUS["fully_qualified"] and not has_tone:
            forms.setdefault(normalise_emoji(sequence), sequence)
    return forms


_FULL_FORMS: Final = _collect_full_forms()
