"""The half sweep of our ALS on the CPU: BLAS for what is dense, a compiled loop over rows for what is sparse."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from components.compiled import FAST, jit
from components.ials import CG_STEPS, Floats, Side
from components.memory import available

BLOCK: Final = 4096
"""Rows of a block of dense work: its vectors stay in a core's cache."""
PAIRS: Final = 1 << 16
"""Pairs of a block of sparse work: enough blocks that no thread waits long for another."""
Indices = npt.NDArray[np.int64]


class CPU:
    """See components.ials.Device. Blocks don't hang on the number of threads, so neither do the results."""

    def array(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy, whole and in C order."""
        return np.array(values, order="C")

    numpy = array

    def free(self) -> int:
        """Of the machine or the container."""
        return available()

    def confidence(self, weight: Floats, age: Floats, alpha: float, half_life: float) -> Floats:
        """alpha weight 2^(-age / half_life)."""
        decay = np.exp2(-age / np.float32(half_life)) if half_life else np.float32(1)
        return np.asarray(weight * decay * np.float32(alpha), dtype=np.float32)

    def row_sums(self, side: Side, values: Floats) -> Floats:
        """The sum of each row's values."""
        sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        return (sums[side.start[1:]] - sums[side.start[:-1]]).astype(np.float32)

    def half_sweep(
        self, side: Side, confidence: Floats, solved: Floats, fixed: Floats, ridge: Floats, alpha0: float
    ) -> None:
        """Rotate both in place, then solve each row of `solved`."""
        with _threads() as each:
            gram = sum(each(_blocks(len(fixed)), lambda a, b: fixed[a:b].T @ fixed[a:b]), start=np.float64(0))
            values, basis = np.linalg.eigh(gram)
            dense = (alpha0 * np.maximum(values, 0)).astype(np.float32)
            basis = basis.astype(np.float32)

            def rotate(first: int, last: int) -> None:
                fixed[first:last] = fixed[first:last] @ basis

            def solve(first: int, last: int) -> None:
                solved[first:last] = solved[first:last] @ basis
                _solve(first, last, side.start, side.columns, confidence, solved, fixed, dense, ridge,
                       np.float32(alpha0), CG_STEPS)  # fmt: skip

            each(_blocks(len(fixed)), rotate)
            each(_even(side.start), solve)


@contextmanager
def _threads() -> Iterator[Callable[..., list[Any]]]:
    """A function that calls another on blocks (first, last), as many at a time as there are cores; results in order."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(count) as pool:
        yield lambda blocks, call: list(pool.map(lambda block: call(*block), blocks))


def _blocks(rows: int) -> list[tuple[int, int]]:
    return [(first, min(first + BLOCK, rows)) for first in range(0, rows, BLOCK)]


def _even(start: Indices) -> list[tuple[int, int]]:
    """Blocks of rows with about as many pairs each, at most BLOCK rows."""
    pairs = np.searchsorted(start, np.arange(0, start[-1], PAIRS), side="right") - 1
    edges = np.unique(np.concatenate([pairs, np.arange(0, len(start) - 1, BLOCK), [0, len(start) - 1]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


@jit(fastmath=FAST)
def _solve(
    first: int,
    last: int,
    start: Indices,
    columns: Any,
    confidence: Floats,
    solved: Floats,
    fixed: Floats,
    dense: Floats,
    ridge: Floats,
    alpha0: np.float32,
    steps: int,
) -> None:
    """Preconditioned conjugate gradients from each row's own values on; no row with pairs, no vector without."""
    factors = fixed.shape[1]
    longest = 0
    for row in range(first, last):
        longest = max(longest, start[row + 1] - start[row])
    met = np.empty((longest, factors), np.float32)  # read again in each step, so close together
    residual = np.empty(factors, np.float32)
    diagonal = np.empty(factors, np.float32)
    scale = np.empty(factors, np.float32)
    direction = np.empty(factors, np.float32)
    moved = np.empty(factors, np.float32)
    for row in range(first, last):
        x = solved[row]
        low, count = start[row], start[row + 1] - start[row]
        if not count:
            x[:] = 0
            continue
        for t in range(factors):
            diagonal[t] = dense[t] + ridge[row]
            scale[t] = diagonal[t]
            residual[t] = -diagonal[t] * x[t]
        for pair in range(count):
            y = fixed[columns[low + pair]]
            c = confidence[low + pair]
            score = np.float32(0)
            for t in range(factors):
                score += y[t] * x[t]
            pull = alpha0 + c * (np.float32(1) - score)
            for t in range(factors):
                met[pair, t] = y[t]
                residual[t] += pull * y[t]
                scale[t] += c * y[t] * y[t]
        left = np.float32(0)
        for t in range(factors):
            direction[t] = residual[t] / scale[t]
            left += residual[t] * direction[t]
        for step in range(steps):
            if left <= 0:
                break
            curve = np.float32(0)
            for t in range(factors):
                moved[t] = diagonal[t] * direction[t]
                curve += moved[t] * direction[t]
            for pair in range(count):
                y = met[pair]
                score = np.float32(0)
                for t in range(factors):
                    score += y[t] * direction[t]
                pull = confidence[low + pair] * score
                curve += pull * score
                if step + 1 < steps:
                    for t in range(factors):
                        moved[t] += pull * y[t]
            length = left / curve
            for t in range(factors):
                x[t] += length * direction[t]
            if step + 1 == steps:
                break
            before, left = left, np.float32(0)
            for t in range(factors):
                residual[t] -= length * moved[t]
                left += residual[t] * residual[t] / scale[t]
            for t in range(factors):
                direction[t] = residual[t] / scale[t] + left / before * direction[t]
