"""Read the lists of a version from the store with the ids of their users, block by block.

The store knows users by hashes alone, so the ids come from outside, as from the lake.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.arrays import Int64Array, UInt64Array
from dawnlist.store import bulk
from dawnlist.store.client import StoreClient
from dawnlist.store.control_values import read_active_meta, read_version_metas
from dawnlist.store.item_chunks import unpack_catalogue
from dawnlist.store.layout import NothingPublishedError, StoreKeys, VersionMeta, verify_checksum
from dawnlist.store.user_buckets import build_version_dtype, decode_item_indices, hash_users
from dawnlist.store.withdrawals import read_withdrawn_ids

BUCKETS_PER_BLOCK: Final = 4_096
"""Buckets that are read at a time: 65,536 users. A power of two below 2**16."""
LIST_SCHEMA: Final = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("score", pa.float32(), nullable=False),
    ]
)
"""A row for each place of each list; `rank` begins with 1."""


@dataclass(frozen=True)
class ListBlock:
    """The lists of the users of some buckets."""

    number: int
    """The number of the block, from 0."""
    rows: pa.Table
    """The lists, with the columns of LIST_SCHEMA, user by user."""
    users: int
    """The users whose lists these are."""
    unnamed_users: int
    """Users of the store whose ids were not given."""


class ListExport:
    """Reads the lists of the active version."""

    def __init__(self, client: StoreClient, namespace: str, user_ids: pa.Array, k: int) -> None:
        """Find the active version, and sort the users by bucket.

        Args:
            client: The store.
            namespace: The shop.
            user_ids: The ids of all users that may have a list, each once.
            k: The longest list.

        Raises:
            NothingPublishedError: no version is active.
        """
        keys = StoreKeys(namespace)
        meta = read_active_meta(client, keys)
        if meta is None:
            raise NothingPublishedError(namespace, read_version_metas(client, keys))
        self.meta: VersionMeta = meta
        """What the store knows of the version."""
        self._client = client
        self._keys = keys
        self._k = k
        self._items = _read_items(client, keys, self.meta)
        withdrawn = pa.array(sorted(read_withdrawn_ids(client, keys)), pa.string())
        self._is_withdrawn = pc.is_in(self._items["item_id"], value_set=withdrawn).to_numpy()
        hashes = hash_users(user_ids.to_pylist(), bytes.fromhex(self.meta["salt"]))
        buckets = (hashes % np.uint64(self.meta["buckets"])).astype(np.int64)
        order = np.lexsort((hashes >> np.uint64(16), buckets))
        self._user_ids = user_ids.take(pa.array(order))
        self._buckets = buckets[order]
        self._fingerprints: UInt64Array = (hashes >> np.uint64(16))[order]

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return -(-int(self.meta["buckets"]) // BUCKETS_PER_BLOCK)

    def read_block(self, number: int) -> ListBlock:
        """Read the lists of a block.

        Raises:
            ValueError: the version is damaged, or is being deleted.
        """
        first = number * BUCKETS_PER_BLOCK
        last = min(first + BUCKETS_PER_BLOCK, int(self.meta["buckets"]))
        records, record_buckets = self._read_records(range(first, last))
        begin, end = np.searchsorted(self._buckets, [first, last])
        own_keys = _join_keys(self._buckets[begin:end] - first, self._fingerprints[begin:end])
        record_keys = _join_keys(record_buckets, _read_fingerprints(records))
        positions = np.searchsorted(own_keys, record_keys)
        is_named = positions < len(own_keys)
        is_named[is_named] = own_keys[positions[is_named]] == record_keys[is_named]
        user_ids = self._user_ids.slice(begin, end - begin).take(pa.array(positions[is_named]))
        rows = self._build_rows(user_ids, records[is_named])
        return ListBlock(number, rows, int(is_named.sum()), int((~is_named).sum()))

    def _read_records(self, buckets: range) -> tuple[Any, Int64Array]:
        """Read the records of buckets, and for each the number of its bucket in the block."""
        names = [self._keys.users(self.meta["token"], bucket) for bucket in buckets]
        bodies = []
        for value in bulk.read_values(self._client, names):
            if value is None:
                raise ValueError(
                    f"version {self.meta['version']} is no longer whole in the store: "
                    "it may be in the middle of being deleted"
                )
            bodies.append(verify_checksum(value))
        record = build_version_dtype(self.meta)
        counts = [len(body) // record.itemsize for body in bodies]
        records = np.frombuffer(b"".join(bodies), record)
        return records, np.repeat(np.arange(len(bodies)), counts)

    def _build_rows(self, user_ids: pa.Array, records: Any) -> pa.Table:
        """Build a row for each place of the lists, without withdrawn items."""
        length = int(self.meta["k"])
        items = decode_item_indices(records["items"]).astype(np.int64)
        is_shown = np.arange(length) < records["n"][:, None]
        is_shown[is_shown] = ~self._is_withdrawn[items[is_shown]]
        ranks = np.cumsum(is_shown, axis=1)
        is_shown &= ranks <= self._k
        span = (records["high"] - records["low"])[:, None]
        scores = records["low"][:, None] + span * (records["scores"] / np.float32(255))
        user_rows = np.nonzero(is_shown)[0]
        item_rows = pa.array(items[is_shown])
        columns = [
            user_ids.take(pa.array(user_rows)),
            pa.array(ranks[is_shown].astype(np.int32)),
            self._items["item_id"].take(item_rows),
            self._items["title"].take(item_rows),
            pa.array(scores[is_shown].astype(np.float32)),
        ]
        return pa.table(columns, schema=LIST_SCHEMA)


def _read_items(client: StoreClient, keys: StoreKeys, meta: VersionMeta) -> pa.Table:
    """Read the ids and titles of a version's catalogue, in the order of the item indices."""
    names = [keys.catalogue(meta["token"], chunk) for chunk in range(meta["chunks"]["c"])]
    chunks = []
    for value in bulk.read_values(client, names, at_once=1):
        if value is None:
            raise ValueError(f"version {meta['version']} has lost its catalogue")
        chunks.append(unpack_catalogue(value).select(["item_id", "title"]))
    return pa.concat_tables(chunks).combine_chunks()


def _read_fingerprints(records: Any) -> UInt64Array:
    wide = np.zeros((len(records), 8), np.uint8)
    wide[:, :6] = records["fingerprint"]
    return np.asarray(wide.view("<u8")[:, 0])


def _join_keys(buckets: Int64Array, fingerprints: UInt64Array) -> UInt64Array:
    """Join a bucket's number in its block and a fingerprint of 48 bits to one sortable number."""
    return (buckets.astype(np.uint64) << np.uint64(48)) | fingerprints
