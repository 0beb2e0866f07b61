"""The compiled loop of the CPU's half sweep: conjugate gradients, one row after another.

Pairs are read four at a time. The vectors are in the first-level cache, where loads are the
bottleneck, and so a vector that is combined with four others is loaded only once. The kernels take
whole matrices and row numbers instead of views of rows, because counting the references to a view
costs more than a dot product."""

from typing import Any, NamedTuple

import numpy as np

from dawnlist.als.pairs import CG_EPSILON
from dawnlist.arrays import Float32Array, Int64Array
from dawnlist.machine.numba_jit import KERNEL_OPTIONS, jit

"""A row is solved once its residual or curvature is below this; also keeps the diagonal above 0."""


class Workspace(NamedTuple):
    """Room for the pairs of one row, padded to a multiple of four, and for its vectors."""

    fixed_rows: Any
    """The row of `fixed` of each pair."""
    weight: Any
    """c of each pair."""
    pull: Any
    """alpha0 for each pair, 0 for the padding."""
    x: Any
    """The vector to solve for."""
    diagonal: Any
    """The dense half of the matrix."""
    scale: Any
    """The diagonal of the whole matrix, which is the preconditioner."""
    residual: Any
    direction: Any
    """The direction of the present step."""
    product: Any
    """The matrix times the direction."""


@jit(**KERNEL_OPTIONS)
def solve_rows(
    first: int,
    last: int,
    start: Int64Array,
    columns: Any,
    confidence: Float32Array,
    solved: Float32Array,
    fixed: Float32Array,
    dense: Float32Array,
    ridge: Float32Array,
    alpha0: np.float32,
    steps: int,
) -> None:
    """Improve the rows [first, last) of `solved` from their present values.

    A row without pairs becomes zero.

    Args:
        first: The first row.
        last: The row after the last one.
        start: Where each row's pairs begin, shape (rows + 1,).
        columns: The row of `fixed` that each pair belongs to, shape (pairs,).
        confidence: c of each pair.
        solved: The vectors to solve for, shape (rows, factors).
        fixed: The vectors of the other side, shape (columns, factors).
        dense: The diagonal of the dense half of the equation, shape (factors,).
        ridge: lambda of each row.
        alpha0: The confidence of a pair that was never seen.
        steps: How many steps of conjugate gradients to take.
    """
    factors = fixed.shape[1]
    work = _create_workspace(_count_longest_row(start, first, last), factors)
    for row in range(first, last):
        count = start[row + 1] - start[row]
        _load_pairs(start[row], count, columns, confidence, alpha0, work)
        for t in range(factors):
            work.x[t] = solved[row, t] if count else np.float32(0)
            work.diagonal[t] = dense[t] + ridge[row] + CG_EPSILON
            work.scale[t] = work.diagonal[t]
            work.residual[t] = -work.diagonal[t] * work.x[t]
        _add_pairs_to_residual(fixed, count, work)
        _run_conjugate_gradients(fixed, count, steps, work)
        for t in range(factors):
            solved[row, t] = work.x[t]


@jit(inline="always", **KERNEL_OPTIONS)
def _count_longest_row(start: Int64Array, first: int, last: int) -> int:
    """Count the pairs of the row that has most of them."""
    longest = 0
    for row in range(first, last):
        longest = max(longest, start[row + 1] - start[row])
    return longest


@jit(inline="always", **KERNEL_OPTIONS)
def _create_workspace(longest: int, factors: int) -> Workspace:
    room = longest + 4
    return Workspace(
        np.zeros(room, np.int64),
        np.zeros(room, np.float32),
        np.zeros(room, np.float32),
        np.empty(factors, np.float32),
        np.empty(factors, np.float32),
        np.empty(factors, np.float32),
        np.empty(factors, np.float32),
        np.empty(factors, np.float32),
        np.empty(factors, np.float32),
    )


@jit(inline="always", **KERNEL_OPTIONS)
def _load_pairs(
    low: int, count: int, columns: Any, confidence: Any, alpha0: np.float32, work: Workspace
) -> None:
    """Copy a row's pairs, and append pairs of weight 0 up to a multiple of four."""
    for pair in range(count):
        work.fixed_rows[pair] = columns[low + pair]
        work.weight[pair] = confidence[low + pair]
        work.pull[pair] = alpha0
    for pair in range(count, count + 3):
        work.fixed_rows[pair] = 0
        work.weight[pair] = 0
        work.pull[pair] = 0


