"""UserItems: how strongly and how long ago each user met each item."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.arrays import Float32Array, Int64Array

DISLIKED_WEIGHT: Final = -1.0
"""The weight of a pair whose user disliked the item, in histories that lists are made with.

Such an item is in no list of the user, not as an own item either. Fits never see such pairs."""


@dataclass(frozen=True)
class UserItems:
    """Two aligned arrays on one sparsity pattern.

    A search over half-lives therefore needs to build the matrix only once.
    """

    weight: csr_matrix
    """Shape (users, items), float32: the sum of each pair's event weights."""
    age: Float32Array
    """Days from each pair's last event to the cut, aligned with `weight.data`."""

    def select_users(self, users: Int64Array) -> "UserItems":
        """Return the rows of some users, in the order of `users`."""
        # A sparse matrix of the ages, entries of 0 included, selects them like the weights.
        ages = csr_matrix(
            (self.age, self.weight.indices, self.weight.indptr), shape=self.weight.shape
        )
        return UserItems(self.weight[users], ages[users].data)

    def decay_weights(self, half_life: float) -> csr_matrix:
        """Halve the weights every `half_life` days; 0 means no decay. The result is float32."""
        if not half_life:
            return self.weight
        decay = np.exp2(-self.age / np.float32(half_life))
        return csr_matrix(
            (self.weight.data * decay, self.weight.indices, self.weight.indptr),
            shape=self.weight.shape,
        )
