"""What one user has met, read from a bucket of histories; store_histories.py says how it is stored."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import Float32Array
from dawnlist.machine.numba_jit import jit

AGE_STEPS_PER_DAY: Final = 64  # a day


@dataclass(frozen=True)
class UserHistory:
    """What a user has met."""

    item_index: npt.NDArray[np.uint32]
    """(newest,), ascending."""
    weight: Float32Array
    """(newest,), the sum of event weights."""
    age: Float32Array
    """(newest,), days before as_of."""
    older: npt.NDArray[np.uint32]
    """Item indices of what was met before the newest, ascending."""


def find_history(body: memoryview, fingerprint: bytes) -> UserHistory | None:
    """A user's history from a bucket's body (see store_layout.opened), or None."""
    count = int.from_bytes(body[:2], "little")
    for row in range(count):
        if body[2 + 6 * row : 8 + 6 * row] == fingerprint:
            ends = np.frombuffer(body, "<u4", count, 2 + 6 * count)
            first = 2 + 10 * count
            return unpack_history(
                body[first + (int(ends[row - 1]) if row else 0) : first + int(ends[row])]
            )
    return None


def unpack_history(row: memoryview) -> UserHistory:
    """A row."""
    newest, begin = _read_varint(row, 0)
    older, begin = _read_varint(row, begin)
    weight = np.frombuffer(row, "<f2", newest, begin).astype(np.float32)
    age = np.frombuffer(row, "<u2", newest, begin + 2 * newest).astype(np.float32) / np.float32(
        AGE_STEPS_PER_DAY
    )
    ids = _decode_deltas(np.frombuffer(row, np.uint8, offset=begin + 4 * newest), newest, older)
    return UserHistory(ids[:newest], weight, age, ids[newest:])


def _read_varint(row: memoryview, begin: int) -> tuple[int, int]:
    """A number and where the next one begins."""
    value = shift = 0
    while row[begin] & 0x80:
        value |= (row[begin] & 0x7F) << shift
        shift, begin = shift + 7, begin + 1
    return value | row[begin] << shift, begin + 1


@jit()
def _decode_deltas(
    packed: npt.NDArray[np.uint8], newest: int, older: int
) -> npt.NDArray[np.uint32]:
    ids = np.empty(newest + older, dtype=np.uint32)
    at = 0
    before = np.uint32(0)
    for i in range(newest + older):
        if i == newest:
            before = np.uint32(0)
        value = np.uint32(0)
        shift = np.uint32(0)
        while packed[at] & 0x80:
            value |= np.uint32(packed[at] & 0x7F) << shift
            shift += np.uint32(7)
            at += 1
        before += value | np.uint32(packed[at]) << shift
        at += 1
        ids[i] = before
    return ids
