"""Entries of a top-k list: a score and an item in one integer, which sorts by both."""

from typing import Final

import numpy as np

from dawnlist.arrays import Float32Array, Int32Array, Int64Array
from dawnlist.machine.numba_jit import jit

FLOAT32_ROUNDING: Final = 1e-6
"""How much a score in float32 may exceed the exact one, as a share of it, for each factor."""

LOW_BITS: Final = 0xFFFFFFFF
"""The low half of an entry, which holds the item with all its bits inverted."""

SIGN_FLIP_BITS: Final = 0x7FFFFFFF
"""The bits of a negative float to invert, so that the bits as an integer sort as the float does."""


@jit()
def pack_entry(score: np.float32, item: int) -> np.int64:
    """Pack a score and an item into a number that sorts by score, then by the smaller item."""
    # Adding 0 turns -0 into 0, so that both sort alike.
    bits = np.int64(np.float32(score + np.float32(0)).view(np.int32))
    return ((bits ^ ((bits >> 31) & SIGN_FLIP_BITS)) << 32) | (~item & LOW_BITS)


@jit()
def unpack_score(entry: np.int64) -> np.float32:
    """Return the score of an entry."""
    bits = entry >> 32
    return np.int32(bits ^ ((bits >> 31) & SIGN_FLIP_BITS)).view(np.float32)


@jit()
def unpack_scores(entries: Int64Array) -> Float32Array:
    """Return the scores of a matrix of entries, in its shape."""
    scores = np.empty(entries.shape, dtype=np.float32)
    for row in range(entries.shape[0]):
        for rank in range(entries.shape[1]):
            scores[row, rank] = unpack_score(entries[row, rank])
    return scores


@jit()
def insert_entry(best: Int64Array, row: int, entry: np.int64) -> None:
    """Insert an entry into a row in descending order. The row's last entry is lost."""
    rank = best.shape[1] - 1
    while rank > 0 and best[row, rank - 1] < entry:
        best[row, rank] = best[row, rank - 1]
        rank -= 1
    best[row, rank] = entry


@jit()
def contains_sorted(ordered: Int32Array, item: int) -> bool:
    """Search an ascending array by bisection. Without branches it is twice as fast as numba's."""
    low = 0
    size = len(ordered)
    while size > 1:
        half = size // 2
        low += half * (ordered[low + half] <= item)
        size -= half
    return size == 1 and ordered[low] == item
