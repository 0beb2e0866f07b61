"""Compiled loops that pack and read the rows of histories; histories.py describes the format."""

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import Int64Array, UInt8Array
from dawnlist.machine.numba_jit import jit


@jit()
def decode_item_deltas(packed: UInt8Array, newest: int, older: int) -> npt.NDArray[np.uint32]:
    """Decode the item indices of both groups, shape (newest + older,)."""
    ids = np.empty(newest + older, dtype=np.uint32)
    position = 0
    previous = np.uint32(0)
    for i in range(newest + older):
        if i == newest:
            previous = np.uint32(0)
        value = np.uint32(0)
        shift = np.uint32(0)
        while packed[position] & 0x80:
            value |= np.uint32(packed[position] & 0x7F) << shift
            shift += np.uint32(7)
            position += 1
        previous += value | np.uint32(packed[position]) << shift
        position += 1
        ids[i] = previous
    return ids


@jit()
def _measure_varint(value: int) -> int:
    """Return the number of bytes of a varint."""
    length = 1
    while value >= 128:
        value >>= 7
        length += 1
    return length


@jit()
def measure_rows(
    indptr: Int64Array, item: npt.NDArray[np.int32], is_newest: npt.NDArray[np.bool_]
) -> Int64Array:
    """Compute the bytes of each user's row; shape (users,)."""
    sizes = np.empty(len(indptr) - 1, dtype=np.int64)
    for user in range(len(indptr) - 1):
        newest = 0
        size = 0
        previous_newest = 0
        previous_older = 0
        for i in range(indptr[user], indptr[user + 1]):
            if is_newest[i]:
                size += 4 + _measure_varint(item[i] - previous_newest)
                previous_newest = item[i]
                newest += 1
            else:
                size += _measure_varint(item[i] - previous_older)
                previous_older = item[i]
        older = indptr[user + 1] - indptr[user] - newest
        sizes[user] = size + _measure_varint(newest) + _measure_varint(older)
    return sizes


@jit()
def _write_varint(packed: UInt8Array, position: int, value: int) -> int:
    """Write a varint and return the position after it."""
    while value >= 128:
        packed[position] = (value & 0x7F) | 0x80
        value >>= 7
        position += 1
    packed[position] = value
    return position + 1


@jit()
def write_headers(
    users: Int64Array,
    edges: Int64Array,
    fingerprint: npt.NDArray[np.uint64],
    sizes: Int64Array,
    packed: UInt8Array,
) -> None:
    """Write each bucket's count, fingerprints and ends.

    Bucket b begins at edges[b] and holds the users users[b] to users[b + 1].
    """
    for bucket in range(len(users) - 1):
        count = users[bucket + 1] - users[bucket]
        begin = edges[bucket]
        packed[begin], packed[begin + 1] = count & 0xFF, count >> 8
        fingerprints = begin + 2
        ends = fingerprints + 6 * count
        row_end = 0
        for row in range(count):
            user = users[bucket] + row
            row_end += sizes[user]
            for byte in range(6):
                shifted = fingerprint[user] >> np.uint64(8 * byte)
                packed[fingerprints + 6 * row + byte] = shifted & np.uint64(0xFF)
            for byte in range(4):
                packed[ends + 4 * row + byte] = (row_end >> (8 * byte)) & 0xFF


@jit()
def write_rows(
    users: Int64Array,
    edges: Int64Array,
    rows: Int64Array,
    sizes: Int64Array,
    indptr: Int64Array,
    item: npt.NDArray[np.int32],
    is_newest: npt.NDArray[np.bool_],
    weight: npt.NDArray[np.uint16],
    age: npt.NDArray[np.uint16],
    packed: UInt8Array,
) -> None:
    """Write the rows of all buckets; `rows` says which row of the matrix each user has."""
    for bucket in range(len(users) - 1):
        position = edges[bucket] + 2 + 10 * (users[bucket + 1] - users[bucket])
        for user in range(users[bucket], users[bucket + 1]):
            begin, end = indptr[rows[user]], indptr[rows[user] + 1]
            _write_row(
                packed,
                position,
                item[begin:end],
                is_newest[begin:end],
                weight[begin:end],
                age[begin:end],
            )
            position += sizes[user]


@jit()
def _write_row(
    packed: UInt8Array,
    position: int,
    item: npt.NDArray[np.int32],
    is_newest: npt.NDArray[np.bool_],
    weight: npt.NDArray[np.uint16],
    age: npt.NDArray[np.uint16],
) -> None:
    newest = 0
    for flag in is_newest:
        newest += flag
    position = _write_varint(packed, position, newest)
    position = _write_varint(packed, position, len(item) - newest)
    for values in (weight, age):
        for i in range(len(item)):
            if is_newest[i]:
                packed[position], packed[position + 1] = values[i] & 0xFF, values[i] >> 8
                position += 2
    for group in (True, False):
        previous = 0
        for i in range(len(item)):
            if is_newest[i] == group:
                position = _write_varint(packed, position, item[i] - previous)
                previous = item[i]
