"""Item-kNN: a user's score of an item is the sum of its similarities to what the user met.

Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms", WWW 2001. This arm
has nothing to learn or to tune. Tuned neighbours are better than many published models (Ferrari
Dacrema et al., "Are We Really Making Much Progress?", RecSys 2019), so a model of factors has to
be better than item-kNN.
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
"""The number of most similar items that are kept of each item."""
MAX_ITEMS_PER_USER: Final = 1000
"""Users who met more items do not count for similarities.

They tell little about what is similar, and take time in the square of their items.
"""
KNN_BLOCK_USERS: Final = 1024
"""A thread ranks this many users at a time."""


@dataclass(frozen=True)
class ItemKNN:
    """The similarities of items, from the numbers of users who met both."""

    similar: csr_matrix
    """Shape (items, items), float32: cosine similarities, at most KNN_NEIGHBOURS in a row."""

    @classmethod
    def from_interactions(cls, user_items: csr_matrix) -> "ItemKNN":
        """Compute the cosine similarities of items by the users who met them.

        Stored entries count as 1. The library implicit computes them on all cores.
        """
        from implicit.nearest_neighbours import all_pairs_knn

        item_counts = np.diff(user_items.indptr)
        met = user_items[np.flatnonzero(item_counts <= MAX_ITEMS_PER_USER)]
        user_counts = np.bincount(met.indices, minlength=met.shape[1])
        weights = 1 / np.sqrt(user_counts[met.indices])
        unit = csr_matrix((weights, met.indices, met.indptr), shape=met.shape)
        neighbours = all_pairs_knn(unit, KNN_NEIGHBOURS, show_progress=False)
        similar = neighbours.tocsr().astype(np.float32)
        similar.eliminate_zeros()
        return cls(similar)

    def top_k(self, met: csr_matrix, k: int) -> Int64Array:
        """Return the k best items of each user, best first, without those that the user met.

        Where fewer items are similar to any that the user met, the list ends with -1. Each core
        needs memory for one score of each item, however many users there are.

        Args:
            met: Shape (users, items). Stored entries count as 1.
        """
        similar = self.similar
        empty_entry = pack_entry(np.float32(0), -1)
        best = np.full((met.shape[0], k), empty_entry, dtype=np.int64)

        def rank_users(start: int) -> None:
            block = slice(start, start + KNN_BLOCK_USERS)
            indptr = met.indptr[start : start + KNN_BLOCK_USERS + 1]
            _rank_block(
                indptr, met.indices, similar.indptr, similar.indices, similar.data, best[block]
            )

        with cpu_cores.open_thread_pool() as pool:
            list(pool.map(rank_users, range(0, met.shape[0], KNN_BLOCK_USERS)))
        return np.where(best == empty_entry, -1, ~best & LOW_BITS)


@jit()
def _rank_block(
    indptr: npt.NDArray[np.int32],
    met: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int32],
    neighbours: npt.NDArray[np.int32],
    similarity: Float32Array,
    best: Int64Array,
) -> None:
    """Write the best items of each user to `best`.

    The items of user i are `met[indptr[i] : indptr[i + 1]]`. The arrays `rows`, `neighbours` and
    `similarity` are those of the matrix of similarities.
    """
    items = len(rows) - 1
    scores = np.zeros(items, dtype=np.float32)
    touched = np.empty(items, dtype=np.int32)
    for user in range(len(best)):
        count = 0
        for item in met[indptr[user] : indptr[user + 1]]:
            for entry_index in range(rows[item], rows[item + 1]):
                neighbour = neighbours[entry_index]
                if scores[neighbour] == 0:
                    touched[count] = neighbour
                    count += 1
                scores[neighbour] += similarity[entry_index]
        for item in met[indptr[user] : indptr[user + 1]]:
            scores[item] = 0
        for touched_index in range(count):
            item = touched[touched_index]
            entry = pack_entry(scores[item], item)
            if scores[item] > 0 and entry > best[user, -1]:
                insert_entry(best, user, entry)
            scores[item] = 0
