"""UserItems: how strongly and how long ago each user met each item."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class UserItems:
    """Two aligned arrays on one sparsity pattern, so that a half-life is searched without building the matrix again."""

    weight: csr_matrix
    """Shape (users, items), float32: the sum of a pair's event weights."""
    age: npt.NDArray[np.float32]
    """Days from the pair's last event to the cut, aligned with `weight.data`."""

    def decay_weights(self, half_life: float) -> csr_matrix:
        """Weights halved every `half_life` days; 0 means no decay. float32."""
        if not half_life:
            return self.weight
        decay = np.exp2(-self.age / np.float32(half_life))
        return csr_matrix(
            (self.weight.data * decay, self.weight.indices, self.weight.indptr),
            shape=self.weight.shape,
        )
