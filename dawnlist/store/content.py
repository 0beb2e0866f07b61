"""What a version in the store holds: written in batches, read back by sample, and deleted slowly."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from dawnlist.arrays import Int64Array
from dawnlist.machine import cpu_cores
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
BUCKETS_TO_VERIFY: Final = 200  # buckets read back before the switch
DELETIONS_PER_CALL: Final = 500
DELETION_PAUSE_SECONDS: Final = 0.002  # between two calls that delete


@dataclass(frozen=True)
class VersionContent:
    """Lists as a version holds them; values are packed when they are asked for."""

    lists: TopLists
    placed: BucketPlacement
    histories: Histories

    @classmethod
    def of(cls, lists: TopLists, seed: str) -> "VersionContent":
        """The content made from lists; the same lists and seed give the same bytes."""
        met = lists.histories.weight
        histories = store_histories.encode_histories(
            met.indptr.astype(np.int64),
            met.indices,
            met.data,
            lists.histories.age,
            MAX_NEWEST_PAIRS,
        )
        placed = store_rows.assign_buckets(lists.user_ids, seed)
        return cls(lists, placed, histories)

    @cached_property
    def catalogue(self) -> list[bytes]:
        """The values of the catalogue's chunks."""
        return list(store_items.pack_catalogue(self.lists.catalogue))

    @cached_property
    def popular(self) -> bytes:
        """The value of the popular lists."""
        lists = self.lists
        return store_items.pack_popular(
            {EVERYBODY: (lists.popular_index, lists.popular_score), **lists.segments}
        )

    @cached_property
    def sizes(self) -> dict[str, Int64Array]:
        """Bytes of the values: of users' buckets, of histories' buckets, and of everything else."""
        rows = store_items.plan_factor_chunks(self.lists.catalogue.num_rows, self._columns)
        others = [
            *map(len, self.catalogue),
            len(self.popular),
            *(4 + 4 * self._columns * n for n in rows),
        ]
        return {
            "users": 4 + np.diff(self.placed.begins) * self._record.itemsize,
            "histories": store_histories.compute_bucket_sizes(self.placed, self.histories),
            "others": np.array(others, dtype=np.int64),
        }

    def about(self) -> VersionMeta:
        """What a version's meta says of its content."""
        lists, sizes = self.lists, {name: int(found.sum()) for name, found in self.sizes.items()}
        chunks = store_items.plan_factor_chunks(lists.catalogue.num_rows, self._columns)
        return {
            "users": len(lists.user_ids),
            "items": lists.catalogue.num_rows,
            "bytes": sizes["users"] + sizes["others"],
            "history_bytes": sizes["histories"],
            "layout": LAYOUT_VERSION,
            "k": lists.k,
            "buckets": self.placed.buckets,
            "salt": self.placed.salt.hex(),
            "factors": lists.vectors.shape[1],
            "content": lists.item_content.shape[1],
            "id_width": self._width,
            "history": MAX_NEWEST_PAIRS,
            "chunks": {"c": len(self.catalogue), "f": len(chunks)},
            "segments": list(lists.segments),
        }

    def memory(self, done: int = 0) -> int:
        """Bytes of the server's memory that the buckets from `done` on will take, and with the first all else."""
        parts = [self.sizes["users"][done:], self.sizes["histories"][done:]]
        return store_memory.estimate_memory(
            np.concatenate(parts if done else [*parts, self.sizes["others"]])
        )

    def items(self, keys: StoreKeys, token: str) -> Iterator[tuple[str, bytes]]:
        """Keys and values of all that is not users'."""
        yield keys.popular(token), self.popular
        yield from ((keys.catalogue(token, i), value) for i, value in enumerate(self.catalogue))
        columns = self.lists.item_factors, self.lists.item_bias, self.lists.item_content
        yield from (
            (keys.factors(token, i), value)
            for i, value in enumerate(store_items.pack_factors(*columns))
        )

    def buckets(self, keys: StoreKeys, token: str, buckets: range) -> Iterator[tuple[str, bytes]]:
        """Keys and values of some buckets in a row."""
        lists = self.lists
        columns = lists.item_index, lists.score, lists.lengths
        packed = store_rows.pack_user_buckets(
            self.placed, columns, lists.vectors, self._width, buckets
        )
        yield from (
            (keys.users(token, bucket), value)
            for bucket, value in zip(buckets, packed, strict=True)
        )
        packed = store_histories.pack_history_buckets(self.placed, self.histories, buckets)
        yield from (
            (keys.histories(token, bucket), value)
            for bucket, value in zip(buckets, packed, strict=True)
        )

    @property
    def _width(self) -> int:
        return store_rows.choose_id_width(self.lists.catalogue.num_rows)

    @property
    def _columns(self) -> int:
        """Floats of an item's row."""
        return int(self.lists.item_factors.shape[1] + 1 + self.lists.item_content.shape[1])

    @property
    def _record(self) -> np.dtype[Any]:
        return store_rows.build_record_dtype(self.lists.k, self._width, self.lists.vectors.shape[1])


