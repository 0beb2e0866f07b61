"""Repeats: how much a user's own items add to their scores.

    f(u, i) = sqrt(w_ui) 2^(-age_ui / half_life)
    r(u, i) = f(u, i) min(1, (age_ui + 1/2) / (PAUSE_SHARE gap))
    own(u, i) = repeat_share r(u, i) / (the sum of u's twenty largest f / 20)

w_ui is the sum of the event weights of the pair, age_ui the days since its last event, and gap the
days after which people of this shop usually meet an item again. So what was met often and not long
ago comes first, and what was met just now waits for a part of the gap. The form follows the
frequencies of TIFU-KNN (Hu et al., "Modeling Personalized Item Frequency Information for
Next-basket Recommendation", SIGIR 2020) and UP-CF (Faggioli et al., "Recency Aware Collaborative
Filtering for Next Basket Recommendation", UMAP 2020). docs/REPEATS.md has the measurements.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Float32Array, Float64Array, Int64Array, RankedLists
from dawnlist.model.user_items import UserItems

RepeatMode = Literal["auto", "on", "off"]
"""Whether lists may hold items that the user has met; with auto the search decides."""
MAX_OWN_ITEMS: Final = 200
"""Only this many of a user's items, those that were met last, can be repeated."""
NORMALISED_ITEMS: Final = 20
"""The sum of this many of a user's largest values is the same for every user."""
PAUSE_SHARE: Final = 0.25
"""After this share of the shop's gap an item counts in full again."""
HALF_DAY: Final = 0.5
"""An item that was met just now is half a day old at the middle of the day that lists are for."""
DEFAULT_HALF_LIFE: Final = 90.0
"""The half-life for a model of an older release, which has no repeats of its own."""
DEFAULT_GAP: Final = 1.0
"""Days between repeats where a shop has none."""


@dataclass(frozen=True)
class RepeatSettings:
    """What own(u, i) depends on beside the pairs."""

    share: float
    """repeat_share; 0 means that lists hold no items that the user has met."""
    half_life: float
    """Days after which a pair counts half."""
    gap: float
    """Days after which people of this shop usually meet an item again."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "RepeatSettings":
        """Read the config of a model; one of an older release has no repeats."""
        return cls(
            float(config.get("repeat_share", 0.0)),
            float(config.get("repeat_half_life", DEFAULT_HALF_LIFE)),
            float(config.get("repeat_gap", DEFAULT_GAP)),
        )

    def compute_frequency(self, weight: Float64Array, age: Float64Array) -> Float64Array:
        """Compute f of each pair, shape (pairs,)."""
        values = np.sqrt(np.maximum(weight, 0.0)) * np.exp2(-age / self.half_life)
        return np.asarray(values, dtype=np.float64)

    def compute_readiness(self, age: Float64Array) -> Float64Array:
        """Compute r / f of each pair, shape (pairs,): below 1 for what was met just now."""
        pause = max(PAUSE_SHARE * self.gap, HALF_DAY)
        return np.asarray(np.minimum(1.0, (age + HALF_DAY) / pause), dtype=np.float64)

    def score_own_items(self, weight: Float64Array, age: Float64Array) -> Float64Array:
        """Compute own(u, i) of one user's pairs, shape (pairs,); all 0 with a share of 0."""
        frequency = self.compute_frequency(weight, age)
        largest = np.sort(frequency)[-NORMALISED_ITEMS:].sum() / NORMALISED_ITEMS
        if largest <= 0.0:
            return np.zeros(len(frequency))
        return np.asarray(self.share * frequency * self.compute_readiness(age) / largest)

    def score_all_own_items(self, history: UserItems) -> csr_matrix:
        """Compute own(u, i) of all users, shape (users, items), in float32.

        It has an entry for each of the pairs that can be repeated, see MAX_OWN_ITEMS.
        """
        weight = history.weight
        lengths = np.diff(weight.indptr)
        rows = np.repeat(np.arange(weight.shape[0]), lengths)
        # A disliked item can't be repeated, and takes no place among those that can.
        is_disliked = weight.data < 0.0
        is_own = mark_newest(rows, np.where(is_disliked, np.float32(np.inf), history.age))
        is_own &= ~is_disliked
        rows, columns = rows[is_own], weight.indices[is_own]
        ages = history.age[is_own].astype(np.float64)
        frequency = self.compute_frequency(weight.data[is_own].astype(np.float64), ages)
        order = np.lexsort((-frequency, rows))
        is_large = _count_positions(rows[order]) < NORMALISED_ITEMS
        sums = np.bincount(
            rows[order][is_large], weights=frequency[order][is_large], minlength=weight.shape[0]
        )
        largest = sums / NORMALISED_ITEMS
        largest[largest <= 0.0] = 1.0
        own = self.share * frequency * self.compute_readiness(ages) / largest[rows]
        values = own.astype(np.float32)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=weight.shape[0]))])
        return csr_matrix((values, columns, indptr), shape=weight.shape)


def mark_newest(rows: Int64Array, age: Float32Array) -> BoolArray:
    """Mark the MAX_OWN_ITEMS pairs of each user that were met last.

    Args:
        rows: The user of each pair, ascending.
        age: Days since the last event of each pair. Of equal ages the first pair comes first.

    Returns:
        A mask, shape (pairs,).
    """
    is_newest = np.ones(len(rows), dtype=bool)
    if not len(rows) or np.bincount(rows).max() <= MAX_OWN_ITEMS:
        return is_newest
    order = np.lexsort((age, rows))
    is_newest[order] = _count_positions(rows[order]) < MAX_OWN_ITEMS
    return is_newest


def _count_positions(rows: Int64Array) -> Int64Array:
    """Count the position of each entry among those of its row; `rows` ascends."""
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    lengths = np.diff(np.append(starts, len(rows)))
    return np.asarray(np.arange(len(rows)) - np.repeat(starts, lengths))


def merge_own_items(lists: RankedLists, own: csr_matrix, k: int) -> RankedLists:
    """Merge own items into lists that do not hold them, and keep the k best.

    Args:
        lists: Item indices, -1 beyond the end of a list, and scores, both of shape (users, k).
        own: The scores of own items, shape (users, items).
        k: The length of a list.

    Returns:
        Item indices and scores, shape (users, k), best first. Of equal scores the smaller index
        comes first.
    """
    listed_items, listed_scores = lists
    users = len(listed_items)
    listed_rows, listed_ranks = np.nonzero(listed_items >= 0)
    rows = np.concatenate([listed_rows, np.repeat(np.arange(users), np.diff(own.indptr))])
    items = np.concatenate([listed_items[listed_rows, listed_ranks], own.indices])
    scores = np.concatenate([listed_scores[listed_rows, listed_ranks], own.data])
    order = np.lexsort((items, -scores, rows))
    rows, items, scores = rows[order], items[order], scores[order]
    positions = _count_positions(rows)
    is_kept = positions < k
    merged_items: npt.NDArray[np.int64] = np.full((users, k), -1, dtype=np.int64)
    merged_scores = np.zeros((users, k), dtype=np.float32)
    merged_items[rows[is_kept], positions[is_kept]] = items[is_kept]
    merged_scores[rows[is_kept], positions[is_kept]] = scores[is_kept]
    return merged_items, merged_scores
