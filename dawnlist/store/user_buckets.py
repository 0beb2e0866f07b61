"""Pack and unpack users' lists and vectors: buckets of records that all have the same size.

h is the blake2b of a user id's UTF-8 bytes (8 bytes, little-endian, with the version's salt). A
user is in bucket B = h % buckets. A fingerprint, the 6 bytes of h >> 16, distinguishes the user
from the others in the bucket. A bucket's body is an array of records, ascending by fingerprint:

    fingerprint   6 bytes
    n             u1               the number of entries of the list, at most k
    high, low     f4, f4           the first and the last score of the list
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
from dawnlist.store.bucket_kernels import quantise_lists, quantise_vectors, sort_by_fingerprint
from dawnlist.store.layout import VersionMeta, add_checksum

USERS_PER_BUCKET: Final = 16
SALT_BYTES: Final = 8
MAX_LIST_LENGTH: Final = 255
MAX_SALTS: Final = 16
"""The number of salts that are tried until no two users of a bucket have the same fingerprint."""

ListColumns = tuple[npt.NDArray[np.uint32], Float32Array, Int64Array]
"""Item indices (users, k), scores (users, k) and lengths (users,) of lists."""


@dataclass(frozen=True)
class StoredUser:
    """A user's list and vector, as the store holds them."""

    item_index: npt.NDArray[np.uint32]
    """(n,), the best first."""
    score: Float32Array
    """(n,), aligned with item_index."""
    vector: Float32Array
    """(f,), rounded to 8 bits."""


@dataclass(frozen=True)
class BucketPlacement:
    """Which user is in which bucket.

    Bucket B holds the users order[begins[B]:begins[B + 1]], ascending by fingerprint.
    """

    salt: bytes
    """The salt of the hash h."""
    order: Int64Array
    """(users,), row numbers of the users."""
    begins: Int64Array
    """(buckets + 1,), positions in `order`."""
    fingerprint: npt.NDArray[np.uint64]
    """(users,), aligned with `order`."""

    @property
    def buckets(self) -> int:
        """The number of buckets."""
        return len(self.begins) - 1


def build_record_dtype(k: int, id_width: int, factors: int) -> np.dtype[Any]:
    """Return the type of a bucket's records."""
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
    """Return the type of the records of a version."""
    return build_record_dtype(meta["k"], meta["id_width"], meta["factors"])


def choose_id_width(items: int) -> int:
    """Return the bytes that an item index needs: 2, 3 or 4."""
    if items <= 1 << 16:
        return 2
    if items <= 1 << 24:
        return 3
    return 4


def locate_user(user_id: str, salt: bytes, buckets: int) -> tuple[int, bytes]:
    """Return the number of a user's bucket, and the user's fingerprint."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8, salt=salt).digest()
    return int.from_bytes(digest, "little") % buckets, digest[2:]


def assign_buckets(user_ids: Sequence[str] | npt.NDArray[np.object_], seed: str) -> BucketPlacement:
    """Spread the users over buckets; the same users and seed always give the same placement.

    Two users with the same bucket and fingerprint would get each other's lists. If there are any,
    another salt is tried.

    Raises:
        ValueError: no salt works, probably because a user is given twice.
    """
    buckets = max(1, -(-len(user_ids) // USERS_PER_BUCKET))
    for attempt in range(MAX_SALTS):
        salt = hashlib.blake2b(f"{attempt}:{seed}".encode(), digest_size=SALT_BYTES).digest()
        hashes = hash_users(user_ids, salt)
        bucket = (hashes % np.uint64(buckets)).astype(np.int64)
        fingerprint = hashes >> np.uint64(16)
        begins = np.concatenate([[0], np.bincount(bucket, minlength=buckets).cumsum()])
        order = sort_by_fingerprint(bucket, fingerprint, begins)
        if not _has_duplicate(bucket[order], fingerprint[order]):
            return BucketPlacement(salt, order, begins, fingerprint[order])
    raise ValueError(f"{len(user_ids)} users can't be told apart: is one there twice?")


def _has_duplicate(bucket: Int64Array, fingerprint: npt.NDArray[np.uint64]) -> bool:
    """Say whether two neighbours have the same bucket and fingerprint."""
    same_fingerprint = fingerprint[1:] == fingerprint[:-1]
    same_bucket = bucket[1:] == bucket[:-1]
    return bool((same_fingerprint & same_bucket).any())


def hash_users(
    user_ids: Sequence[str] | npt.NDArray[np.object_], salt: bytes
) -> npt.NDArray[np.uint64]:
    """Compute h of each user."""
    salted_hash = hashlib.blake2b(digest_size=8, salt=salt)
    digests = []
    for user_id in user_ids:
        user_hash = salted_hash.copy()  # takes half the time of a new one
        user_hash.update(user_id.encode())
        digests.append(user_hash.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8")


def pack_user_buckets(
    placed: BucketPlacement, lists: ListColumns, vectors: Float32Array, width: int, buckets: range
) -> Iterator[bytes]:
    """Pack consecutive buckets and return their values, each with its checksum.

    Args:
        lists: The lists of all users.
        vectors: The vectors of all users, shape (users, f).
        width: The bytes of an item index.
        buckets: The numbers of the buckets, in steps of 1.

    Raises:
        ValueError: k is above 255.
    """
    k = lists[0].shape[1]
    if k > MAX_LIST_LENGTH:
        raise ValueError(f"lists of {k} items can't be stored: k is at most {MAX_LIST_LENGTH}")
    begins = placed.begins[buckets.start : buckets.stop + 1]
    selection = slice(int(begins[0]), int(begins[-1]))
    records = _build_records(placed.order[selection], lists, vectors, width)
    fingerprint_bytes = placed.fingerprint[selection].astype("<u8").view(np.uint8)
    records["fingerprint"] = fingerprint_bytes.reshape(-1, 8)[:, :6]
    body = records.tobytes()
    ends = ((begins - begins[0]) * records.dtype.itemsize).tolist()
    return (add_checksum(body[begin:end]) for begin, end in pairwise(ends))


def _build_records(
    rows: Int64Array, lists: ListColumns, vectors: Float32Array, width: int
) -> npt.NDArray[Any]:
    """Build the records of these users, without their fingerprints."""
    item_index, score, lengths = lists
    record = build_record_dtype(item_index.shape[1], width, vectors.shape[1])
    records = np.zeros(len(rows), dtype=record)
    high, low, items, scores = quantise_lists(rows, item_index, score, lengths, width)
    scales, quantised = quantise_vectors(vectors, rows)
    records["n"] = lengths[rows]
    records["high"] = high
    records["low"] = low
    records["items"] = items
    records["scores"] = scores
    records["scale"] = scales
    records["vector"] = quantised
    return records


def find_user(body: memoryview, fingerprint: bytes, kind: np.dtype[Any]) -> StoredUser | None:
    """Find a user in a bucket's body, or return None.

    Args:
        body: What `layout.verify_checksum` returns.
        fingerprint: The 6 bytes that `locate_user` returns.
        kind: The type of the records, from `build_version_dtype`.
    """
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
    """Decode item indices; shape (…, id_width) becomes (…,)."""
    wide = np.zeros((*packed.shape[:-1], 4), dtype=np.uint8)
    wide[..., : packed.shape[-1]] = packed
    return np.asarray(wide.view("<u4")[..., 0])
