"""What users have met, in buckets of the store: packed for a publish, and read for one user.

A bucket holds the same users in the same order as the bucket of lists with its number (see
user_buckets.py). Its body is

    count         u2               the number of users
    fingerprints  (count, 6)
    ends          u4 (count,)      where each user's row ends, counted from the end of this array
    rows

and a row is

    newest        varint           the number of items with weight and age, at most meta["history"]
    older         varint           the number of items without them
    weights       f2 (newest,)     the sum of the weights of the user's events with the item
    ages          u2 (newest,)     the age of the last event at as_of, in 64ths of a day
    ids           varint (newest,), then varint (older,)

Item indices ascend within each of the two groups, and all but the first are stored as the distance
to the one before. A varint is LEB128: 7 bits a byte, the lowest first, and the eighth bit is set
when more bytes follow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import Float32Array, Int64Array
from dawnlist.store.history_kernels import (
    decode_item_deltas,
    measure_rows,
    write_headers,
    write_rows,
)
from dawnlist.store.layout import add_checksum
from dawnlist.store.user_buckets import BucketPlacement

AGE_STEPS_PER_DAY: Final = 64
MAX_NEWEST_PAIRS: Final = 200
"""The largest number of a user's items that are stored with weight and age."""
MAX_PAIR_WEIGHT: Final = 65504.0
"""Larger weights are stored as this one, the largest float16."""


@dataclass(frozen=True)
class Histories:
    """All users' histories as a CSR matrix, ready to be packed; see `encode_histories`."""

    indptr: Int64Array
    """(users + 1,), where each user's pairs begin and end."""
    item: npt.NDArray[np.int32]
    """(pairs,), item indices, ascending for each user."""
    is_newest: npt.NDArray[np.bool_]
    """(pairs,), whether the pair is stored with weight and age."""
    weight: npt.NDArray[np.uint16]
    """(pairs,), the bits of a float16."""
    age: npt.NDArray[np.uint16]
    """(pairs,), in 64ths of a day."""
    sizes: Int64Array
    """(users,), the bytes of each user's row."""


@dataclass(frozen=True)
class UserHistory:
    """What one user has met."""

    item_index: npt.NDArray[np.uint32]
    """(newest,), the items that were met last, ascending."""
    weight: Float32Array
    """(newest,), the sum of the event weights."""
    age: Float32Array
    """(newest,), days from the last event to as_of."""
    older: npt.NDArray[np.uint32]
    """(older,), the items that were met before the newest, ascending."""


def encode_histories(
    indptr: Int64Array,
    item: npt.NDArray[np.int32],
    weight: Float32Array,
    age: Float32Array,
    newest: int,
) -> Histories:
    """Round histories to the numbers that are stored, and choose the newest pairs of each user.

    Args:
        indptr: With item and weight a CSR matrix of users and items.
        item: The column of each pair; items ascend for each user.
        weight: The value of each pair; below 0 for an item that the user disliked.
        age: (pairs,), days from the last event to as_of.
        newest: The number of pairs of each user to store with weight and age.
    """
    # Of an item that the user disliked only the id is stored. It takes no place among the newest.
    is_disliked = weight < 0.0
    is_newest = _mark_newest(indptr, np.where(is_disliked, np.float32(np.inf), age), newest)
    is_newest &= ~is_disliked
    half_floats = np.minimum(weight, np.float32(MAX_PAIR_WEIGHT)).astype("<f2").view("<u2")
    age_steps = np.clip(np.rint(age * np.float32(AGE_STEPS_PER_DAY)), 0, 65535).astype("<u2")
    sizes = measure_rows(indptr, item, is_newest)
    return Histories(indptr, item, is_newest, half_floats, age_steps, sizes)


def compute_bucket_sizes(placed: BucketPlacement, histories: Histories) -> Int64Array:
    """Compute the bytes of each bucket's body; shape (buckets,)."""
    row_ends = np.concatenate([[0], histories.sizes[placed.order].cumsum()])
    return np.asarray(6 + 10 * np.diff(placed.begins) + np.diff(row_ends[placed.begins]))


def pack_history_buckets(
    placed: BucketPlacement, histories: Histories, buckets: range
) -> Iterator[bytes]:
    """Pack consecutive buckets and return their values, each with its checksum."""
    begins = placed.begins[buckets.start : buckets.stop + 1]
    users = begins - begins[0]
    selection = slice(int(begins[0]), int(begins[-1]))
    rows = placed.order[selection]
    sizes = histories.sizes[rows]
    row_ends = np.concatenate([[0], sizes.cumsum()])
    edges = 2 * np.arange(len(users)) + 10 * users + row_ends[users]
    packed = np.empty(int(edges[-1]), dtype=np.uint8)
    write_headers(users, edges, placed.fingerprint[selection], sizes, packed)
    write_rows(
        users,
        edges,
        rows,
        sizes,
        histories.indptr,
        histories.item,
        histories.is_newest,
        histories.weight,
        histories.age,
        packed,
    )
    body = packed.tobytes()
    return (add_checksum(body[begin:end]) for begin, end in pairwise(edges.tolist()))


def find_history(body: memoryview, fingerprint: bytes) -> UserHistory | None:
    """Find a user's history in a bucket's body, or return None.

    Args:
        body: What `layout.verify_checksum` returns.
        fingerprint: The 6 bytes that `user_buckets.locate_user` returns.
    """
    count = int.from_bytes(body[:2], "little")
    for row in range(count):
        if body[2 + 6 * row : 8 + 6 * row] == fingerprint:
            ends = np.frombuffer(body, "<u4", count, 2 + 6 * count)
            rows = body[2 + 10 * count :]
            begin = int(ends[row - 1]) if row else 0
            return _unpack_history(rows[begin : int(ends[row])])
    return None


def _unpack_history(row: memoryview) -> UserHistory:
    newest, position = _read_varint(row, 0)
    older, position = _read_varint(row, position)
    weight = np.frombuffer(row, "<f2", newest, position).astype(np.float32)
    age_steps = np.frombuffer(row, "<u2", newest, position + 2 * newest).astype(np.float32)
    age = age_steps / np.float32(AGE_STEPS_PER_DAY)
    deltas = np.frombuffer(row, np.uint8, offset=position + 4 * newest)
    ids = decode_item_deltas(deltas, newest, older)
    return UserHistory(ids[:newest], weight, age, ids[newest:])


def _read_varint(row: memoryview, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it."""
    value = 0
    shift = 0
    while row[position] & 0x80:
        value |= (row[position] & 0x7F) << shift
        shift += 7
        position += 1
    return value | row[position] << shift, position + 1


def _mark_newest(indptr: Int64Array, age: Float32Array, limit: int) -> npt.NDArray[np.bool_]:
    """Mark the `limit` newest pairs of each user; of equally old pairs the earlier item wins."""
    is_newest = np.ones(len(age), dtype=np.bool_)
    lengths = np.diff(indptr)
    exceeds_limit = np.repeat(lengths > limit, lengths)
    pairs = np.flatnonzero(exceeds_limit)
    user = np.repeat(np.arange(len(lengths)), lengths)[exceeds_limit]
    # Sorted by user first, so the users keep their order.
    order = np.lexsort((age[pairs], user))
    rank = np.arange(len(pairs)) - np.searchsorted(user, user)
    is_newest[pairs[order[rank >= limit]]] = False
    return is_newest