@jit(inline="always", **KERNEL_OPTIONS)
def _add_pairs_to_residual(fixed: Any, count: int, work: Workspace) -> None:
    """Add the sparse half to the residual at x, and its diagonal to the preconditioner."""
    fixed_rows, weight, pull, scale = work.fixed_rows, work.weight, work.pull, work.scale
    one = np.float32(1)
    for p in range(0, count, 4):
        a, b, c, d = fixed_rows[p], fixed_rows[p + 1], fixed_rows[p + 2], fixed_rows[p + 3]
        w0, w1, w2, w3 = weight[p], weight[p + 1], weight[p + 2], weight[p + 3]
        s0, s1, s2, s3 = _dot_four_rows(fixed, a, b, c, d, work.x)
        r0 = pull[p] + w0 * (one - s0)
        r1 = pull[p + 1] + w1 * (one - s1)
        r2 = pull[p + 2] + w2 * (one - s2)
        r3 = pull[p + 3] + w3 * (one - s3)
        _add_four_rows(work.residual, fixed, a, b, c, d, r0, r1, r2, r3)
        for t in range(len(scale)):
            scale[t] += (
                w0 * fixed[a, t] * fixed[a, t]
                + w1 * fixed[b, t] * fixed[b, t]
                + w2 * fixed[c, t] * fixed[c, t]
                + w3 * fixed[d, t] * fixed[d, t]
            )


@jit(inline="always", **KERNEL_OPTIONS)
def _run_conjugate_gradients(fixed: Any, count: int, steps: int, work: Workspace) -> None:
    """Improve x in place."""
    x, residual, direction = work.x, work.residual, work.direction
    scale, product = work.scale, work.product
    factors = len(x)
    rho = np.float32(0)
    for t in range(factors):
        direction[t] = residual[t] / scale[t]
        rho += residual[t] * direction[t]
    for step in range(steps):
        # The last step does not need the pairs in `product`: nobody reads the residual after it.
        curvature = _multiply_by_matrix(fixed, count, step + 1 < steps, work)
        if rho < CG_EPSILON or curvature < CG_EPSILON:
            break
        length = rho / curvature
        previous_rho = rho
        rho = np.float32(0)
        for t in range(factors):
            x[t] += length * direction[t]
            residual[t] -= length * product[t]
            rho += residual[t] * residual[t] / scale[t]
        for t in range(factors):
            direction[t] = residual[t] / scale[t] + rho / previous_rho * direction[t]


@jit(inline="always", **KERNEL_OPTIONS)
def _multiply_by_matrix(fixed: Any, count: int, needs_pairs: bool, work: Workspace) -> Any:
    """Compute matrix times direction into `product`, and return direction times that.

    Without `needs_pairs` the sparse half is left out of `product`, but not out of the returned
    number."""
    fixed_rows, weight = work.fixed_rows, work.weight
    direction, product = work.direction, work.product
    curvature = np.float32(0)
    for t in range(len(direction)):
        product[t] = work.diagonal[t] * direction[t]
        curvature += product[t] * direction[t]
    for p in range(0, count, 4):
        a, b, c, d = fixed_rows[p], fixed_rows[p + 1], fixed_rows[p + 2], fixed_rows[p + 3]
        s0, s1, s2, s3 = _dot_four_rows(fixed, a, b, c, d, direction)
        w0 = weight[p] * s0
        w1 = weight[p + 1] * s1
        w2 = weight[p + 2] * s2
        w3 = weight[p + 3] * s3
        curvature += w0 * s0 + w1 * s1 + w2 * s2 + w3 * s3
        if needs_pairs:
            _add_four_rows(product, fixed, a, b, c, d, w0, w1, w2, w3)
    return curvature


@jit(inline="always", **KERNEL_OPTIONS)
def _dot_four_rows(vectors: Any, a: int, b: int, c: int, d: int, x: Any) -> Any:
    """Compute the dot products of four rows with x, which is loaded once for all of them."""
    s0 = s1 = s2 = s3 = np.float32(0)
    for t in range(len(x)):
        s0 += vectors[a, t] * x[t]
        s1 += vectors[b, t] * x[t]
        s2 += vectors[c, t] * x[t]
        s3 += vectors[d, t] * x[t]
    return s0, s1, s2, s3


@jit(inline="always", **KERNEL_OPTIONS)
def _add_four_rows(
    sums: Any, vectors: Any, a: int, b: int, c: int, d: int, w0: Any, w1: Any, w2: Any, w3: Any
) -> None:
    """Add four weighted rows to a sum, which is loaded and stored once for all of them."""
    for t in range(len(sums)):
        sums[t] += w0 * vectors[a, t] + w1 * vectors[b, t] + w2 * vectors[c, t] + w3 * vectors[d, t]
