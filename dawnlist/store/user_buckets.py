"""Users' lists and vectors in the store: buckets of fixed records, packed and unpacked.

A user is in bucket B = h % buckets, where h is the blake2b of the id's UTF-8 bytes (8 bytes, little-endian, with the
version's salt), and is told from the bucket's other users by a fingerprint, h >> 16, of 6 bytes. A bucket's body is an
array of records, ascending by fingerprint, of

    fingerprint   6 bytes
    n             u1               entries of the list, at most k
    high, low     f4, f4           the best and the last of their scores
    items         (k, id_width)    item indices, best first; zero from n on
    scores        u1 (k,)          score = low + (high - low) * u1 / 255
    scale         f4
    vector        i1 (f,)          x = scale * i1 / 127
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import Float32Array, Int64Array
from dawnlist.machine.numba_jit import jit
from dawnlist.store.layout import VersionMeta, add_checksum

USERS_PER_BUCKET: Final = 16
SALT_BYTES: Final = 8
MAX_LIST_LENGTH: Final = 255
ROUNDING_OFFSET: Final = np.float32(3 << 22)
"""Added and taken away it leaves the nearest whole number, which a processor does for eight at once."""

ListColumns = tuple[npt.NDArray[np.uint32], Float32Array, Int64Array]
"""Item indices (users, k), scores (users, k) and lengths (users,) of lists."""


@dataclass(frozen=True)
class StoredUser:
    """What the store knows of a user."""

    item_index: npt.NDArray[np.uint32]
    """(n,), best first."""
    score: Float32Array
    """(n,), aligned with item_index."""
    vector: Float32Array
    """(f,)."""


@dataclass(frozen=True)
class BucketPlacement:
    """Which users a bucket holds: rows order[begins[B]:begins[B + 1]], ascending by fingerprint."""

    salt: bytes
    order: Int64Array
    """(users,)."""
    begins: Int64Array
    """(buckets + 1,)."""
    fingerprint: npt.NDArray[np.uint64]
    """(users,), aligned with `order`."""

    @property
    def buckets(self) -> int:
        return len(self.begins) - 1


def build_record_dtype(k: int, id_width: int, factors: int) -> np.dtype[Any]:
    """The type of a bucket's records."""
    return np.dtype(
        [
            ("fingerprint", "u1", (6,)),
            ("n", "u1"),
            ("high", "<f4"),
            ("low", "<f4"),
            ("items", "u1", (k, id_width)),
            ("scores", "u1", (k,)),
            ("scale", "<f4"),
            ("vector", "i1", (factors,)),
        ]
    )


def build_version_dtype(meta: VersionMeta) -> np.dtype[Any]:
    """The type of the records of a version."""
    return build_record_dtype(meta["k"], meta["id_width"], meta["factors"])


def choose_id_width(items: int) -> int:
    """Bytes of an item index: 2, 3 or 4."""
    return 2 if items <= 1 << 16 else 3 if items <= 1 << 24 else 4


def locate_user(user_id: str, salt: bytes, buckets: int) -> tuple[int, bytes]:
    """A user's bucket and fingerprint."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8, salt=salt).digest()
    return int.from_bytes(digest, "little") % buckets, digest[2:]


def assign_buckets(user_ids: Sequence[str] | npt.NDArray[np.object_], seed: str) -> BucketPlacement:
    """Spread the users over buckets; the same users and seed give the same places.

    Two users of one address would answer for each other: then another salt is taken.
    """
    buckets = max(1, -(-len(user_ids) // USERS_PER_BUCKET))
    for attempt in range(16):
        salt = hashlib.blake2b(f"{attempt}:{seed}".encode(), digest_size=SALT_BYTES).digest()
        hashes = _hash_users(user_ids, salt)
        bucket, fingerprint = (
            (hashes % np.uint64(buckets)).astype(np.int64),
            hashes >> np.uint64(16),
        )
        begins = np.concatenate([[0], np.bincount(bucket, minlength=buckets).cumsum()])
        order = _sort_by_fingerprint(bucket, fingerprint, begins)
        ascending = fingerprint[order]
        same = ascending[1:] == ascending[:-1]
        if not (same & (bucket[order[1:]] == bucket[order[:-1]])).any():
            return BucketPlacement(salt, order, begins, ascending)
    raise ValueError(f"{len(user_ids)} users can't be told apart: is one there twice?")


def _hash_users(
    user_ids: Sequence[str] | npt.NDArray[np.object_], salt: bytes
) -> npt.NDArray[np.uint64]:
    """h of each user."""
    salted, digests = hashlib.blake2b(digest_size=8, salt=salt), []
    for user_id in user_ids:
        digest = salted.copy()  # half as long as making one
        digest.update(user_id.encode())
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8")


@jit()
def _sort_by_fingerprint(
    bucket: Int64Array, fingerprint: npt.NDArray[np.uint64], begins: Int64Array
) -> Int64Array:
    """Users by bucket, then by fingerprint: counted into their buckets, and there put in their place one by one."""
    order, filled = np.empty(len(bucket), dtype=np.int64), begins[:-1].copy()
    for user in range(len(bucket)):
        first, place = begins[bucket[user]], filled[bucket[user]]
        while place > first and fingerprint[order[place - 1]] > fingerprint[user]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = user
        filled[bucket[user]] += 1
    return order


def pack_user_buckets(
    placed: BucketPlacement, lists: ListColumns, vectors: Float32Array, width: int, buckets: range
) -> Iterator[bytes]:
    """The values of some buckets in a row, from all users' lists and vectors; ValueError when k is over 255."""
    if lists[0].shape[1] > MAX_LIST_LENGTH:
        raise ValueError(
            f"lists of {lists[0].shape[1]} items can't be stored: k is at most {MAX_LIST_LENGTH}"
        )
    begins = placed.begins[buckets.start : buckets.stop + 1]
    where = slice(int(begins[0]), int(begins[-1]))
    rows = placed.order[where]
    packed = _build_records(rows, lists, vectors, width)
    packed["fingerprint"] = (
        placed.fingerprint[where].astype("<u8").view(np.uint8).reshape(-1, 8)[:, :6]
    )
    body, size = packed.tobytes(), packed.dtype.itemsize
    ends = ((begins - begins[0]) * size).tolist()
    return (add_checksum(body[begin:end]) for begin, end in pairwise(ends))