def write_content(
    client: StoreClient,
    keys: StoreKeys,
    token: str,
    content: VersionContent,
    done: int,
    tell: Callable[[int], None],
) -> None:
    """Write what is not users', then the buckets, but for the first `done` and all that went before them.

    `tell` is told after each batch how many buckets there are, and may stop the writing.
    """
    if not done:
        bulk.write_values(client, content.items(keys, token))
    for end, values in _pack_ahead(content, keys, token, done):
        bulk.write_values(client, values)
        tell(end)


def _pack_ahead(
    content: VersionContent, keys: StoreKeys, token: str, done: int
) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """Batches of buckets from `done` on and where each ends, in their order; all cores pack while one is sent."""
    threads = cpu_cores.count_cores()
    with ThreadPoolExecutor(threads) as packers:
        ahead: deque[tuple[int, Future[list[tuple[str, bytes]]]]] = deque()
        for begin in range(done, content.placed.buckets, BUCKETS_PER_BATCH):
            end = min(begin + BUCKETS_PER_BATCH, content.placed.buckets)
            ahead.append(
                (
                    end,
                    packers.submit(
                        lambda part: list(content.buckets(keys, token, part)), range(begin, end)
                    ),
                )
            )
            if len(ahead) > threads:
                end, packed = ahead.popleft()
                yield end, packed.result()
        for end, packed in ahead:
            yield end, packed.result()


def verify_content(
    client: StoreClient, keys: StoreKeys, token: str, content: VersionContent
) -> None:
    """RuntimeError unless every key is there, and items, popular lists and a sample of buckets read back the same."""
    about = content.about()
    names = list(list_content_keys(keys, {"token": token, **about}))
    found = bulk.count_existing_keys(client, names)
    sample = range(0, content.placed.buckets, max(1, content.placed.buckets // BUCKETS_TO_VERIFY))
    expected = [
        pair
        for bucket in sample
        for pair in content.buckets(keys, token, range(bucket, bucket + 1))
    ]
    others = names[2 * content.placed.buckets :]
    got = bulk.read_values(client, [key for key, _ in expected])
    wrong = sum(value != other for (_, value), other in zip(expected, got, strict=True))
    wrong += sum(not _is_whole(value) for value in bulk.read_values(client, others, at_once=1))
    if found != len(names) or wrong:
        raise RuntimeError(
            f"version {token} does not read back as it was written: {found:,} of {len(names):,} keys are there, "
            f"{wrong} of {len(expected) + len(others)} values read differ; does the server evict keys "
            "(maxmemory-policy)? It is not switched to"
        )


def delete_content(client: StoreClient, keys: StoreKeys, about: VersionMeta) -> None:
    """Delete all that a version holds, in small calls with pauses, so that nobody who reads waits for it."""
    for part in bulk.split_into_batches(list_content_keys(keys, about), DELETIONS_PER_CALL):
        bulk.delete_keys(client, part)
        time.sleep(DELETION_PAUSE_SECONDS)


def list_content_keys(keys: StoreKeys, about: VersionMeta) -> Iterator[str]:
    """The names of a version's data keys, from its token, buckets and chunks: buckets first."""
    token, buckets, chunks = about["token"], about["buckets"], about["chunks"]
    yield from (keys.users(token, bucket) for bucket in range(buckets))
    yield from (keys.histories(token, bucket) for bucket in range(buckets))
    yield from (keys.catalogue(token, chunk) for chunk in range(chunks["c"]))
    yield from (keys.factors(token, chunk) for chunk in range(chunks["f"]))
    yield keys.popular(token)


def _is_whole(value: bytes | None) -> bool:
    try:
        return value is not None and verify_checksum(value) is not None
    except ValueError:
        return False
