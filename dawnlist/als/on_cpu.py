"""The half sweep of our ALS on the CPU: BLAS for what is dense, a compiled loop over rows for what is sparse."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dawnlist.als.pairs import CG_STEPS, EIGENVALUE_FLOOR, SparsityPattern
from dawnlist.arrays import Float32Array, Int64Array
from dawnlist.machine import cpu_cores
from dawnlist.machine.free_memory import measure_free_memory
from dawnlist.machine.numba_jit import KERNEL_OPTIONS, jit

BLOCK_ROWS: Final = 4096
"""Rows of a block of dense work: its vectors stay in a core's cache."""
BLOCK_PAIRS: Final = 1 << 16
"""Pairs of a block of sparse work: enough blocks that no thread waits long for another."""


class CPUBackend:
    """See dawnlist.als.ials.Device. Blocks don't hang on the number of threads, so neither do the results."""

    xp: Any = np

    def array(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy, whole and in C order."""
        return np.array(values, order="C")

    numpy = array

    def free(self) -> int:
        """Of the machine or the container."""
        return measure_free_memory()

    def half_sweep(
        self,
        side: SparsityPattern,
        confidence: Float32Array,
        solved: Float32Array,
        fixed: Float32Array,
        ridge: Float32Array,
        alpha0: float,
    ) -> None:
        """Rotate both in place, then solve each row of `solved`."""
        with cpu_cores.open_thread_pool() as pool:

            def each(blocks: list[tuple[int, int]], call: Callable[[int, int], Any]) -> list[Any]:
                return list(pool.map(lambda block: call(*block), blocks))  # in their order

            gram = sum(
                each(_split_rows(len(fixed)), lambda a, b: fixed[a:b].T @ fixed[a:b]),
                start=np.float64(0),
            )
            values, basis = np.linalg.eigh(gram)
            dense = (alpha0 * np.maximum(values, EIGENVALUE_FLOOR * values[-1])).astype(np.float32)
            basis = basis.astype(np.float32)

            def rotate(first: int, last: int) -> None:
                fixed[first:last] = fixed[first:last] @ basis

            def solve(first: int, last: int) -> None:
                solved[first:last] = solved[first:last] @ basis
                _solve_rows(first, last, side.start, side.columns, confidence, solved, fixed, dense, ridge,
                       np.float32(alpha0), CG_STEPS)  # fmt: skip

            each(_split_rows(len(fixed)), rotate)
            each(_split_rows_by_pairs(side.start), solve)


def _split_rows(rows: int) -> list[tuple[int, int]]:
    return [(first, min(first + BLOCK_ROWS, rows)) for first in range(0, rows, BLOCK_ROWS)]


def _split_rows_by_pairs(start: Int64Array) -> list[tuple[int, int]]:
    """Blocks of rows with about as many pairs each, at most BLOCK rows."""
    pairs = np.searchsorted(start, np.arange(0, start[-1], BLOCK_PAIRS), side="right") - 1
    edges = np.unique(
        np.concatenate([pairs, np.arange(0, len(start) - 1, BLOCK_ROWS), [0, len(start) - 1]])
    )
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


CG_EPSILON: Final = np.float32(1e-20)


@jit(inline="always", **KERNEL_OPTIONS)
def _dot_four_rows(vectors: Any, a: int, b: int, c: int, d: int, x: Any) -> Any:
    """Four dot products with x, which is loaded once for all of them."""
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
    """Four weighted vectors onto a sum, which is loaded and stored once for all of them."""
    for t in range(len(sums)):
        sums[t] += w0 * vectors[a, t] + w1 * vectors[b, t] + w2 * vectors[c, t] + w3 * vectors[d, t]


@jit(**KERNEL_OPTIONS)
def _solve_rows(
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
    """Preconditioned conjugate gradients for rows [first, last), from their own values on; 0 for one without pairs.

    Four pairs at a time, since the vectors are in the first cache and loads are what is scarce there; a row is filled
    up to a multiple of four with pairs of weight 0. No views of rows: counting references to them costs more than a dot
    product.
    """
    factors, one = fixed.shape[1], np.float32(1)
    longest = 0
    for row in range(first, last):
        longest = max(longest, start[row + 1] - start[row])
    which, weight = np.zeros(longest + 4, np.int64), np.zeros(longest + 4, np.float32)
    pull = np.zeros(longest + 4, np.float32)
    x, diagonal, scale = (
        np.empty(factors, np.float32),
        np.empty(factors, np.float32),
        np.empty(factors, np.float32),
    )
    residual, direction, moved = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for row in range(first, last):
        low, count = start[row], start[row + 1] - start[row]
        for t in range(factors):
            x[t] = solved[row, t] if count else np.float32(0)
            diagonal[t] = dense[t] + ridge[row] + CG_EPSILON
            scale[t] = diagonal[t]
            residual[t] = -diagonal[t] * x[t]
        for pair in range(count):
            which[pair], weight[pair], pull[pair] = (
                columns[low + pair],
                confidence[low + pair],
                alpha0,
            )
        for pair in range(count, count + 3):
            which[pair], weight[pair], pull[pair] = 0, 0, 0
        for p in range(0, count, 4):
            a, b, c, d = which[p], which[p + 1], which[p + 2], which[p + 3]
            w0, w1, w2, w3 = weight[p], weight[p + 1], weight[p + 2], weight[p + 3]
            s0, s1, s2, s3 = _dot_four_rows(fixed, a, b, c, d, x)
            _add_four_rows(residual, fixed, a, b, c, d, pull[p] + w0 * (one - s0), pull[p + 1] + w1 * (one - s1),
                 pull[p + 2] + w2 * (one - s2), pull[p + 3] + w3 * (one - s3))  # fmt: skip
            for t in range(factors):
                scale[t] += (w0 * fixed[a, t] * fixed[a, t] + w1 * fixed[b, t] * fixed[b, t]
                             + w2 * fixed[c, t] * fixed[c, t] + w3 * fixed[d, t] * fixed[d, t])  # fmt: skip
        left = np.float32(0)
        for t in range(factors):
            direction[t] = residual[t] / scale[t]
            left += residual[t] * direction[t]
        for step in range(steps):
            curve = np.float32(0)
            for t in range(factors):
                moved[t] = diagonal[t] * direction[t]
                curve += moved[t] * direction[t]
            for p in range(0, count, 4):
                a, b, c, d = which[p], which[p + 1], which[p + 2], which[p + 3]
                s0, s1, s2, s3 = _dot_four_rows(fixed, a, b, c, d, direction)
                w0, w1, w2, w3 = (
                    weight[p] * s0,
                    weight[p + 1] * s1,
                    weight[p + 2] * s2,
                    weight[p + 3] * s3,
                )
                curve += w0 * s0 + w1 * s1 + w2 * s2 + w3 * s3
                if step + 1 < steps:  # the last residual is nobody's
                    _add_four_rows(moved, fixed, a, b, c, d, w0, w1, w2, w3)
            if left < CG_EPSILON or curve < CG_EPSILON:
                break
            length = left / curve
            before, left = left, np.float32(0)
            for t in range(factors):
                x[t] += length * direction[t]
                residual[t] -= length * moved[t]
                left += residual[t] * residual[t] / scale[t]
            for t in range(factors):
                direction[t] = residual[t] / scale[t] + left / before * direction[t]
        for t in range(factors):
            solved[row, t] = x[t]
