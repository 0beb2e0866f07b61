"""Pairs of users and items as a solver reads them, and the confidence and regularization of each."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from dawnlist.model.config import ALSConfig

CG_STEPS: Final = 3

EIGENVALUE_FLOOR: Final = 1e-7
"""Of a float32 Gram matrix's largest eigenvalue, what a lower one is taken for: without regularization a fit of more
factors than the matrix has directions would grow beyond every number in those that are all rounding."""


@dataclass(frozen=True)
class SparsityPattern:
    """The pairs from one side: row r meets columns[start[r]:start[r + 1]]."""

    start: Any
    columns: Any

    @property
    def rows(self) -> int:
        """Users, or items."""
        return len(self.start) - 1


class ALSBackend(Protocol):
    """Where the arithmetic is done. Arrays it is given and gives are its own."""

    xp: Any
    """numpy, or cupy."""

    def array(self, values: npt.NDArray[Any]) -> Any:
        """A copy there."""

    def numpy(self, values: Any) -> npt.NDArray[Any]:
        """A copy here."""

    def free(self) -> int:
        """Bytes that can still be had."""

    def half_sweep(
        self,
        side: SparsityPattern,
        confidence: Any,
        solved: Any,
        fixed: Any,
        ridge: Any,
        alpha0: float,
    ) -> None:
        """Solve each row of `solved` given `fixed`; both are rotated, in place. ridge: lambda of each row."""


@dataclass(frozen=True)
class PreparedPairs:
    """The pairs from both sides, on their device."""

    device: ALSBackend
    users: SparsityPattern
    items: SparsityPattern
    turned: Any
    """Place of each of the items' pairs among the users', which weights and ages are ordered by."""
    weight: Any
    age: Any


def compute_confidences(pairs: PreparedPairs, config: ALSConfig) -> Any:
    """c_ui of each pair, in the users' order."""
    half_life = np.float32(config.half_life)
    decay = pairs.device.xp.exp2(-pairs.age / half_life) if half_life else np.float32(1)
    return (pairs.weight * decay * np.float32(config.alpha)).astype(np.float32)


def compute_ridges(
    pairs: PreparedPairs, confidence: tuple[Any, Any], config: ALSConfig
) -> tuple[tuple[Any, Any], float]:
    """lambda of each user and of each item: scale s^nu, s the row's sum of confidences over all its pairs; and scale.

    Rendle et al. (2022), equation 5, for weights: there s = alpha0 N + n. The scale is regularization by the mean of
    s^nu over all rows, their rescaling to nu* = 0, so that `regularization` is of one size for each nu.
    """
    sides = (pairs.users, pairs.items)
    others = (pairs.items.rows, pairs.users.rows)
    sums = [
        (_sum_rows(pairs.device.xp, side, values) + np.float32(config.alpha0 * other))
        ** np.float32(config.nu)
        for side, values, other in zip(sides, confidence, others, strict=True)
    ]
    mean = sum(float(found.sum()) for found in sums) / max(1, sum(others))
    scale = config.regularization / mean if mean else 0.0
    users, items = ((scale * found).astype(np.float32) for found in sums)
    return (users, items), scale


def _sum_rows(xp: Any, side: SparsityPattern, values: Any) -> Any:
    sums = xp.concatenate([xp.zeros(1), xp.cumsum(values, dtype=np.float64)])
    return (sums[side.start[1:]] - sums[side.start[:-1]]).astype(np.float32)
