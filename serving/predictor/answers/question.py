"""A question to the predictor, in the same form for every protocol."""

from dataclasses import dataclass
from typing import Literal

RepeatsChoice = Literal[False, "only"] | None
"""What a question says about items that its user has met: none of them, or no others. None leaves
it to the version."""


@dataclass(frozen=True, slots=True)
class QuestionEvent:
    """An event of the user that came with the question. The model has not been trained on it."""

    item_id: str
    """The item's id in the catalogue; an unknown id is ignored."""
    event_type: str = ""
    """A type of event, such as "view". Empty means "view" or, in a shop without views, the type
    with the smallest weight."""
    time: float | None = None
    """Seconds since 1970 (UTC); None means now."""


@dataclass(slots=True)  # not frozen: creating a frozen instance takes twice as long
class Question:
    """A request for one user's items.

    The protocol has checked types and lengths; the engine checks the rest.
    """

    user_id: str
    """The user's id, which need not be known."""
    k: int | None = None
    """How many items to return. None means 20, or the length of the version's lists if that is
    smaller."""
    exclude: tuple[str, ...] = ()
    """Ids of items that must not be returned."""
    recent: tuple[QuestionEvent, ...] = ()
    """The user's recent events. They replace the events that were recorded in the store."""
    context: tuple[tuple[str, str], ...] = ()
    """Names and values such as ("device", "mobile") and ("country", "DE"). An unknown user gets the
    popular list of the segment that matches them."""
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Item attributes and their allowed values, such as ("genres", ("Drama", "War")). An item has
    to have one of the values of each attribute."""
    where: str = ""
    """A filter expression over the items' columns (docs/FILTERS.md). Empty allows all items."""
    only: tuple[str, ...] | None = None
    """Ids of the only items that may be returned. None allows all items."""
    offset: int = 0
    """How many of the best items to pass over."""
    repeats: RepeatsChoice = None
    """Whether the answer may have items that the user has met. None means that it has them if the
    version's lists do."""
    explain: bool = False
    """Whether the answer names the past items that contributed to each score."""
    given_id: str = ""
    """The user's id as the caller wrote it, which the answer repeats; empty if it is the same."""

    @property
    def is_filtered(self) -> bool:
        """Whether an answer may have only some of the items."""
        return bool(self.filters or self.where or self.only is not None)
