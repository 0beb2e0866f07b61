"""Item-kNN: a user's score of an item is the sum of its similarities to what the user met.

Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms", WWW 2001. An arm without anything to
learn or to tune: tuned neighbours beat many a published model (Ferrari Dacrema et al., "Are We Really Making Much
Progress?", RecSys 2019), so a model of factors has to be better than that.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.arrays import Float32Array, Int64Array
from dawnlist.machine import cpu_cores
from dawnlist.machine.numba_jit import jit
from dawnlist.ranking.entries import LOW_BITS, insert_entry, pack_entry

KNN_NEIGHBOURS: Final = 100
"""Of each item, the most similar."""
MAX_ITEMS_PER_USER: Final = 1000
"""Who met more tells little of what is alike, and costs the square: such users have no say in similarities."""
KNN_BLOCK_USERS: Final = 1024
"""A block of users, ranked by one thread."""


@dataclass(frozen=True)
class ItemKNN:
    """Which items are similar, as numbers of users who met both tell it."""

    similar: csr_matrix
    """Shape (items, items), float32: cosine similarities, NEIGHBOURS a row at most."""

    @classmethod
    def of(cls, user_items: csr_matrix) -> "ItemKNN":
        """Cosine similarity of items by who met them, stored entries count 1; by implicit, on all cores."""
        from implicit.nearest_neighbours import all_pairs_knn

        met = user_items[np.flatnonzero(np.diff(user_items.indptr) <= MAX_ITEMS_PER_USER)]
        users = np.bincount(met.indices, minlength=met.shape[1])
        unit = csr_matrix(
            (1 / np.sqrt(users[met.indices]), met.indices, met.indptr), shape=met.shape
        )
        similar = (
            all_pairs_knn(unit, KNN_NEIGHBOURS, show_progress=False).tocsr().astype(np.float32)
        )
        similar.eliminate_zeros()
        return cls(similar)

    def top_k(self, met: csr_matrix, k: int) -> Int64Array:
        """The k best items beside those that each user met, best first, -1 where fewer are similar to any.

        `met`: (users, items), stored entries count 1. Takes a score for each item and core, however many users.
        """
        nothing, similar = pack_entry(np.float32(0), -1), self.similar
        best = np.full((met.shape[0], k), nothing, dtype=np.int64)

        def rank(start: int) -> None:
            block = slice(start, start + KNN_BLOCK_USERS)
            indptr = met.indptr[start : start + KNN_BLOCK_USERS + 1]
            _rank_block(
                indptr, met.indices, similar.indptr, similar.indices, similar.data, best[block]
            )

        with cpu_cores.open_thread_pool() as pool:
            list(pool.map(rank, range(0, met.shape[0], KNN_BLOCK_USERS)))
        return np.where(best == nothing, -1, ~best & LOW_BITS)


@jit()
def _rank_block(
    indptr: npt.NDArray[np.int32],
    met: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int32],
    neighbours: npt.NDArray[np.int32],
    similarity: Float32Array,
    best: Int64Array,
) -> None:
    """The best of users whose items are `met[indptr[i] : indptr[i + 1]]`; the other arrays are `similar`'s."""
    items = len(rows) - 1
    scores = np.zeros(items, dtype=np.float32)
    touched = np.empty(items, dtype=np.int32)
    for user in range(len(best)):
        count = 0
        for item in met[indptr[user] : indptr[user + 1]]:
            for place in range(rows[item], rows[item + 1]):
                neighbour = neighbours[place]
                if scores[neighbour] == 0:
                    touched[count] = neighbour
                    count += 1
                scores[neighbour] += similarity[place]
        for item in met[indptr[user] : indptr[user + 1]]:
            scores[item] = 0
        for place in range(count):
            item = touched[place]
            entry = pack_entry(scores[item], item)
            if scores[item] > 0 and entry > best[user, -1]:
                insert_entry(best, user, entry)
            scores[item] = 0
