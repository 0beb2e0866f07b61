"""Write, verify and delete the data of a version in the store."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import numpy as np

from dawnlist.arrays import Int64Array
from dawnlist.machine import cpu_cores
from dawnlist.progress import ProgressLog
from dawnlist.store import bulk
from dawnlist.store import histories as store_histories
from dawnlist.store import item_chunks as store_items
from dawnlist.store import memory as store_memory
from dawnlist.store import user_buckets as store_rows
from dawnlist.store.client import StoreClient
from dawnlist.store.histories import MAX_NEWEST_PAIRS, Histories
from dawnlist.store.layout import LAYOUT_VERSION, StoreKeys, VersionMeta, verify_checksum
from dawnlist.store.toplists import EVERYBODY, TopLists
from dawnlist.store.user_buckets import BucketPlacement

BUCKETS_PER_BATCH: Final = 2_048
"""The number of buckets that are packed and written together, between two checkpoints."""
BUCKETS_TO_VERIFY: Final = 200
"""About this many buckets are read back before a version becomes active."""
DELETIONS_PER_CALL: Final = 500
DELETION_PAUSE_SECONDS: Final = 0.002
"""The pause between two calls that delete, so that readers need not wait."""


@dataclass(frozen=True)
class VersionContent:
    """Top lists in the form that a version stores them. Values are packed when they are needed."""

    lists: TopLists
    placed: BucketPlacement
    """Which user is in which bucket."""
    histories: Histories

    @classmethod
    def from_lists(cls, lists: TopLists, seed: str) -> "VersionContent":
        """Prepare the content of a version; the same lists and seed always give the same bytes."""
        weights = lists.histories.weight
        histories = store_histories.encode_histories(
            weights.indptr.astype(np.int64),
            weights.indices,
            weights.data,
            lists.histories.age,
            MAX_NEWEST_PAIRS,
        )
        placement = store_rows.assign_buckets(lists.user_ids, seed)
        return cls(lists, placement, histories)

    @cached_property
    def catalogue(self) -> list[bytes]:
        """The values of the catalogue's chunks."""
        return list(store_items.pack_catalogue(self.lists.catalogue, self.lists.withdrawn))

    @cached_property
    def popular(self) -> bytes:
        """The value that holds all popular lists."""
        everybody = self.lists.popular_index, self.lists.popular_score
        return store_items.pack_popular({EVERYBODY: everybody, **self.lists.segments})

    @cached_property
    def sizes(self) -> dict[str, Int64Array]:
        """The sizes of all values in bytes, by kind.

        `users` and `histories` have one size for each bucket, `others` one for each other value.
        """
        sizes = [len(value) for value in self.catalogue]
        sizes.append(len(self.popular))
        for rows in self._factor_chunks:
            sizes.append(4 + 4 * self._floats_per_item * rows)
        return {
            "users": 4 + np.diff(self.placed.begins) * self._record.itemsize,
            "histories": store_histories.compute_bucket_sizes(self.placed, self.histories),
            "others": np.array(sizes, dtype=np.int64),
        }

    def about(self) -> VersionMeta:
        """Describe the content for the version's meta (see layout.py)."""
        lists = self.lists
        total = {kind: int(sizes.sum()) for kind, sizes in self.sizes.items()}
        return {
            "users": len(lists.user_ids),
            "items": lists.catalogue.num_rows,
            "bytes": total["users"] + total["others"],
            "history_bytes": total["histories"],
            "layout": LAYOUT_VERSION,
            "k": lists.k,
            "buckets": self.placed.buckets,
            "salt": self.placed.salt.hex(),
            "factors": lists.vectors.shape[1],
            "content": lists.item_content.shape[1],
            "id_width": self._id_width,
            "history": MAX_NEWEST_PAIRS,
            "chunks": {"c": len(self.catalogue), "f": len(self._factor_chunks)},
            "segments": list(lists.segments),
        }

    def estimate_memory(self, written_buckets: int = 0) -> int:
        """Estimate the bytes of the server's memory that the rest of the version will use.

        Args:
            written_buckets: The number of buckets that are already in the store. Everything that
                does not belong to a user is written before the first bucket.
        """
        sizes = [
            self.sizes["users"][written_buckets:],
            self.sizes["histories"][written_buckets:],
        ]
        if not written_buckets:
            sizes.append(self.sizes["others"])
        return store_memory.estimate_memory(np.concatenate(sizes))

    def items(self, keys: StoreKeys, token: str) -> Iterator[tuple[str, bytes]]:
        """Yield the keys and values of everything that does not belong to a user."""
        yield keys.popular(token), self.popular
        for chunk, value in enumerate(self.catalogue):
            yield keys.catalogue(token, chunk), value
        lists = self.lists
        factors = store_items.pack_factors(lists.item_factors, lists.item_bias, lists.item_content)
        for chunk, value in enumerate(factors):
            yield keys.factors(token, chunk), value

    def buckets(self, keys: StoreKeys, token: str, buckets: range) -> Iterator[tuple[str, bytes]]:
        """Yield the keys and values of consecutive buckets: first all lists, then all histories."""
        lists = self.lists
        columns = lists.item_index, lists.score, lists.lengths
        user_values = store_rows.pack_user_buckets(
            self.placed, columns, lists.vectors, self._id_width, buckets
        )
        for bucket, value in zip(buckets, user_values, strict=True):
            yield keys.users(token, bucket), value
        history_values = store_histories.pack_history_buckets(self.placed, self.histories, buckets)
        for bucket, value in zip(buckets, history_values, strict=True):
            yield keys.histories(token, bucket), value

    @cached_property
    def _factor_chunks(self) -> list[int]:
        """The number of items in each chunk of item factors."""
        return store_items.plan_factor_chunks(self.lists.catalogue.num_rows, self._floats_per_item)

    @property
    def _id_width(self) -> int:
        return store_rows.choose_id_width(self.lists.catalogue.num_rows)

    @property
    def _floats_per_item(self) -> int:
        """The length of an item's row: its factors, its bias and its content vector."""
        return int(self.lists.item_factors.shape[1] + 1 + self.lists.item_content.shape[1])

    @property
    def _record(self) -> np.dtype[Any]:
        factors = self.lists.vectors.shape[1]
        return store_rows.build_record_dtype(self.lists.k, self._id_width, factors)


