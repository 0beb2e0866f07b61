"""A question for a shelf, in the same form for every protocol."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DEFAULT_SHELF_ITEMS: Final = 20
MAX_SHELF_ITEMS: Final = 500
"""Items of a shelf that can be reached: the offset and the number of items together."""


class ShelfKind(StrEnum):
    """What a shelf holds. Each value is a part of a path."""

    SIMILAR = "similar"
    BOUGHT_TOGETHER = "bought-together"
    TRENDING = "trending"
    POPULAR = "popular"
    CONTINUE = "continue"


class Similarity(StrEnum):
    """By what items are compared."""

    FACTORS = "factors"
    CONTENT = "content"


@dataclass(slots=True)
class ShelfQuestion:
    """A request for a shelf. The protocol has checked types and lengths."""

    kind: ShelfKind
    item_id: str = ""
    """The item that the shelf is about; empty for shelves about everybody or a user."""
    user_id: str = ""
    """The user whose shelf it is; empty for the others."""
    given_id: str = ""
    """The id of the item or the user as the caller wrote it."""
    k: int = DEFAULT_SHELF_ITEMS
    """How many items to return."""
    offset: int = 0
    """How many items of the shelf to pass over."""
    exclude: tuple[str, ...] = ()
    """Ids of items that must not be returned."""
    where: str = ""
    """A filter expression over the items' columns. Empty allows all items."""
    similarity: Similarity | None = None
    """By what items are compared; None takes factors, or content for an item without factors."""
    context: tuple[tuple[str, str], ...] = ()
    """Names and values of a segment, such as ("device", "mobile")."""
