"""The half sweep of our ALS on the CPU: BLAS for the dense part, a compiled loop for the rest."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from dawnlist.als.cpu_kernel import solve_rows
from dawnlist.als.pairs import CG_STEPS, SparsityPattern, decompose_gram
from dawnlist.arrays import AnyArray, Float32Array, Int64Array
from dawnlist.machine import cpu_cores
from dawnlist.machine.free_memory import measure_free_memory

BLOCK_ROWS: Final = 4096
"""Rows in a block of dense work, few enough for its vectors to stay in a core's cache."""
BLOCK_PAIRS: Final = 1 << 16
"""Pairs in a block of sparse work, few enough that no thread waits long for another."""


class CPUBackend:
    """A backend on NumPy arrays. It implements dawnlist.als.pairs.ALSBackend.

    The blocks do not depend on the number of threads, so the results do not either.
    """

    xp: Any = np

    def to_device(self, values: AnyArray) -> AnyArray:
        """Copy an array, in C order."""
        return np.array(values, order="C")

    to_numpy = to_device

    def free_bytes(self) -> int:
        """Measure the free memory of the machine or the container."""
        return measure_free_memory()

    def run_half_sweep(
        self,
        side: SparsityPattern,
        confidence: Float32Array,
        solved: Float32Array,
        fixed: Float32Array,
        ridge: Float32Array,
        alpha0: float,
    ) -> None:
        """Rotate `solved` and `fixed` in place, then solve the rows of `solved` in parallel."""
        with cpu_cores.open_thread_pool() as pool:
            fixed_blocks = _split_rows(len(fixed))
            gram = _compute_gram(pool, fixed, fixed_blocks)
            dense, basis = decompose_gram(np, gram, alpha0)
            _rotate(pool, fixed, basis, fixed_blocks)

            def solve_block(block: slice) -> None:
                solved[block] = solved[block] @ basis
                solve_rows(
                    block.start,
                    block.stop,
                    side.start,
                    side.columns,
                    confidence,
                    solved,
                    fixed,
                    dense,
                    ridge,
                    np.float32(alpha0),
                    CG_STEPS,
                )

            # A list waits for all blocks and raises their errors.
            list(pool.map(solve_block, _split_rows_by_pairs(side.start)))


def _rotate(
    pool: ThreadPoolExecutor, vectors: Float32Array, basis: Float32Array, blocks: list[slice]
) -> None:
    """Multiply the vectors by the basis, in place."""

    def rotate_block(block: slice) -> None:
        vectors[block] = vectors[block] @ basis

    list(pool.map(rotate_block, blocks))


def _compute_gram(pool: ThreadPoolExecutor, fixed: Float32Array, blocks: list[slice]) -> Any:
    """Compute the Gram matrix of `fixed`, adding the blocks in their order."""

    def multiply_block(block: slice) -> Any:
        return fixed[block].T @ fixed[block]

    return sum(pool.map(multiply_block, blocks), start=np.float64(0))


def _split_rows(rows: int) -> list[slice]:
    return [slice(first, min(first + BLOCK_ROWS, rows)) for first in range(0, rows, BLOCK_ROWS)]


def _split_rows_by_pairs(start: Int64Array) -> list[slice]:
    """Split the rows into blocks of about BLOCK_PAIRS pairs and at most BLOCK_ROWS rows."""
    rows = len(start) - 1
    pair_edges = np.searchsorted(start, np.arange(0, start[-1], BLOCK_PAIRS), side="right") - 1
    row_edges = np.arange(0, rows, BLOCK_ROWS)
    edges = np.unique(np.concatenate([pair_edges, row_edges, [0, rows]])).tolist()
    return [slice(first, last) for first, last in itertools.pairwise(edges)]
