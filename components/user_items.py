"""UserItems: how strongly and how long ago each user met each item."""

from dataclasses import dataclass
from pathlib import Path

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

    def decayed(self, half_life: float) -> csr_matrix:
        """Weights halved every `half_life` days; 0 means no decay. float32."""
        if not half_life:
            return self.weight
        decay = np.exp2(-self.age / np.float32(half_life))
        return csr_matrix((self.weight.data * decay, self.weight.indices, self.weight.indptr), shape=self.weight.shape)

    def save(self, path: Path) -> None:
        """Write one .npz file, without pickle."""
        weight = self.weight
        with path.open("wb") as file:
            np.savez(
                file,
                data=weight.data,
                indices=weight.indices,
                indptr=weight.indptr,
                shape=np.array(weight.shape),
                age=self.age,
            )

    @classmethod
    def load(cls, path: Path) -> "UserItems":
        """Read what `save` wrote; ValueError when the arrays don't fit each other."""
        with np.load(path, allow_pickle=False) as arrays:
            matrix = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"]))
            age = arrays["age"]
        if len(age) != matrix.nnz:
            raise ValueError(f"{path}: {len(age)} ages for {matrix.nnz} weights, there must be one for each")
        return cls(matrix, age)
