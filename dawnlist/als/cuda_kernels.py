"""Two operations on pairs that CuPy has no fast form of, as CUDA kernels that read the pairs' vectors just once."""

from typing import Any, Final

import numpy as np

WARP_SIZE: Final = 32
PAIRS_PER_CUDA_BLOCK: Final = 8
"""Pairs that a block reads at a time."""
_CUDA_SOURCE: Final = r"""
extern "C" __global__ void scores(const float* left, const float* right, const long long* row, const int* column,
                                  float* out, const long long pairs, const int factors) {
    // a warp a pair: 32 lanes read 32 neighbouring factors at a time
    const long long pair = (blockIdx.x * (long long) blockDim.x + threadIdx.x) / 32;
    const int lane = threadIdx.x % 32;
    if (pair >= pairs) return;  // the whole warp at once
    const float* a = left + row[pair] * factors;
    const float* b = right + column[pair] * (long long) factors;
    float sum = 0;
    for (int t = lane; t < factors; t += 32) sum += a[t] * b[t];
    for (int apart = 16; apart; apart /= 2) sum += __shfl_down_sync(0xffffffff, sum, apart);
    if (lane == 0) out[pair] = sum;
}

extern "C" __global__ void summed(const float* weight, const float* right, const long long* start, const int* column,
                                  float* out, const int factors) {
    // a block for 32 factors of a row: x the factor, y which of eight pairs; then the eight are added up, in order
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
    """The compiled kernels; all arrays are CuPy's, in C order: float32, int64 starts and rows, int32 columns."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._scores, self._summed = (
            cupy.RawKernel(_CUDA_SOURCE, name) for name in ("scores", "summed")
        )

    def scores(self, left: Any, right: Any, rows: Any, columns: Any) -> Any:
        """left[row] . right[column] of each pair."""
        out = self._cupy.empty(len(columns), np.float32)
        if len(out):
            given = (left, right, rows, columns, out, np.int64(len(out)), np.int32(left.shape[1]))
            self._scores(
                ((len(out) + PAIRS_PER_CUDA_BLOCK - 1) // PAIRS_PER_CUDA_BLOCK,),
                (WARP_SIZE * PAIRS_PER_CUDA_BLOCK,),
                given,
            )
        return out

    def summed(self, weights: Any, right: Any, start: Any, columns: Any) -> Any:
        """Row by row, the sum of weight times right[column] over the row's pairs."""
        rows, factors = len(start) - 1, right.shape[1]
        out = self._cupy.empty((rows, factors), np.float32)
        if rows:
            blocks = (rows, (factors + WARP_SIZE - 1) // WARP_SIZE)
            self._summed(
                blocks,
                (WARP_SIZE, PAIRS_PER_CUDA_BLOCK),
                (weights, right, start, columns, out, np.int32(factors)),
            )
        return out
