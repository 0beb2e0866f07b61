"""Turn users into newcomers, who have just met their newest one to three items and nothing else.

They show what content is worth for new users, since few of a day's users have so short a history.
Newcomers are made of users with short histories. A user with a long one has met most of what is
similar to the newest items, so lists made from these could not hit it any more.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.arrays import Float32Array
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.fold_in import NO_PAIRS, FoldIn, UserPairs

MAX_NEWCOMER_HISTORY: Final = 10
"""Newcomers are made of users who met at most this many items."""
MAX_NEWCOMER_ITEMS: Final = 3
"""The first user keeps one item, the second two, the third three, the fourth one again."""


@dataclass(frozen=True)
class Newcomers:
    """The items that each newcomer met, all of them just now."""

    index: npt.NDArray[np.int64]
    """Shape (users, MAX_NEWCOMER_ITEMS): item indices, the newest first."""
    weight: npt.NDArray[np.float32]
    """Weights of these items; 0 in the columns that a user does not use."""
    met: npt.NDArray[np.int64]
    """Shape (users,): the number of columns that each user uses."""

    @classmethod
    def from_users(
        cls, user_items: UserItems, users: npt.NDArray[np.int64], most: int = 0
    ) -> "Newcomers":
        """Make newcomers of users who each met at least one item.

        Each user keeps the newest `most` items; with 0 one, two or three in turn.
        """
        matrix, age = user_items.weight, user_items.age
        index = np.zeros((len(users), MAX_NEWCOMER_ITEMS), np.int64)
        weight = np.zeros((len(users), MAX_NEWCOMER_ITEMS), np.float32)
        met = np.zeros(len(users), np.int64)
        for number, user in enumerate(users):
            count = most if most else 1 + number % MAX_NEWCOMER_ITEMS
            entries = np.arange(matrix.indptr[user], matrix.indptr[user + 1])
            newest = entries[np.argsort(age[entries], kind="stable")][:count]
            met[number] = len(newest)
            index[number, : len(newest)] = matrix.indices[newest]
            weight[number, : len(newest)] = matrix.data[newest]
        return cls(index, weight, met)

    def slice(self, first: int, last: int) -> "Newcomers":
        """Return the newcomers from number `first` to before number `last`."""
        return Newcomers(
            index=self.index[first:last],
            weight=self.weight[first:last],
            met=self.met[first:last],
        )

    def weights(self, items: int) -> csr_matrix:
        """Return the weights as a matrix of shape (users, items)."""
        indptr = np.arange(0, self.index.size + 1, MAX_NEWCOMER_ITEMS)
        entries = (self.weight.flatten(), self.index.flatten(), indptr)
        matrix = csr_matrix(entries, (len(self.index), items))
        matrix.sum_duplicates()
        return matrix

    def vectors(self, items: Float32Array, ridge_scale: float, config: ALSConfig) -> Float32Array:
        """Solve the newcomers' vectors x from the items' fitted vectors.

        Equation 2 of docs/MODEL.md. The shape is (users, factors).
        """
        fold = FoldIn.of(items, {**config.as_dict(), "ridge_scale": ridge_scale})
        vectors = np.empty((len(self.met), items.shape[1]), np.float32)
        for number, met in enumerate(self.met):
            weight = self.weight[number, :met].astype(np.float64)
            pairs = UserPairs(self.index[number, :met], weight, np.zeros(met))
            vectors[number] = fold.vector(fold.build_equation(pairs, NO_PAIRS, 0.0))
        return vectors
