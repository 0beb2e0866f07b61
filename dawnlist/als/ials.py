"""Our own ALS for implicit feedback: conjugate gradients where the dense half is diagonal.

A half sweep solves this equation for each user x_u, and then the mirrored one for each item
(docs/MODEL.md derives it):

    (alpha0 Y'Y + lambda_u I + sum_i c_ui y_i y_i') x_u = sum_i (alpha0 + c_ui) y_i

The sums run over the items i that the user met, and c_ui = alpha weight 2^(-age / half-life). With
Y'Y = Q L Q', the solver uses Y Q and X Q in place of Y and X. All scores stay the same, and the
dense half of each equation becomes the diagonal alpha0 L + lambda_u. That diagonal, plus the
diagonal of the sparse half, is also the preconditioner. A step of conjugate gradients therefore
costs four operations for each stored pair and factor, and nothing that grows with the square of the
factors."""

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.als.fit import InitialFactors
from dawnlist.als.on_arrays import ArrayBackend
from dawnlist.als.on_cpu import CPUBackend
from dawnlist.als.pairs import (
    ALSBackend,
    PreparedPairs,
    SparsityPattern,
    compute_confidences,
    compute_ridges,
)
from dawnlist.arrays import FactorPair
from dawnlist.machine.free_memory import require_memory
from dawnlist.machine.gpu_libraries import import_cupy
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems


def prepare_pairs(user_items: UserItems, device: str) -> PreparedPairs:
    """Copy the pairs to the device "cpu" or "gpu", sorted by user and sorted by item.

    Raises:
        MemoryError: The pairs do not fit on the device.
        RuntimeError: The device is "gpu" and no GPU can be used.
    """
    backend = _create_backend(device)
    weight = user_items.weight
    description = f"{weight.nnz:,} pairs from both sides"
    require_memory(40 * weight.nnz, description, backend.free_bytes())
    positions = np.arange(weight.nnz, dtype=np.int64)
    by_user = csr_matrix((positions, weight.indices, weight.indptr), shape=weight.shape)
    by_item = by_user.T.tocsr()
    return PreparedPairs(
        backend=backend,
        users=_copy_pattern(backend, by_user),
        items=_copy_pattern(backend, by_item),
        item_order=backend.to_device(by_item.data),
        weight=backend.to_device(weight.data.astype(np.float32)),
        age=backend.to_device(user_items.age.astype(np.float32)),
    )


def _create_backend(device: str) -> ALSBackend:
    if device == "gpu":
        return ArrayBackend(import_cupy())
    return CPUBackend()


def _copy_pattern(backend: ALSBackend, matrix: csr_matrix) -> SparsityPattern:
    start = backend.to_device(matrix.indptr.astype(np.int64))
    columns = backend.to_device(matrix.indices.astype(np.int32))
    return SparsityPattern(start, columns)


class IALSFit:
    """A fit by our own solver. It implements dawnlist.als.fit.Fit."""

    def __init__(self, pairs: PreparedPairs, config: ALSConfig, start: InitialFactors) -> None:
        self.config = config
        self.sweeps = 0
        self._pairs = pairs
        backend = pairs.backend
        rows = pairs.users.rows + pairs.items.rows
        description = f"{rows:,} vectors of {config.factors} factors"
        require_memory(4 * rows * config.factors, description, backend.free_bytes())
        users, items = start or _draw_initial_factors(pairs, config)
        self._users = backend.to_device(users)
        self._items = backend.to_device(items)
        confidence = compute_confidences(pairs, config)
        self._confidence = (confidence, confidence[pairs.item_order])
        self._ridge, self.ridge_scale = compute_ridges(pairs, self._confidence, config)

    def advance(self, sweeps: int) -> None:
        """Make more sweeps. Each one solves the users first and then the items."""
        for _ in range(sweeps):
            self._solve_side(0, self._pairs.users, self._users, self._items)
            self._solve_side(1, self._pairs.items, self._items, self._users)
        self.sweeps += sweeps

    def _solve_side(self, side: int, pattern: SparsityPattern, solved: Any, fixed: Any) -> None:
        """Solve the users (side 0) or the items (side 1)."""
        self._pairs.backend.run_half_sweep(
            pattern,
            self._confidence[side],
            solved,
            fixed,
            self._ridge[side],
            self.config.alpha0,
        )

    @property
    def factors(self) -> FactorPair:
        """Copies of the user and item factors in main memory."""
        backend = self._pairs.backend
        return backend.to_numpy(self._users), backend.to_numpy(self._items)


def _draw_initial_factors(pairs: PreparedPairs, config: ALSConfig) -> FactorPair:
    """Draw small random item vectors (Rendle et al., equation 6).

    A sweep solves the users first, so their vectors may start at zero.
    """
    random = np.random.default_rng(config.seed)
    items = random.standard_normal((pairs.items.rows, config.factors), np.float32)
    users = np.zeros((pairs.users.rows, config.factors), np.float32)
    return users, items * np.float32(0.1 / config.factors**0.5)
