"""Compiled loops that sort users into buckets and round their lists and vectors."""

from typing import Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import Float32Array, Int64Array
from dawnlist.machine.numba_jit import jit

ROUNDING_OFFSET: Final = np.float32(3 << 22)
"""Adding and then subtracting this rounds to the nearest whole number.

A processor does that for eight numbers at once.
"""


@jit()
def sort_by_fingerprint(
    bucket: Int64Array, fingerprint: npt.NDArray[np.uint64], begins: Int64Array
) -> Int64Array:
    """Return the users sorted by bucket, then by fingerprint.

    Each user is put into its bucket by insertion sort, since buckets are small.
    """
    order = np.empty(len(bucket), dtype=np.int64)
    ends = begins[:-1].copy()
    for user in range(len(bucket)):
        first = begins[bucket[user]]
        position = ends[bucket[user]]
        while position > first and fingerprint[order[position - 1]] > fingerprint[user]:
            order[position] = order[position - 1]
            position -= 1
        order[position] = user
        ends[bucket[user]] += 1
    return order


@jit()
def quantise_lists(
    rows: Int64Array,
    item_index: npt.NDArray[np.uint32],
    score: Float32Array,
    lengths: Int64Array,
    width: int,
) -> tuple[Float32Array, Float32Array, npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Round the lists of some users to the numbers that are stored.

    Returns the first and the last scores, shape (rows,), the items (rows, k, width) and the scores
    (rows, k).
    """
    k = item_index.shape[1]
    high = np.zeros(len(rows), dtype=np.float32)
    low = np.zeros(len(rows), dtype=np.float32)
    items = np.zeros((len(rows), k, width), dtype=np.uint8)
    scores = np.zeros((len(rows), k), dtype=np.uint8)
    for row in range(len(rows)):
        user = rows[row]
        if lengths[user]:
            high[row], low[row] = score[user, 0], score[user, lengths[user] - 1]
        step = np.float32(255) / (high[row] - low[row]) if high[row] > low[row] else np.float32(0)
        for rank in range(lengths[user]):
            scaled = (score[user, rank] - low[row]) * step
            scores[row, rank] = np.uint8(scaled + ROUNDING_OFFSET - ROUNDING_OFFSET)
            for byte in range(width):
                items[row, rank, byte] = np.uint8(item_index[user, rank] >> np.uint32(8 * byte))
    return high, low, items, scores


@jit()
def quantise_vectors(
    vectors: Float32Array, rows: Int64Array
) -> tuple[Float32Array, npt.NDArray[np.int8]]:
    """Round the vectors of some users; returns scales (rows,) and 8-bit vectors (rows, f)."""
    scales = np.zeros(len(rows), dtype=np.float32)
    quantised = np.zeros((len(rows), vectors.shape[1]), dtype=np.int8)
    for row in range(len(rows)):
        x = vectors[rows[row]]
        scale = np.float32(0)
        for i in range(len(x)):
            scale = max(scale, abs(x[i]))
        step = np.float32(127) / scale if scale > 0 else np.float32(0)
        scales[row] = scale
        for i in range(len(x)):
            quantised[row, i] = np.int8(x[i] * step + ROUNDING_OFFSET - ROUNDING_OFFSET)
    return scales, quantised
