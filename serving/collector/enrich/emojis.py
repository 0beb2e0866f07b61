"""Normalise emoji: one form for each, whatever skin tone or presentation it was written with.

Variation selectors and skin tones are taken off. Sequences that are one picture stay whole:
families and professions (joined by ZWJ), flags of two letters or of tags, and keycaps. Unicode
writes couples of two skin tones as two people, and couples without a tone as one sign: both have
the form of the sign.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

import emoji

_DECORATIONS: Final = re.compile("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
"""Variation selectors and skin tones."""
_SKIN_TONE: Final = re.compile("[\U0001f3fb-\U0001f3ff]")
_TONES_IN_NAME: Final = re.compile("(_person_person)?(_(medium-)?(light|medium|dark)_skin_tone)+")
"""What the name of an emoji with skin tones has more than the name of the one without."""


@lru_cache(maxsize=4096)
def find_emoji(text: str) -> str:
    """Return the first emoji of a text in its normal form; empty if it holds none."""
    matches = emoji.emoji_list(unicodedata.normalize("NFC", text))
    if not matches:
        return ""
    return normalise_emoji(matches[0]["emoji"])


def normalise_emoji(sequence: str) -> str:
    """Take variation selectors and skin tones off an emoji. A skin tone alone stays."""
    normal = _strip_decorations(sequence)
    return _SIGNS_OF_COUPLES.get(normal, normal)


def _strip_decorations(sequence: str) -> str:
    """Take variation selectors and skin tones off, unless nothing else is there."""
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
            forms.setdefault(_strip_decorations(sequence), sequence)
    return forms


def _collect_signs_of_couples() -> dict[str, str]:
    """Map couples whose people are written one by one to the emoji that has the same name."""
    forms_by_name: dict[str, str] = {}
    for form, sequence in _FULL_FORMS.items():
        forms_by_name[emoji.EMOJI_DATA[sequence]["en"]] = form
    signs: dict[str, str] = {}
    for sequence, data in emoji.EMOJI_DATA.items():
        form = _strip_decorations(sequence)
        toneless_name = _TONES_IN_NAME.sub("", data["en"])
        if form not in _FULL_FORMS and toneless_name in forms_by_name:
            signs[form] = forms_by_name[toneless_name]
    return signs


_FULL_FORMS: Final = _collect_full_forms()
_SIGNS_OF_COUPLES: Final = _collect_signs_of_couples()
