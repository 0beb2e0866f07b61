"""CUDA kernels for two operations that are slow in CuPy. They read each pair's vectors once."""

from typing import Any, Final

import numpy as np

WARP_SIZE: Final = 32
PAIRS_PER_CUDA_BLOCK: Final = 8
"""How many pairs a block of threads reads at a time."""
_CUDA_SOURCE: Final = r"""
extern "C" __global__ void score_pairs(
        const float* left, const float* right, const long long* row, const int* column,
        float* out, const long long pairs, const int factors) {
    // One warp computes one pair: its 32 lanes read 32 neighbouring factors at a time.
    const long long pair = (blockIdx.x * (long long) blockDim.x + threadIdx.x) / 32;
    const int lane = threadIdx.x % 32;
    if (pair >= pairs) return;  // All lanes of the warp return together.
    const float* a = left + row[pair] * factors;
    const float* b = right + column[pair] * (long long) factors;
    float sum = 0;
    for (int t = lane; t < factors; t += 32) sum += a[t] * b[t];
    for (int apart = 16; apart; apart /= 2) sum += __shfl_down_sync(0xffffffff, sum, apart);
    if (lane == 0) out[pair] = sum;
}

extern "C" __global__ void sum_rows(
        const float* weight, const float* right, const long long* start, const int* column,
        float* out, const int factors) {
    // One block computes 32 factors of a row. x selects the factor, and each of the eight y
    // takes every eighth pair. The eight partial sums are then added in a fixed order.
    __shared__ float partial[8][32];
    const long long row = blockIdx.x;
    const int t = blockIdx.y * 32 + threadIdx.x;
    float sum = 0;
    if (t < factors)
        for (long long pair = start[row] + threadIdx.y; pair < start[row + 1]; pair += 8)
            sum += weight[pair] * right[column[pair] * (long long) factors + t];
    partial[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y || t >= factors) return;
    for (int group = 1; group < 8; group++) sum += partial[group][threadIdx.x];
    out[row * factors + t] = sum;
}
"""


class CUDAKernels:
    """The compiled kernels.

    All arrays are CuPy's, in C order: float32 values, int64 starts and rows, int32 columns.
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._score_pairs = cupy.RawKernel(_CUDA_SOURCE, "score_pairs")
        self._sum_rows = cupy.RawKernel(_CUDA_SOURCE, "sum_rows")

    def score_pairs(self, left: Any, right: Any, rows: Any, columns: Any) -> Any:
        """Compute the dot product left[row] . right[column] of each pair, shape (pairs,)."""
        pairs = len(columns)
        scores = self._cupy.empty(pairs, np.float32)
        if pairs == 0:
            return scores
        factors = left.shape[1]
        grid = (_divide_rounding_up(pairs, PAIRS_PER_CUDA_BLOCK),)
        block = (WARP_SIZE * PAIRS_PER_CUDA_BLOCK,)
        arguments = (left, right, rows, columns, scores, np.int64(pairs), np.int32(factors))
        self._score_pairs(grid, block, arguments)
        return scores

    def sum_rows(self, weights: Any, right: Any, start: Any, columns: Any) -> Any:
        """Sum weight times right[column] over the pairs of each row, shape (rows, factors)."""
        rows = len(start) - 1
        factors = right.shape[1]
        sums = self._cupy.empty((rows, factors), np.float32)
        if rows == 0:
            return sums
        grid = (rows, _divide_rounding_up(factors, WARP_SIZE))
        block = (WARP_SIZE, PAIRS_PER_CUDA_BLOCK)
        arguments = (weights, right, start, columns, sums, np.int32(factors))
        self._sum_rows(grid, block, arguments)
        return sums


def _divide_rounding_up(amount: int, size: int) -> int:
    return (amount + size - 1) // size
