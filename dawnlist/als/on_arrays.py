"""The half sweep of our ALS in whole arrays: with CuPy for the GPU, with NumPy for the tests.

All rows of a block take their steps of conjugate gradients together. Two operations read the pairs:
the score of each pair (a dot product of two gathered vectors) and the sum of each row's weighted
vectors (sparse times dense)."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.als.cuda_kernels import CUDAKernels
from dawnlist.als.pairs import CG_EPSILON, CG_STEPS, SparsityPattern, decompose_gram
from dawnlist.arrays import AnyArray
from dawnlist.machine.free_memory import measure_free_memory

ALS_BLOCK_BYTES: Final = 1 << 30
"""Memory for the vectors of a block's rows, and with NumPy for those gathered for its pairs."""


class ArrayBackend:
    """A backend on the arrays of `xp`, cupy or numpy. See dawnlist.als.pairs.ALSBackend."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self._on_gpu = xp is not np
        self.kernels: Any = CUDAKernels(xp) if self._on_gpu else _NumPyKernels()
        """The two operations that read the pairs."""

    def to_device(self, values: AnyArray) -> Any:
        """Copy an array to the device, in C order."""
        return self.xp.array(values, order="C")

    def to_numpy(self, values: Any) -> AnyArray:
        """Copy an array to main memory."""
        if self._on_gpu:
            values = values.get()
        return np.array(values)

    def free_bytes(self) -> int:
        """Measure the free memory of the GPU, or of this machine with NumPy."""
        if not self._on_gpu:
            return measure_free_memory()
        unallocated = self.xp.cuda.runtime.memGetInfo()[0]
        # CuPy's pool keeps the memory that arrays have released.
        pooled = self.xp.get_default_memory_pool().free_bytes()
        return int(unallocated + pooled)

    def run_half_sweep(
        self,
        side: SparsityPattern,
        confidence: Any,
        solved: Any,
        fixed: Any,
        ridge: Any,
        alpha0: float,
    ) -> None:
        """Rotate both sides in place, then solve the rows of `solved`, a block at a time."""
        xp = self.xp
        dense, basis = decompose_gram(xp, (fixed.T @ fixed).astype(np.float64), alpha0)
        fixed[:] = fixed @ basis
        squared = fixed * fixed
        for first, last in self._split_rows(side, fixed.shape[1]):
            block = _RowBlock(self, side, confidence, fixed, first, last)
            rotated = solved[first:last] @ basis
            diagonal = dense + ridge[first:last, None]
            solved[first:last] = self._solve_block(
                block, rotated, diagonal, squared, np.float32(alpha0)
            )

    def _solve_block(
        self, block: "_RowBlock", x: Any, diagonal: Any, squared: Any, alpha0: np.float32
    ) -> Any:
        """Improve x by preconditioned conjugate gradients. Rows without pairs become zero.

        `scale` is the diagonal of the whole matrix, which is the preconditioner, and rho is the
        squared norm of the preconditioned residual."""
        xp = self.xp
        pull = alpha0 + block.confidence * (1 - block.score_pairs(x))
        residual = block.sum_rows(pull) - diagonal * x
        scale = diagonal + block.sum_rows(block.confidence, squared)
        direction = residual / scale
        rho = (residual * direction).sum(axis=1)
        is_unsolved = ~block.empty
        for _ in range(CG_STEPS):
            scores = block.score_pairs(direction)
            product = diagonal * direction + block.sum_rows(block.confidence * scores)
            curvature = (product * direction).sum(axis=1)
            is_unsolved &= (rho >= CG_EPSILON) & (curvature >= CG_EPSILON)
            length = _divide_where(xp, is_unsolved, rho, curvature)
            x += length * direction
            residual -= length * product
            previous_rho = rho
            rho = (residual * residual / scale).sum(axis=1)
            direction = (
                residual / scale + _divide_where(xp, is_unsolved, rho, previous_rho) * direction
            )
        x[block.empty] = 0
        return x

    def _split_rows(self, side: SparsityPattern, factors: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of rows whose temporary vectors take at most ALS_BLOCK_BYTES.

        A row needs eight vectors. NumPy also gathers two vectors for each pair.
        """
        start = self.to_numpy(side.start)
        vectors_per_pair = 0 if self._on_gpu else 2
        cost = (vectors_per_pair * start + 8 * np.arange(len(start))) * 4 * factors
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
        backend: ArrayBackend,
        side: SparsityPattern,
        confidence: Any,
        fixed: Any,
        first: int,
        last: int,
    ) -> None:
        xp = backend.xp
        low = int(side.start[first])
        high = int(side.start[last])
        self._kernels = backend.kernels
        self._fixed = fixed
        self._start = side.start[first : last + 1] - low
        self._columns = side.columns[low:high]
        self.confidence = confidence[low:high]
        self.empty = xp.diff(self._start) == 0
        self._rows = xp.searchsorted(self._start, xp.arange(high - low), side="right") - 1

    def score_pairs(self, left: Any) -> Any:
        """Compute left[row] . fixed[column] of each pair."""
        return self._kernels.score_pairs(left, self._fixed, self._rows, self._columns)

    def sum_rows(self, weights: Any, vectors: Any = None) -> Any:
        """Sum weight times vectors[column] over each row's pairs; the default is `fixed`."""
        if vectors is None:
            vectors = self._fixed
        return self._kernels.sum_rows(weights, vectors, self._start, self._columns)


class _NumPyKernels:
    """The operations of dawnlist.als.cuda_kernels.CUDAKernels, in NumPy."""

    def score_pairs(self, left: Any, right: Any, rows: Any, columns: Any) -> Any:
        return np.einsum("pf,pf->p", left[rows], right[columns])

    def sum_rows(self, weights: Any, right: Any, start: Any, columns: Any) -> Any:
        return csr_matrix((weights, columns, start), shape=(len(start) - 1, len(right))) @ right


def _divide_where(xp: Any, condition: Any, numerator: Any, denominator: Any) -> Any:
    """Divide two arrays into a column, shape (n, 1), with 0 in rows without the condition."""
    quotient = numerator / xp.where(condition, denominator, 1)
    return xp.where(condition, quotient, 0)[:, None].astype(np.float32)
