"""Users as if they had just met their newest one to three items and nothing else: what a new user's lists are worth.

Few of a day's judged users have so short a history, so what content is worth for short ones is seen on these, too. They
are made of users who met little: who met much has met most of what is like their last item, and can't hit it any more.
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
"""Items that somebody met of whom a newcomer is made, at most."""
MAX_NEWCOMER_ITEMS: Final = 3
"""The first user is left one item, the second two, the third three, the fourth one again."""


@dataclass(frozen=True)
class Newcomers:
    """What each met, all of it just now."""

    index: npt.NDArray[np.int64]
    """Shape (users, MOST): items, the newest first."""
    weight: npt.NDArray[np.float32]
    """Aligned; 0 in the places that are not used."""
    met: npt.NDArray[np.int64]
    """Shape (users,): how many places are used."""

    @classmethod
    def of(cls, user_items: UserItems, users: npt.NDArray[np.int64], most: int = 0) -> "Newcomers":
        """Of users that met at least one item; `most` items of each, 0 for one, two and three in turns."""
        matrix, age = user_items.weight, user_items.age
        index, weight = (
            np.zeros((len(users), MAX_NEWCOMER_ITEMS), np.int64),
            np.zeros((len(users), MAX_NEWCOMER_ITEMS), np.float32),
        )
        met = np.zeros(len(users), np.int64)
        for place, user in enumerate(users):
            row = np.arange(matrix.indptr[user], matrix.indptr[user + 1])
            newest = row[np.argsort(age[row], kind="stable")][
                : most or 1 + place % MAX_NEWCOMER_ITEMS
            ]
            met[place] = len(newest)
            index[place, : len(newest)] = matrix.indices[newest]
            weight[place, : len(newest)] = matrix.data[newest]
        return cls(index, weight, met)

    def between(self, first: int, last: int) -> "Newcomers":
        """Those from place `first` to before `last`."""
        return Newcomers(self.index[first:last], self.weight[first:last], self.met[first:last])

    def weights(self, items: int) -> csr_matrix:
        """Shape (users, items)."""
        shape = (len(self.index), items)
        found = csr_matrix(
            (
                self.weight.flatten(),
                self.index.flatten(),
                np.arange(0, self.index.size + 1, MAX_NEWCOMER_ITEMS),
            ),
            shape,
        )
        found.sum_duplicates()
        return found

    def vectors(self, items: Float32Array, ridge_scale: float, config: ALSConfig) -> Float32Array:
        """x, shape (users, factors): equation 2 of docs/MODEL.md, with the items' fitted vectors."""
        fold = FoldIn.of(items, {**config.as_dict(), "ridge_scale": ridge_scale})
        found = np.empty((len(self.met), items.shape[1]), np.float32)
        for place, met in enumerate(self.met):
            weight = self.weight[place, :met].astype(np.float64)
            clicks = UserPairs(self.index[place, :met], weight, np.zeros(met))
            found[place] = fold.vector(fold.build_equation(clicks, NO_PAIRS, 0.0))
        return found
