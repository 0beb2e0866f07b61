"""What is asked of the predictor, whatever protocol it came by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuestionEvent:
    """Something the user did that the model has not learnt from yet."""

    item_id: str
    event_type: str = ""
    """Empty: a view or, where the shop has none, what weighs least."""
    time: float | None = None
    """Seconds since 1970, UTC; None: now."""


@dataclass(slots=True)  # not frozen, which makes it twice as slow to make
class Question:
    """One user, and how the answer is wanted; a protocol has checked types and lengths, the engine checks the rest."""

    user_id: str
    k: int | None = None
    """So many items; None: 20, or as many as the lists of the version hold."""
    exclude: tuple[str, ...] = ()
    """Items that must not come back."""
    recent: tuple[QuestionEvent, ...] = ()
    """Takes the place of the events that were recorded for the user."""
    context: tuple[tuple[str, str], ...] = ()
    """Where the user is, such as ("device", "mobile"), ("country", "DE"): an unknown user gets that segment's list."""
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """An item attribute and its values, such as ("genres", ("Drama", "War")): an item needs one value of each."""
    explain: bool = False
    """Whether the answer says which past items speak for each result."""
