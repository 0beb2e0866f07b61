"""Which items the same people meet more often than chance would have it.

For two items, c is the number of people who met both, and e the number that chance gives: the product
of the two numbers of people, divided by the number of all people. The lift is c / e. Its logarithm
has the standard error sqrt(1/c + 1/a + 1/b), a and b being the people of each item, so its lower bound
at 95% is log(c / e) - 1.96 sqrt(1/c + 1/a + 1/b). Pairs whose lower bound is not above 0 may be chance
and are left out. The score is c times the lower bound: among pairs that chance does not explain, those
that many people share come first (docs/SHELVES.md has the measurements).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.arrays import Float32Array, Float64Array, Int64Array

NEIGHBOURS: Final = 50
"""The most associated items that are kept of each item."""
MAX_ITEMS_PER_USER: Final = 500
"""People who met more items tell little about what belongs together, and take time in the square."""
NORMAL_QUANTILE: Final = 1.96
"""Of a two-sided interval of 95%."""
BLOCK_ITEMS: Final = 1_000
"""Items whose neighbours are counted at a time, which bounds the memory."""


@dataclass(frozen=True)
class Associations:
    """The associated items of each item, the strongest first."""

    indptr: Int64Array
    """Shape (items + 1,): item i has the neighbours [indptr[i], indptr[i + 1])."""
    items: Int64Array
    """Item indices, shape (pairs,)."""
    scores: Float32Array
    """A score of each pair, shape (pairs,)."""


def associate_items(user_items: csr_matrix) -> Associations:
    """Find the associated items of each item.

    Args:
        user_items: What each person met, shape (users, items); each stored entry counts as 1.
    """
    lengths = np.diff(user_items.indptr)
    counted = user_items[np.flatnonzero((lengths > 0) & (lengths <= MAX_ITEMS_PER_USER))]
    met = csr_matrix(
        (np.ones(counted.nnz, np.float32), counted.indices, counted.indptr), counted.shape
    )
    people = np.bincount(met.indices, minlength=met.shape[1]).astype(np.float64)
    by_item = met.T.tocsr()
    neighbours: list[Int64Array] = []
    scores: list[Float32Array] = []
    for begin in range(0, met.shape[1], BLOCK_ITEMS):
        together = (by_item[begin : begin + BLOCK_ITEMS] @ met).tocsr()
        for row in range(together.shape[0]):
            pairs = slice(together.indptr[row], together.indptr[row + 1])
            counts = together.data[pairs]
            best_items, best_scores = _rank_neighbours(
                begin + row, together.indices[pairs], counts, people, met.shape[0]
            )
            neighbours.append(best_items)
            scores.append(best_scores)
    indptr = np.cumsum([0, *(len(items) for items in neighbours)], dtype=np.int64)
    return Associations(
        indptr,
        np.concatenate([np.zeros(0, np.int64), *neighbours]),
        np.concatenate([np.zeros(0, np.float32), *scores]),
    )


def _rank_neighbours(
    item: int,
    neighbours: Int64Array,
    counts: Float32Array,
    people: Float64Array,
    all_people: int,
) -> tuple[Int64Array, Float32Array]:
    """Return an item's associated items and their scores, the strongest first."""
    is_other = neighbours != item
    neighbours, both = neighbours[is_other], counts[is_other].astype(np.float64)
    if not len(neighbours):
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    lift = both * all_people / (people[item] * people[neighbours])
    error = np.sqrt(1 / both + 1 / people[item] + 1 / people[neighbours])
    lower_bound = np.log(lift) - NORMAL_QUANTILE * error
    is_associated = lower_bound > 0
    neighbours = neighbours[is_associated].astype(np.int64)
    scores = (both * lower_bound)[is_associated].astype(np.float32)
    # Of equal scores the smaller index comes first.
    order = np.lexsort((neighbours, -scores))[:NEIGHBOURS]
    return neighbours[order], scores[order]
