"""What users have met, as it is stored: the newest with weight and age, the others by their ids.

A bucket holds the same users in the same order as the bucket of lists of its number (see store_rows.py):

    count         u2               users
    fingerprints  (count, 6)
    ends          u4 (count,)      where each user's row ends, counted from the end of this array
    rows

and a row is

    newest        varint           how many are with weight and age, at most meta["history"]
    older         varint           how many are not
    weights       f2 (newest,)     the sum of the weights of the pair's events
    ages          u2 (newest,)     days before as_of of the pair's last event, in 64ths
    ids           varint (newest,), then varint (older,)

Item indices ascend within each of the two groups, and all but the first are given as the distance to the one before. A
varint is LEB128: 7 bits a byte, the lowest first, the eighth bit set when more follow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import Float32Array, Int64Array, UInt8Array
from dawnlist.machine.numba_jit import jit
from dawnlist.store.history import AGE_STEPS_PER_DAY
from dawnlist.store.layout import add_checksum
from dawnlist.store.user_buckets import BucketPlacement

MAX_NEWEST_PAIRS: Final = 200
MAX_PAIR_WEIGHT: Final = 65504.0  # the largest float16


@dataclass(frozen=True)
class Histories:
    """All users' histories, ready to be packed; `prepared` makes them."""

    indptr: Int64Array
    item: npt.NDArray[np.int32]
    is_newest: npt.NDArray[np.bool_]
    weight: npt.NDArray[np.uint16]
    """The bits of a float16."""
    age: npt.NDArray[np.uint16]
    sizes: Int64Array
    """(users,), bytes of each user's row."""


def encode_histories(
    indptr: Int64Array,
    item: npt.NDArray[np.int32],
    weight: Float32Array,
    age: Float32Array,
    newest: int,
) -> Histories:
    """Histories from the parts of a CSR matrix, item indices ascending in each row."""
    chosen = _mark_newest(indptr, age, newest)
    small = np.minimum(weight, np.float32(MAX_PAIR_WEIGHT)).astype("<f2").view("<u2")
    steps = np.clip(np.rint(age * np.float32(AGE_STEPS_PER_DAY)), 0, 65535).astype("<u2")
    return Histories(indptr, item, chosen, small, steps, _measure_rows(indptr, item, chosen))


def compute_bucket_sizes(placed: BucketPlacement, histories: Histories) -> Int64Array:
    """Bytes of each bucket's value; shape (buckets,)."""
    rows = np.concatenate([[0], histories.sizes[placed.order].cumsum()])
    return np.asarray(6 + 10 * np.diff(placed.begins) + np.diff(rows[placed.begins]))


def pack_history_buckets(
    placed: BucketPlacement, histories: Histories, buckets: range
) -> Iterator[bytes]:
    """The values of some buckets in a row."""
    begins = placed.begins[buckets.start : buckets.stop + 1]
    where = slice(int(begins[0]), int(begins[-1]))
    rows, users = placed.order[where], begins - begins[0]
    sizes = histories.sizes[rows]
    edges = 2 * np.arange(len(users)) + 10 * users + np.concatenate([[0], sizes.cumsum()])[users]
    packed = np.empty(int(edges[-1]), dtype=np.uint8)
    _put_heads(users, edges, placed.fingerprint[where], sizes, packed)
    columns = histories.indptr, histories.item, histories.is_newest, histories.weight, histories.age
    _put_rows(users, edges, rows, sizes, *columns, packed)
    body = packed.tobytes()
    return (add_checksum(body[begin:end]) for begin, end in pairwise(edges.tolist()))


def _mark_newest(indptr: Int64Array, age: Float32Array, most: int) -> npt.NDArray[np.bool_]:
    """Whether each pair is among the `most` newest of its user; of equally old ones the earlier item is."""
    chosen = np.ones(len(age), dtype=np.bool_)
    lengths = np.diff(indptr)
    many = np.repeat(lengths > most, lengths)
    pairs, user = np.flatnonzero(many), np.repeat(np.arange(len(lengths)), lengths)[many]
    order = np.lexsort((age[pairs], user))  # the users' order stays
    rank = np.arange(len(pairs)) - np.searchsorted(user, user)
    chosen[pairs[order[rank >= most]]] = False
    return chosen


@jit()
def _measure_varint(value: int) -> int:
    """Bytes of a varint."""
    length = 1
    while value >= 128:
        value >>= 7
        length += 1
    return length


@jit()
def _measure_rows(
    indptr: Int64Array, item: npt.NDArray[np.int32], is_newest: npt.NDArray[np.bool_]
) -> Int64Array:
    sizes = np.empty(len(indptr) - 1, dtype=np.int64)
    for user in range(len(indptr) - 1):
        newest, size, before, before_older = 0, 0, 0, 0
        for i in range(indptr[user], indptr[user + 1]):
            if is_newest[i]:
                size += 4 + _measure_varint(item[i] - before)
                before = item[i]
                newest += 1
            else:
                size += _measure_varint(item[i] - before_older)
                before_older = item[i]
        older = indptr[user + 1] - indptr[user] - newest
        sizes[user] = size + _measure_varint(newest) + _measure_varint(older)
    return sizes


@jit()
def _put_varint(packed: UInt8Array, at: int, value: int) -> int:
    """Write a varint; returns where the next one goes."""
    while value >= 128:
        packed[at] = (value & 0x7F) | 0x80
        value >>= 7
        at += 1
    packed[at] = value
    return at + 1


@jit()
def _put_heads(
    users: Int64Array,
    edges: Int64Array,
    fingerprint: npt.NDArray[np.uint64],
    sizes: Int64Array,
    packed: UInt8Array,
) -> None:
    """Write what stands before the rows of each bucket, whose users are users[b] to users[b + 1]."""
    for bucket in range(len(users) - 1):
        count, at, end = users[bucket + 1] - users[bucket], edges[bucket], 0
        packed[at], packed[at + 1] = count & 0xFF, count >> 8
        for place in range(count):
            user = users[bucket] + place
            end += sizes[user]
            for byte in range(6):
                packed[at + 2 + 6 * place + byte] = (
                    fingerprint[user] >> np.uint64(8 * byte)
                ) & np.uint64(0xFF)
            for byte in range(4):
                packed[at + 2 + 6 * count + 4 * place + byte] = (end >> (8 * byte)) & 0xFF


@jit()
def _put_rows(
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
    for bucket in range(len(users) - 1):
        at = edges[bucket] + 2 + 10 * (users[bucket + 1] - users[bucket])
        for user in range(users[bucket], users[bucket + 1]):
            begin, end = indptr[rows[user]], indptr[rows[user] + 1]
            _put_row(
                packed, at, item[begin:end], is_newest[begin:end], weight[begin:end], age[begin:end]
            )
            at += sizes[user]


@jit()
def _put_row(
    packed: UInt8Array,
    at: int,
    item: npt.NDArray[np.int32],
    is_newest: npt.NDArray[np.bool_],
    weight: npt.NDArray[np.uint16],
    age: npt.NDArray[np.uint16],
) -> None:
    newest = 0
    for one in is_newest:
        newest += one
    at = _put_varint(packed, _put_varint(packed, at, newest), len(item) - newest)
    for values in (weight, age):
        for i in range(len(item)):
            if is_newest[i]:
                packed[at], packed[at + 1] = values[i] & 0xFF, values[i] >> 8
                at += 2
    for group in (True, False):
        before = 0
        for i in range(len(item)):
            if is_newest[i] == group:
                at = _put_varint(packed, at, item[i] - before)
                before = item[i]
