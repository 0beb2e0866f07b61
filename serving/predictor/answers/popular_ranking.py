"""A popular list: the items for users of whom nothing is known."""

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

import numpy as np

from dawnlist.arrays import BoolArray, Float32Array, Int64Array, PopularItems
from dawnlist.serving.predictor.answers.recommendation import ScoredItems


@dataclass(frozen=True, eq=False)
class PopularRanking:
    """A list for many users, best first."""

    items: list[int]
    """Item rows, best first."""
    scores: list[float]
    """A score for each item."""
    overflow: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Item rows that follow where filters, hidden items or a large k use the list up."""
    overflow_scores: Float32Array = field(default_factory=lambda: np.zeros(0, np.float32))
    """A score for each item of the overflow."""

    @classmethod
    def from_bias(cls, popular: PopularItems, bias: Float32Array) -> "PopularRanking":
        """Build a list that continues with all other items of positive bias, the largest first."""
        items, scores = popular
        overflow = np.setdiff1d(np.flatnonzero(bias > 0), items)
        overflow = overflow[np.argsort(-bias[overflow], kind="stable")]
        return cls(items.tolist(), scores.tolist(), overflow, bias[overflow])

    def select(self, allowed: BoolArray) -> "PopularRanking":
        """Return the list of only those items that are allowed; `allowed` has shape (items,)."""
        items = np.array(self.items, dtype=np.int64)
        is_allowed = allowed[items]
        overflow_allowed = allowed[self.overflow]
        scores = np.array(self.scores)[is_allowed]
        return PopularRanking(
            items[is_allowed].tolist(),
            scores.tolist(),
            self.overflow[overflow_allowed],
            self.overflow_scores[overflow_allowed],
        )

    def select_best(self, k: int, hidden: Set[int], mask: BoolArray | None) -> ScoredItems:
        """Return the first k items that are not hidden and that the mask, if any, allows."""
        if mask is None and not hidden and len(self.items) >= k:
            return self.items[:k], self.scores[:k]
        items: list[int] = []
        scores: list[float] = []
        for item, score in zip(self.items, self.scores, strict=True):
            if item not in hidden and (mask is None or mask[item]):
                items.append(item)
                scores.append(score)
                if len(items) == k:
                    return items, scores
        # One by one: few are needed, and the overflow may have a hundred thousand items.
        for position in self._list_overflow_positions(mask):
            item = int(self.overflow[position])
            if item not in hidden:
                items.append(item)
                scores.append(float(self.overflow_scores[position]))
                if len(items) == k:
                    break
        return items, scores

    def _list_overflow_positions(self, mask: BoolArray | None) -> Iterable[int]:
        """Return the positions in the overflow of the items that the mask allows."""
        if mask is None:
            return range(len(self.overflow))
        positions: Iterable[int] = np.flatnonzero(mask[self.overflow])
        return positions
