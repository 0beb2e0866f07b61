"""Our own ALS for implicit feedback: conjugate gradients in the basis where the dense half is diagonal.

A half sweep solves for each user x_u (and then each item, the other way round), docs/MODEL.md has the derivation:

    (alpha0 Y'Y + lambda_u I + sum_i c_ui y_i y_i') x_u = sum_i (alpha0 + c_ui) y_i

over the items i that the user met; c_ui = alpha weight 2^(-age / half-life). Y'Y = Q L Q' is rotated away: with Y Q
and X Q in place of Y and X all scores stay what they are, and the dense half of each equation is the diagonal alpha0 L
+ lambda_u. It is also the preconditioner, with the diagonal of the sparse half. So a step of conjugate gradients costs
four flops a stored pair and factor, and nothing that grows with the square of the factors.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.machine.memory import require
from dawnlist.model.factor_model import Factors
from dawnlist.model.user_items import UserItems

if TYPE_CHECKING:
    from dawnlist.als.training import ALSConfig, First

CG_STEPS: Final = 3
NOISE: Final = 1e-7
"""Of a float32 Gram matrix's largest eigenvalue, what a lower one is taken for: without regularization a fit of more
factors than the matrix has directions would grow beyond every number in those that are all rounding."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """The pairs from one side: row r meets columns[start[r]:start[r + 1]]."""

    start: Any
    columns: Any

    @property
    def rows(self) -> int:
        """Users, or items."""
        return len(self.start) - 1


class Device(Protocol):
    """Where the arithmetic is done. Arrays it is given and gives are its own."""

    xp: Any
    """numpy, or cupy."""

    def array(self, values: npt.NDArray[Any]) -> Any:
        """A copy there."""

    def numpy(self, values: Any) -> npt.NDArray[Any]:
        """A copy here."""

    def free(self) -> int:
        """Bytes that can still be had."""

    def half_sweep(self, side: Side, confidence: Any, solved: Any, fixed: Any, ridge: Any, alpha0: float) -> None:
        """Solve each row of `solved` given `fixed`; both are rotated, in place. ridge: lambda of each row."""


@dataclass(frozen=True)
class Prepared:
    """The pairs from both sides, on their device."""

    device: Device
    users: Side
    items: Side
    turned: Any
    """Place of each of the items' pairs among the users', which weights and ages are ordered by."""
    weight: Any
    age: Any


def prepared(user_items: UserItems, where: str) -> Prepared:
    """Put the pairs on the device "cpu" or "gpu". MemoryError when they do not fit."""
    device = _device(where)
    weight = user_items.weight
    require(40 * weight.nnz, f"{weight.nnz:,} pairs from both sides", device.free())
    order = csr_matrix((np.arange(weight.nnz, dtype=np.int64), weight.indices, weight.indptr), shape=weight.shape)
    turned = order.T.tocsr()
    users, items = (
        Side(device.array(matrix.indptr.astype(np.int64)), device.array(matrix.indices.astype(np.int32)))
        for matrix in (order, turned)
    )
    values = (device.array(array.astype(np.float32)) for array in (weight.data, user_items.age))
    return Prepared(device, users, items, device.array(turned.data), *values)


def _device(where: str) -> Device:
    if where == "gpu":
        from dawnlist.als.on_arrays import Arrays
        from dawnlist.machine.gpu import cupy

        found: Device = Arrays(cupy())
        return found
    from dawnlist.als.on_cpu import CPU

    return CPU()


class IALSFit:
    """See dawnlist.als.training.Fit."""

    def __init__(self, pairs: Prepared, config: "ALSConfig", start: "First") -> None:
        self.config, self.sweeps = config, 0
        self._pairs, device = pairs, pairs.device
        rows = pairs.users.rows + pairs.items.rows
        require(4 * rows * config.factors, f"{rows:,} vectors of {config.factors} factors", device.free())
        self._users, self._items = (device.array(f) for f in start or _random(pairs, config))
        values = confidence(pairs, config)
        self._confidence = (values, values[pairs.turned])
        self._ridge, self.ridge_scale = ridges(pairs, self._confidence, config)

    def advance(self, sweeps: int) -> None:
        """So many sweeps, users first."""
        device, pairs, (of_users, of_items) = self._pairs.device, self._pairs, self._confidence
        for _ in range(sweeps):
            device.half_sweep(pairs.users, of_users, self._users, self._items, self._ridge[0], self.config.alpha0)
            device.half_sweep(pairs.items, of_items, self._items, self._users, self._ridge[1], self.config.alpha0)
        self.sweeps += sweeps

    @property
    def factors(self) -> tuple[Factors, Factors]:
        """Copies of both."""
        return self._pairs.device.numpy(self._users), self._pairs.device.numpy(self._items)


def confidence(pairs: Prepared, config: "ALSConfig") -> Any:
    """c_ui of each pair, in the users' order."""
    half_life = np.float32(config.half_life)
    decay = pairs.device.xp.exp2(-pairs.age / half_life) if half_life else np.float32(1)
    return (pairs.weight * decay * np.float32(config.alpha)).astype(np.float32)


def ridges(pairs: Prepared, confidence: tuple[Any, Any], config: "ALSConfig") -> tuple[tuple[Any, Any], float]:
    """lambda of each user and of each item: scale s^nu, s the row's sum of confidences over all its pairs; and scale.

    Rendle et al. (2022), equation 5, for weights: there s = alpha0 N + n. The scale is regularization by the mean of
    s^nu over all rows, their rescaling to nu* = 0, so that `regularization` is of one size for each nu.
    """
    sides = (pairs.users, pairs.items)
    others = (pairs.items.rows, pairs.users.rows)
    sums = [
        (_row_sums(pairs.device.xp, side, values) + np.float32(config.alpha0 * other)) ** np.float32(config.nu)
        for side, values, other in zip(sides, confidence, others, strict=True)
    ]
    mean = sum(float(found.sum()) for found in sums) / max(1, sum(others))
    scale = config.regularization / mean if mean else 0.0
    users, items = ((scale * found).astype(np.float32) for found in sums)
    return (users, items), scale


def _row_sums(xp: Any, side: Side, values: Any) -> Any:
    sums = xp.concatenate([xp.zeros(1), xp.cumsum(values, dtype=np.float64)])
    return (sums[side.start[1:]] - sums[side.start[:-1]]).astype(np.float32)


def _random(pairs: Prepared, config: "ALSConfig") -> tuple[Floats, Floats]:
    """Small random item vectors (Rendle et al., equation 6); users come first in a sweep, so theirs may be 0."""
    random = np.random.default_rng(config.seed)
    items = random.standard_normal((pairs.items.rows, config.factors), np.float32)
    users = np.zeros((pairs.users.rows, config.factors), np.float32)
    return users, items * np.float32(0.1 / config.factors**0.5)