def write_content(
    client: StoreClient,
    keys: StoreKeys,
    token: str,
    content: VersionContent,
    written_buckets: int,
    checkpoint: Callable[[int], None],
) -> None:
    """Write the content: first what does not belong to a user, then the buckets in batches.

    Args:
        written_buckets: The number of buckets that an earlier publish wrote. They are skipped,
            and so is everything that was written before them.
        checkpoint: Called after each batch with the number of buckets that are written. It may
            raise an exception to stop the writing.
    """
    if not written_buckets:
        bulk.write_values(client, content.items(keys, token))
    progress = ProgressLog("publish", "buckets", content.placed.buckets)
    for end, values in _pack_batches(content, keys, token, written_buckets):
        bulk.write_values(client, values)
        checkpoint(end)
        progress.report(end)


def _pack_batches(
    content: VersionContent, keys: StoreKeys, token: str, first: int
) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """Yield batches of buckets in their order, each with the number of the bucket after it.

    All cores pack the next batches while the caller sends one.
    """
    threads = cpu_cores.count_cores()
    pack_batch = partial(_pack_batch, content, keys, token)
    with ThreadPoolExecutor(threads) as executor:
        pending: deque[tuple[int, Future[list[tuple[str, bytes]]]]] = deque()
        for begin in range(first, content.placed.buckets, BUCKETS_PER_BATCH):
            end = min(begin + BUCKETS_PER_BATCH, content.placed.buckets)
            pending.append((end, executor.submit(pack_batch, range(begin, end))))
            if len(pending) > threads:
                end, batch = pending.popleft()
                yield end, batch.result()
        for end, batch in pending:
            yield end, batch.result()


def _pack_batch(
    content: VersionContent, keys: StoreKeys, token: str, buckets: range
) -> list[tuple[str, bytes]]:
    return list(content.buckets(keys, token, buckets))


def verify_content(
    client: StoreClient, keys: StoreKeys, token: str, content: VersionContent
) -> None:
    """Check that every key exists, and read back a sample of the buckets and everything else.

    Raises:
        RuntimeError: a key is missing, or a value differs from what was written.
    """
    names = list(list_content_keys(keys, {"token": token, **content.about()}))
    existing = bulk.count_existing_keys(client, names)
    sample = _pack_sample(content, keys, token)
    others = names[2 * content.placed.buckets :]
    wrong = 0
    values = bulk.read_values(client, [key for key, _ in sample])
    for (_, expected), value in zip(sample, values, strict=True):
        wrong += value != expected
    for value in bulk.read_values(client, others, at_once=1):
        wrong += not is_intact(value)
    if existing != len(names) or wrong:
        raise RuntimeError(
            f"version {token} does not read back as it was written: "
            f"{existing:,} of {len(names):,} keys are there, "
            f"{wrong} of {len(sample) + len(others)} values read differ. "
            "Check whether the server evicts keys (maxmemory-policy). "
            "The version was not made active."
        )


def _pack_sample(content: VersionContent, keys: StoreKeys, token: str) -> list[tuple[str, bytes]]:
    """Pack about BUCKETS_TO_VERIFY buckets, spread evenly over all."""
    sample: list[tuple[str, bytes]] = []
    step = max(1, content.placed.buckets // BUCKETS_TO_VERIFY)
    for bucket in range(0, content.placed.buckets, step):
        sample.extend(content.buckets(keys, token, range(bucket, bucket + 1)))
    return sample


def delete_content(client: StoreClient, keys: StoreKeys, meta: Mapping[str, Any]) -> None:
    """Delete the data of a version in small calls with pauses, so that readers need not wait.

    Args:
        meta: The version's token, buckets and chunks.
    """
    for batch in bulk.split_into_batches(list_content_keys(keys, meta), DELETIONS_PER_CALL):
        bulk.delete_keys(client, batch)
        time.sleep(DELETION_PAUSE_SECONDS)


def list_content_keys(keys: StoreKeys, meta: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of a version's data keys, the buckets first.

    Args:
        meta: The version's token, buckets and chunks.
    """
    token = meta["token"]
    for bucket in range(meta["buckets"]):
        yield keys.users(token, bucket)
    for bucket in range(meta["buckets"]):
        yield keys.histories(token, bucket)
    for chunk in range(meta["chunks"]["c"]):
        yield keys.catalogue(token, chunk)
    for chunk in range(meta["chunks"]["f"]):
        yield keys.factors(token, chunk)
    yield keys.popular(token)


def is_intact(value: bytes | None) -> bool:
    """Say whether a value exists and has the checksum that it was written with."""
    if value is None:
        return False
    try:
        verify_checksum(value)
    except ValueError:
        return False
    return True
