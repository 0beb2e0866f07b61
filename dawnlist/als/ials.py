"""Our own ALS for implicit feedback: conjugate gradients in the basis where the dense half is diagonal.

A half sweep solves for each user x_u (and then each item, the other way round), docs/MODEL.md has the derivation:

    (alpha0 Y'Y + lambda_u I + sum_i c_ui y_i y_i') x_u = sum_i (alpha0 + c_ui) y_i

over the items i that the user met; c_ui = alpha weight 2^(-age / half-life). Y'Y = Q L Q' is rotated away: with Y Q
and X Q in place of Y and X all scores stay what they are, and the dense half of each equation is the diagonal alpha0 L
+ lambda_u. It is also the preconditioner, with the diagonal of the sparse half. So a step of conjugate gradients costs
four flops a stored pair and factor, and nothing that grows with the square of the factors.
"""

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.als.fit import InitialFactors
from dawnlist.als.pairs import (
    ALSBackend,
    PreparedPairs,
    SparsityPattern,
    compute_confidences,
    compute_ridges,
)
from dawnlist.arrays import Float32Array
from dawnlist.machine.free_memory import require_memory
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems


def prepare_pairs(user_items: UserItems, where: str) -> PreparedPairs:
    """Put the pairs on the device "cpu" or "gpu". MemoryError when they do not fit."""
    device = _select_backend(where)
    weight = user_items.weight
    require_memory(40 * weight.nnz, f"{weight.nnz:,} pairs from both sides", device.free())
    order = csr_matrix(
        (np.arange(weight.nnz, dtype=np.int64), weight.indices, weight.indptr), shape=weight.shape
    )
    turned = order.T.tocsr()
    users, items = (
        SparsityPattern(
            device.array(matrix.indptr.astype(np.int64)),
            device.array(matrix.indices.astype(np.int32)),
        )
        for matrix in (order, turned)
    )
    values = (device.array(array.astype(np.float32)) for array in (weight.data, user_items.age))
    return PreparedPairs(device, users, items, device.array(turned.data), *values)


def _select_backend(where: str) -> ALSBackend:
    if where == "gpu":
        from dawnlist.als.on_arrays import ArrayBackend
        from dawnlist.machine.gpu_libraries import import_cupy

        found: ALSBackend = ArrayBackend(import_cupy())
        return found
    from dawnlist.als.on_cpu import CPUBackend

    return CPUBackend()


class IALSFit:
    """See dawnlist.als.training.Fit."""

    def __init__(self, pairs: PreparedPairs, config: ALSConfig, start: InitialFactors) -> None:
        self.config, self.sweeps = config, 0
        self._pairs, device = pairs, pairs.device
        rows = pairs.users.rows + pairs.items.rows
        require_memory(
            4 * rows * config.factors,
            f"{rows:,} vectors of {config.factors} factors",
            device.free(),
        )
        self._users, self._items = (
            device.array(f) for f in start or _draw_initial_factors(pairs, config)
        )
        values = compute_confidences(pairs, config)
        self._confidence = (values, values[pairs.turned])
        self._ridge, self.ridge_scale = compute_ridges(pairs, self._confidence, config)

    def advance(self, sweeps: int) -> None:
        """So many sweeps, users first."""
        device, pairs, (of_users, of_items) = self._pairs.device, self._pairs, self._confidence
        for _ in range(sweeps):
            device.half_sweep(
                pairs.users, of_users, self._users, self._items, self._ridge[0], self.config.alpha0
            )
            device.half_sweep(
                pairs.items, of_items, self._items, self._users, self._ridge[1], self.config.alpha0
            )
        self.sweeps += sweeps

    @property
    def factors(self) -> tuple[Float32Array, Float32Array]:
        """Copies of both."""
        return self._pairs.device.numpy(self._users), self._pairs.device.numpy(self._items)


def _draw_initial_factors(
    pairs: PreparedPairs, config: ALSConfig
) -> tuple[Float32Array, Float32Array]:
    """Small random item vectors (Rendle et al., equation 6); users come first in a sweep, so theirs may be 0."""
    random = np.random.default_rng(config.seed)
    items = random.standard_normal((pairs.items.rows, config.factors), np.float32)
    users = np.zeros((pairs.users.rows, config.factors), np.float32)
    return users, items * np.float32(0.1 / config.factors**0.5)
