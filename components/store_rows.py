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
    vector        i1 (f,)          x = scale * i1 / 127 * dimension

where `dimension` is the version's, a size for each dimension of the vectors, so that all of them use their 8 bits.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from components.model import Factors
from components.store_layout import Meta, sealed

USERS_A_BUCKET: Final = 16
SALT_BYTES: Final = 8
MOST_ENTRIES: Final = 255

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class User:
    """What the store knows of a user."""

    item_index: npt.NDArray[np.uint32]
    """(n,), best first."""
    score: Factors
    """(n,), aligned with item_index."""
    vector: Factors
    """(f,)."""


@dataclass(frozen=True)
class Placed:
    """Which users a bucket holds: rows order[begins[B]:begins[B + 1]], ascending by fingerprint."""

    salt: bytes
    order: Ints
    """(users,)."""
    begins: Ints
    """(buckets + 1,)."""
    fingerprint: npt.NDArray[np.uint64]
    """(users,), aligned with `order`."""

    @property
    def buckets(self) -> int:
        return len(self.begins) - 1


def record(k: int, id_width: int, factors: int) -> np.dtype[Any]:
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


def record_of(meta: Meta) -> np.dtype[Any]:
    """The type of the records of a version."""
    return record(meta["k"], meta["id_width"], meta["factors"])


def id_width(items: int) -> int:
    """Bytes of an item index: 2, 3 or 4."""
    return 2 if items <= 1 << 16 else 3 if items <= 1 << 24 else 4


def address(user_id: str, salt: bytes, buckets: int) -> tuple[int, bytes]:
    """A user's bucket and fingerprint."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8, salt=salt).digest()
    return int.from_bytes(digest, "little") % buckets, digest[2:]


def place(user_ids: Sequence[str] | npt.NDArray[np.object_], seed: str) -> Placed:
    """Spread the users over buckets; the same users and seed give the same places.

    Two users of one address would answer for each other: then another salt is taken.
    """
    buckets = max(1, -(-len(user_ids) // USERS_A_BUCKET))
    for attempt in range(16):
        salt = hashlib.blake2b(f"{attempt}:{seed}".encode(), digest_size=SALT_BYTES).digest()
        digests = [hashlib.blake2b(user_id.encode(), digest_size=8, salt=salt).digest() for user_id in user_ids]
        hashes = np.frombuffer(b"".join(digests), dtype="<u8")
        bucket, fingerprint = (hashes % np.uint64(buckets)).astype(np.int64), hashes >> np.uint64(16)
        order = np.lexsort((fingerprint, bucket))
        begins = np.concatenate([[0], np.bincount(bucket, minlength=buckets).cumsum()])
        same = (np.diff(bucket[order]) == 0) & (np.diff(fingerprint[order]) == 0)
        if not same.any():
            return Placed(salt, order, begins, fingerprint[order])
    raise ValueError(f"{len(user_ids)} users can't be told apart: is one there twice?")


def dimensions(vectors: Factors) -> Factors:
    """The size of each dimension of users' vectors, its root mean square; shape (f,), 1 for one that is always 0."""
    size = np.sqrt(np.einsum("uf,uf->f", vectors, vectors, dtype=np.float64) / max(1, len(vectors)))
    return np.asarray(np.where(size > 0, size, 1.0), dtype=np.float32)


def pack(
    placed: Placed,
    lists: tuple[npt.NDArray[np.uint32], Factors, Ints],
    vectors: Factors,
    dimension: Factors,
    width: int,
    buckets: range,
) -> Iterator[bytes]:
    """The values of some buckets in a row, from lists (item_index, score, lengths) and vectors of all users."""
    begins = placed.begins[buckets.start : buckets.stop + 1]
    where = slice(int(begins[0]), int(begins[-1]))
    rows = placed.order[where]
    packed = _records(rows, lists, vectors, dimension, width)
    packed["fingerprint"] = placed.fingerprint[where].astype("<u8").view(np.uint8).reshape(-1, 8)[:, :6]
    body, size = packed.tobytes(), packed.dtype.itemsize
    ends = ((begins - begins[0]) * size).tolist()
    return (sealed(body[begin:end]) for begin, end in pairwise(ends))


def _records(
    rows: Ints,
    lists: tuple[npt.NDArray[np.uint32], Factors, Ints],
    vectors: Factors,
    dimension: Factors,
    width: int,
) -> npt.NDArray[Any]:
    item_index, score, lengths = (column[rows] for column in lists)
    k = item_index.shape[1]
    packed = np.zeros(len(rows), dtype=record(k, width, vectors.shape[1]))
    used = np.arange(k) < lengths[:, None]
    packed["n"] = lengths
    packed["items"] = np.where(used, item_index, 0).astype("<u4").view(np.uint8).reshape(-1, k, 4)[:, :, :width]
    high = np.where(lengths > 0, score[:, 0], np.float32(0))
    low = np.where(lengths > 0, score[np.arange(len(rows)), np.maximum(lengths - 1, 0)], np.float32(0))
    share = (score - low[:, None]) / np.where(high > low, high - low, np.float32(1))[:, None]
    packed["high"], packed["low"] = high, low
    packed["scores"] = np.where(used, np.rint(share * np.float32(255)), 0)
    x = vectors[rows] / dimension
    scale = np.abs(x).max(axis=1, initial=0)
    packed["scale"] = scale
    packed["vector"] = np.rint(x / np.where(scale > 0, scale, np.float32(1))[:, None] * np.float32(127))
    return packed


def find(body: memoryview, fingerprint: bytes, kind: np.dtype[Any], dimension: Factors) -> User | None:
    """A user of a bucket's body (see store_layout.opened), or None."""
    for begin in range(0, len(body), kind.itemsize):
        if body[begin : begin + 6] == fingerprint:
            return _user(np.frombuffer(body[begin : begin + kind.itemsize], kind)[0], dimension)
    return None


def _user(row: np.void, dimension: Factors) -> User:
    n = int(row["n"])
    score = row["low"] + (row["high"] - row["low"]) * (row["scores"][:n] / np.float32(255))
    vector = row["scale"] / np.float32(127) * row["vector"].astype(np.float32) * dimension
    return User(item_indices(row["items"][:n]), score.astype(np.float32), vector)


def item_indices(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Item indices from their bytes; shape (…, id_width) becomes (…,)."""
    wide = np.zeros((*packed.shape[:-1], 4), dtype=np.uint8)
    wide[..., : packed.shape[-1]] = packed
    return np.asarray(wide.view("<u4")[..., 0])
