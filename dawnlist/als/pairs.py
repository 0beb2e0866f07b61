"""The pairs of users and items as a solver reads them, their confidence and regularization."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from dawnlist.arrays import AnyArray
from dawnlist.model.config import ALSConfig

CG_STEPS: Final = 3
"""Steps of conjugate gradients for each row in a half sweep."""

CG_EPSILON: Final = np.float32(1e-20)
"""A row's conjugate gradients stop where the squared residual or the curvature is below this.

Far below it float32 has too few digits for a ratio of the two, and a step by such a ratio leads
away from the solution."""

EIGENVALUE_FLOOR: Final = 1e-7
"""Lower bound of a float32 Gram matrix's eigenvalues, as a share of the largest one.

Without it, an unregularized fit with more factors than the matrix has directions would grow without
limit in the directions that consist of rounding errors. """


@dataclass(frozen=True)
class SparsityPattern:
    """The pairs as seen from one side: row r has the pairs with columns[start[r]:start[r + 1]]."""

    start: Any
    """Shape (rows + 1,), int64."""
    columns: Any
    """Shape (pairs,), int32."""

    @property
    def rows(self) -> int:
        """The number of users or items."""
        return len(self.start) - 1


class ALSBackend(Protocol):
    """The device that does the arithmetic. Arrays that it takes and returns live on it."""

    xp: Any
    """The module numpy or cupy."""

    def to_device(self, values: AnyArray) -> Any:
        """Copy an array to the device, in C order."""

    def to_numpy(self, values: Any) -> AnyArray:
        """Copy an array from the device to main memory."""

    def free_bytes(self) -> int:
        """Measure how many bytes can still be allocated."""

    def run_half_sweep(
        self,
        side: SparsityPattern,
        confidence: Any,
        solved: Any,
        fixed: Any,
        ridge: Any,
        alpha0: float,
    ) -> None:
        """Solve each row of `solved` while `fixed` stays constant. Both are rotated in place.

        Args:
            side: The pairs as seen from the rows of `solved`.
            confidence: c of each pair, in the order of `side`.
            solved: Vectors to solve for, shape (rows, factors).
            fixed: Vectors of the other side, shape (columns, factors).
            ridge: lambda of each row, shape (rows,).
            alpha0: The confidence of a pair that was never seen.
        """


@dataclass(frozen=True)
class PreparedPairs:
    """The pairs as seen from both sides, on their device."""

    backend: ALSBackend
    """The device that holds the arrays."""
    users: SparsityPattern
    """The pairs sorted by user."""
    items: SparsityPattern
    """The pairs sorted by item."""
    item_order: Any
    """For each pair in the order of the items, its index in the order of the users."""
    weight: Any
    """The weight of each pair, in the order of the users."""
    age: Any
    """The age of each pair in days, in the order of the users."""


def decompose_gram(xp: Any, gram: Any, alpha0: float) -> tuple[Any, Any]:
    """Decompose Y'Y = Q L Q' into the diagonal alpha0 L, shape (factors,), and Q, both float32."""
    values, basis = xp.linalg.eigh(gram)
    values = xp.maximum(values, EIGENVALUE_FLOOR * values[-1])
    return (alpha0 * values).astype(np.float32), basis.astype(np.float32)


def compute_confidences(pairs: PreparedPairs, config: ALSConfig) -> Any:
    """Compute c_ui of each pair, in the order of the users."""
    weight = pairs.weight
    half_life = np.float32(config.half_life)
    if half_life:
        weight = weight * pairs.backend.xp.exp2(-pairs.age / half_life)
    return (weight * np.float32(config.alpha)).astype(np.float32)


def compute_ridges(
    pairs: PreparedPairs, confidence: tuple[Any, Any], config: ALSConfig
) -> tuple[tuple[Any, Any], float]:
    """Compute lambda = scale s^nu of each user and each item, and the scale.

    s is the sum of a row's confidences over all its pairs (Rendle et al., 2022, equation 5, with
    weights; there s = alpha0 N + n). The scale is `regularization` divided by the mean of s^nu over
    all rows. This is their rescaling to nu* = 0, so that `regularization` has the same magnitude
    for each nu.

    Args:
        pairs: The pairs of users and items.
        confidence: c of each pair, in the order of the users and in the order of the items.
        config: The hyper-parameters.
    """
    users, items = pairs.users, pairs.items
    xp = pairs.backend.xp
    user_powers = _raise_sums(xp, users, confidence[0], items.rows, config)
    item_powers = _raise_sums(xp, items, confidence[1], users.rows, config)
    total = float(user_powers.sum()) + float(item_powers.sum())
    mean = total / max(1, users.rows + items.rows)
    scale = config.regularization / mean if mean else 0.0
    user_ridge = (scale * user_powers).astype(np.float32)
    item_ridge = (scale * item_powers).astype(np.float32)
    return (user_ridge, item_ridge), scale


def _raise_sums(
    xp: Any, side: SparsityPattern, confidence: Any, columns: int, config: ALSConfig
) -> Any:
    """Compute s^nu of each row. Each column adds alpha0 to s, whether the pair was seen or not."""
    sums = _sum_rows(xp, side, confidence) + np.float32(config.alpha0 * columns)
    return sums ** np.float32(config.nu)


def _sum_rows(xp: Any, side: SparsityPattern, values: Any) -> Any:
    """Sum the values of each row's pairs."""
    running = xp.concatenate([xp.zeros(1), xp.cumsum(values, dtype=np.float64)])
    return (running[side.start[1:]] - running[side.start[:-1]]).astype(np.float32)
