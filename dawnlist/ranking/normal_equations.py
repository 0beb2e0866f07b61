"""Build and solve the normal equations of one user, in float64."""

from typing import Any, Final

import numpy as np

from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.machine.numba_jit import KERNEL_OPTIONS, jit

GRAM_ROWS: Final = 4096
"""Rows that are converted to float64 at a time."""
PIVOT_TOLERANCE: Final = 1e-13
"""A pivot below this share of its diagonal entry counts as 0."""


def compute_gram(factors: Float32Array) -> Float64Array:
    """Compute Y'Y in float64, a block at a time, which needs no copy of all factors."""
    gram = np.zeros((factors.shape[1], factors.shape[1]))
    for first in range(0, len(factors), GRAM_ROWS):
        block = factors[first : first + GRAM_ROWS].astype(np.float64)
        gram += block.T @ block
    return gram


@jit(**KERNEL_OPTIONS)
def solve_user_vector(
    gram: Float64Array,
    vectors: Any,
    index: Any,
    confidence: Any,
    pull: Any,
    alpha0: float,
    ridge: float,
) -> Float64Array:
    """Solve (alpha0 G + ridge I + sum c y y') x = sum pull y. Without pairs x is zero."""
    right = np.zeros(len(gram))
    for pair in range(len(index)):
        row = index[pair]
        factor = np.float64(pull[pair])
        for t in range(len(right)):
            right[t] += factor * vectors[row, t]
    if not len(index):
        return right
    normal = build_normal_matrix(gram, vectors, index, confidence, alpha0, ridge)
    cholesky(normal)
    return solve_cholesky(normal, right)


@jit(**KERNEL_OPTIONS)
def build_normal_matrix(
    gram: Float64Array, vectors: Any, index: Any, confidence: Any, alpha0: float, ridge: float
) -> Float64Array:
    """Compute alpha0 G + ridge I + sum c y y'. Only the lower triangle is written.

    Pairs are added four at a time, so that each entry is loaded and stored only once for them.
    """
    factors = len(gram)
    pairs = len(index)
    normal = np.empty((factors, factors))
    # Three more pairs of weight 0 fill the last four up.
    rows = np.zeros((pairs + 3, factors))
    weight = np.zeros(pairs + 3)
    for pair in range(pairs):
        weight[pair] = confidence[pair]
        for t in range(factors):
            rows[pair, t] = vectors[index[pair], t]
    for s in range(factors):
        for t in range(s + 1):
            normal[s, t] = alpha0 * gram[s, t]
        normal[s, s] += ridge
        for p in range(0, pairs, 4):
            a = weight[p] * rows[p, s]
            b = weight[p + 1] * rows[p + 1, s]
            c = weight[p + 2] * rows[p + 2, s]
            d = weight[p + 3] * rows[p + 3, s]
            for t in range(s + 1):
                normal[s, t] += (
                    a * rows[p, t] + b * rows[p + 1, t] + c * rows[p + 2, t] + d * rows[p + 3, t]
                )
    return normal


@jit(**KERNEL_OPTIONS)
def cholesky(matrix: Float64Array) -> None:
    """Factorize a matrix into L L' in place. Only its lower triangle is read and written.

    Rows are contiguous, so each entry is one dot product. A pivot that is not above 0 (there is no
    ridge, and items are alike) becomes infinite, so that solutions are 0 in its direction.
    """
    for s in range(len(matrix)):
        for t in range(s + 1):
            total = matrix[s, t]
            for r in range(t):
                total -= matrix[s, r] * matrix[t, r]
            if s != t:
                matrix[s, t] = total / matrix[t, t]
            elif total > PIVOT_TOLERANCE * matrix[s, s]:
                matrix[s, s] = np.sqrt(total)
            else:
                matrix[s, s] = np.inf


@jit(**KERNEL_OPTIONS)
def solve_cholesky(lower: Float64Array, right: Float64Array) -> Float64Array:
    """Solve L L' x = right."""
    x = right.copy()
    for s in range(len(x)):
        total = x[s]
        for t in range(s):
            total -= lower[s, t] * x[t]
        x[s] = total / lower[s, s]
    for s in range(len(x) - 1, -1, -1):
        x[s] /= lower[s, s]
        for t in range(s):
            x[t] -= lower[s, t] * x[s]
    return x