def _build_records(
    rows: Int64Array, lists: ListColumns, vectors: Float32Array, width: int
) -> npt.NDArray[Any]:
    packed = np.zeros(
        len(rows), dtype=build_record_dtype(lists[0].shape[1], width, vectors.shape[1])
    )
    packed["n"] = lists[2][rows]
    packed["high"], packed["low"], packed["items"], packed["scores"] = _quantise_lists(
        rows, *lists, width
    )
    packed["scale"], packed["vector"] = _quantise_vectors(vectors, rows)
    return packed


@jit()
def _quantise_lists(
    rows: Int64Array,
    item_index: npt.NDArray[np.uint32],
    score: Float32Array,
    lengths: Int64Array,
    width: int,
) -> tuple[Float32Array, Float32Array, npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Best and last scores, shape (rows,), items (rows, k, width) and scores (rows, k) of some users."""
    k = item_index.shape[1]
    high, low = np.zeros(len(rows), dtype=np.float32), np.zeros(len(rows), dtype=np.float32)
    items, scores = (
        np.zeros((len(rows), k, width), dtype=np.uint8),
        np.zeros((len(rows), k), dtype=np.uint8),
    )
    for row in range(len(rows)):
        user = rows[row]
        if lengths[user]:
            high[row], low[row] = score[user, 0], score[user, lengths[user] - 1]
        step = np.float32(255) / (high[row] - low[row]) if high[row] > low[row] else np.float32(0)
        for place in range(lengths[user]):
            scores[row, place] = np.uint8(
                (score[user, place] - low[row]) * step + ROUNDING_OFFSET - ROUNDING_OFFSET
            )
            for byte in range(width):
                items[row, place, byte] = np.uint8(item_index[user, place] >> np.uint32(8 * byte))
    return high, low, items, scores


@jit()
def _quantise_vectors(
    vectors: Float32Array, rows: Int64Array
) -> tuple[Float32Array, npt.NDArray[np.int8]]:
    """Scales, shape (rows,), and 8-bit vectors, shape (rows, f), of some users."""
    scales, quantised = (
        np.zeros(len(rows), dtype=np.float32),
        np.zeros((len(rows), vectors.shape[1]), dtype=np.int8),
    )
    for row in range(len(rows)):
        x, scale = vectors[rows[row]], np.float32(0)
        for i in range(len(x)):
            scale = max(scale, abs(x[i]))
        step = np.float32(127) / scale if scale > 0 else np.float32(0)
        scales[row] = scale
        for i in range(len(x)):
            quantised[row, i] = np.int8(x[i] * step + ROUNDING_OFFSET - ROUNDING_OFFSET)
    return scales, quantised


def find_user(body: memoryview, fingerprint: bytes, kind: np.dtype[Any]) -> StoredUser | None:
    """A user of a bucket's body (see store_layout.opened), or None."""
    for begin in range(0, len(body), kind.itemsize):
        if body[begin : begin + 6] == fingerprint:
            return _unpack_user(np.frombuffer(body[begin : begin + kind.itemsize], kind)[0])
    return None


def _unpack_user(row: np.void) -> StoredUser:
    n = int(row["n"])
    score = row["low"] + (row["high"] - row["low"]) * (row["scores"][:n] / np.float32(255))
    vector = row["scale"] / np.float32(127) * row["vector"].astype(np.float32)
    return StoredUser(decode_item_indices(row["items"][:n]), score.astype(np.float32), vector)


def decode_item_indices(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Item indices from their bytes; shape (…, id_width) becomes (…,)."""
    wide = np.zeros((*packed.shape[:-1], 4), dtype=np.uint8)
    wide[..., : packed.shape[-1]] = packed
    return np.asarray(wide.view("<u4")[..., 0])
