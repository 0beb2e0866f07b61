"""The half sweep of our ALS in whole arrays, for the GPU by CuPy; under NumPy it is what the tests compare with.

All rows of a block go through their conjugate gradients together. Two operations touch the pairs: the score of each
pair (a dot product of two gathered vectors) and the sum of each row's weighted vectors (sparse times dense).
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.als.pairs import CG_STEPS, EIGENVALUE_FLOOR, SparsityPattern
from dawnlist.machine.free_memory import measure_free_memory

ALS_BLOCK_BYTES: Final = 1 << 30
"""Of a block's rows, and under NumPy of the vectors that are gathered for its pairs."""


class ArrayBackend:
    """See dawnlist.als.ials.Device. xp: cupy, or numpy."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self._on_gpu = xp is not np
        if self._on_gpu:
            from dawnlist.als.cuda_kernels import CUDAKernels

            self.pairwise: Any = CUDAKernels(xp)
        else:
            self.pairwise = _NumPyKernels()

    def array(self, values: npt.NDArray[Any]) -> Any:
        """A copy, whole and in C order."""
        return self.xp.array(values, order="C")

    def numpy(self, values: Any) -> npt.NDArray[Any]:
        """A copy in main memory."""
        return np.array(values.get() if self._on_gpu else values)

    def free(self) -> int:
        """Bytes that the GPU has left: CuPy's pool keeps what it freed."""
        if not self._on_gpu:
            return measure_free_memory()
        return int(
            self.xp.cuda.runtime.memGetInfo()[0] + self.xp.get_default_memory_pool().free_bytes()
        )

    def half_sweep(
        self,
        side: SparsityPattern,
        confidence: Any,
        solved: Any,
        fixed: Any,
        ridge: Any,
        alpha0: float,
    ) -> None:
        """Rotate both in place, then solve each row of `solved`, a block at a time."""
        xp = self.xp
        values, basis = xp.linalg.eigh((fixed.T @ fixed).astype(np.float64))
        dense = (alpha0 * xp.maximum(values, EIGENVALUE_FLOOR * values[-1])).astype(np.float32)
        basis = basis.astype(np.float32)
        fixed[:] = fixed @ basis
        squared = fixed * fixed
        for first, last in self._blocks(side, fixed.shape[1]):
            block = _RowBlock(self, side, confidence, fixed, first, last)
            diagonal = dense + ridge[first:last, None]
            solved[first:last] = self._solved(
                block, solved[first:last] @ basis, diagonal, squared, np.float32(alpha0)
            )

    def _solved(
        self, block: "_RowBlock", x: Any, diagonal: Any, squared: Any, alpha0: np.float32
    ) -> Any:
        """Preconditioned conjugate gradients from x on; rows without pairs are zero."""
        xp = self.xp
        residual = block.summed(alpha0 + block.confidence * (1 - block.scores(x))) - diagonal * x
        scale = diagonal + block.summed(block.confidence, squared)
        direction = residual / scale
        left = (residual * direction).sum(axis=1)
        for _ in range(CG_STEPS):
            moved = diagonal * direction + block.summed(block.confidence * block.scores(direction))
            length = _divide_or_zero(xp, left, (moved * direction).sum(axis=1))
            x += length * direction
            residual -= length * moved
            before, left = left, (residual * residual / scale).sum(axis=1)
            direction = residual / scale + _divide_or_zero(xp, left, before) * direction
        x[block.empty] = 0
        return x

    def _blocks(self, side: SparsityPattern, factors: int) -> Iterator[tuple[int, int]]:
        """Blocks of rows whose own eight vectors, and the two of each pair that NumPy gathers, take BLOCK_BYTES."""
        start = self.numpy(side.start)
        gathered = 0 if self._on_gpu else 2
        cost = (gathered * start + 8 * np.arange(len(start))) * 4 * factors
        first = 0
        while first < side.rows:
            last = int(np.searchsorted(cost, cost[first] + ALS_BLOCK_BYTES, side="right")) - 1
            last = min(side.rows, max(first + 1, last))
            yield first, last
            first = last


class _RowBlock:
    """The pairs of rows [first, last)."""

    def __init__(
        self,
        arrays: ArrayBackend,
        side: SparsityPattern,
        confidence: Any,
        fixed: Any,
        first: int,
        last: int,
    ) -> None:
        xp = arrays.xp
        low, high = int(side.start[first]), int(side.start[last])
        self._pairwise, self._fixed = arrays.pairwise, fixed
        self._start = side.start[first : last + 1] - low
        self._columns = side.columns[low:high]
        self.confidence = confidence[low:high]
        self.empty = xp.diff(self._start) == 0
        self._rows = xp.searchsorted(self._start, xp.arange(high - low), side="right") - 1

    def scores(self, left: Any) -> Any:
        """left[row] . fixed[column] of each pair."""
        return self._pairwise.scores(left, self._fixed, self._rows, self._columns)

    def summed(self, weights: Any, vectors: Any = None) -> Any:
        """sum of weight times vectors[column] over each row's pairs; `fixed` where no vectors are given."""
        right = self._fixed if vectors is None else vectors
        return self._pairwise.summed(weights, right, self._start, self._columns)


class _NumPyKernels:
    """What dawnlist.als.cuda_kernels.Kernels computes, in NumPy."""

    def scores(self, left: Any, right: Any, rows: Any, columns: Any) -> Any:
        return np.einsum("pf,pf->p", left[rows], right[columns])

    def summed(self, weights: Any, right: Any, start: Any, columns: Any) -> Any:
        return csr_matrix((weights, columns, start), shape=(len(start) - 1, len(right))) @ right


def _divide_or_zero(xp: Any, over: Any, under: Any) -> Any:
    """over / under, 0 where nothing is left to do; a column."""
    return xp.where(under > 0, over / xp.where(under > 0, under, 1), 0)[:, None].astype(np.float32)
