"""Types of events that have a meaning of their own."""

from typing import Final

ALIAS_TYPE: Final = "alias"
"""The type of the event that joins an anonymous id to a user."""
MOOD_TYPE: Final = "mood"
"""The type of the event that says what somebody felt about an item."""
LIKE_TYPE: Final = "like"
"""A mood of positive weight counts like an event of this type."""
