"""Read moods: an emoji or a name becomes a mood of the shop's table, with a signed weight."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dawnlist.serving.collector.enrich.emojis import find_emoji, name_emoji

USUAL_MOODS: Final[Mapping[str, float]] = {
    # Names.
    "love": 3.0,
    "like": 2.0,
    "laugh": 2.0,
    "wow": 1.0,
    "neutral": 0.0,
    "bored": -1.0,
    "dislike": -2.0,
    "angry": -2.0,
    # Emoji, in their normal forms.
    "😍": 3.0,
    "🥰": 3.0,
    "🤩": 3.0,
    "❤": 3.0,
    "💯": 3.0,
    "🔥": 2.0,
    "👍": 2.0,
    "👏": 2.0,
    "😂": 2.0,
    "🤣": 2.0,
    "🎉": 2.0,
    "😀": 1.0,
    "😄": 1.0,
    "😊": 1.0,
    "🙂": 1.0,
    "😮": 1.0,
    "😐": 0.0,
    "🤔": 0.0,
    "😕": -1.0,
    "🥱": -1.0,
    "😴": -1.0,
    "👎": -2.0,
    "😒": -2.0,
    "😠": -2.0,
    "😡": -3.0,
    "🤢": -3.0,
    "🤮": -3.0,
    "💩": -3.0,
}
"""The moods that every shop has, and their weights; a view weighs 1. Sad faces are in none: a sad
film may be a good one."""


@dataclass(frozen=True, slots=True)
class Mood:
    """What somebody felt."""

    emoji: str
    """The emoji in its normal form; empty if a name was sent."""
    name: str
    """The name of the mood or of the emoji; empty if it has none."""
    weight: float | None
    """How much they liked it, negative for a dislike; None if the table has no such mood."""


class MoodTable:
    """The moods of a shop."""

    def __init__(self, moods: Mapping[str, float]) -> None:
        """Add the shop's own moods to the usual ones; the shop's win."""
        self._weights: dict[str, float] = {}
        for text, weight in {**USUAL_MOODS, **moods}.items():
            self._weights[_normalise_mood(text)] = weight

    def read_mood(self, text: str) -> Mood:
        """Read an emoji or a name. The first emoji of a text counts."""
        found_emoji = find_emoji(text)
        if found_emoji:
            return Mood(found_emoji, name_emoji(found_emoji), self._weights.get(found_emoji))
        name = _normalise_mood(text)
        return Mood("", name, self._weights.get(name))


def _normalise_mood(text: str) -> str:
    """Return an emoji's normal form, or a name in lower case without colons."""
    return find_emoji(text) or text.strip().strip(":").strip().lower()
