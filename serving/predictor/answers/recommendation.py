"""The engine's answer to one question, with items as rows of the catalogue."""

from dataclasses import dataclass

ScoredItems = tuple[list[int], list[float]]
"""Item rows, best first, and their scores."""

ItemReasons = list[tuple[int, float]]
"""Past items of the user by row, and what each adds to one item's score, the largest first."""


@dataclass(slots=True)
class Recommendation:
    """An answer whose items are rows of the catalogue."""

    tier: str
    """The rung of the ladder that gave the answer."""
    items: list[int]
    """Item rows, best first."""
    scores: list[float]
    """A score for each item."""
    because: list[ItemReasons] | None = None
    """The reasons for each item; None unless the question asked for them."""
    id: str = ""
    """The id of the answer, by which events refer to it; empty if answers are not logged."""

    def pass_over(self, items: int) -> "Recommendation":
        """Return the answer without its first items."""
        if not items:
            return self
        because = None
        if self.because is not None:
            because = self.because[items:]
        return Recommendation(self.tier, self.items[items:], self.scores[items:], because, self.id)
