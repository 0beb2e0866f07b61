"""Publishing: users a second and bytes of server memory a user, against JSON lists by a redis-py pipeline.

python benchmarks/publish.py --users 1000000 --items 100000 --factors 64
python benchmarks/publish.py --users 1000000 --items 100000 --factors 64 --cluster

The JSON way writes a key a user, `[{"item_id": …, "score": …}, …]` of 20 entries, a thousand to a pipeline, for a
sample of the users on the same servers in the same run. Ours is store.publish whole, from arrays in memory to the
switch, once with lists and vectors alone and once with histories of 30 pairs a user; its parts are also timed one by
one. Memory is the server's used_memory, on whatever malloc it is built with (`malloc` in INFO); what the same values
take under jemalloc, which most servers have, is computed (dawnlist/store/memory.py). The client's CPU time says more
than seconds where a machine has other things to do.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from clicks import markdown
from redis.cluster import RedisCluster
from scipy.sparse import csr_matrix

sys.path.append(str(Path(__file__).parents[1]))  # the tests' servers

from dawnlist.cuts import parse_as_of
from dawnlist.machine import cpu_cores
from dawnlist.model.user_items import UserItems
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store import bulk, histories, versions
from dawnlist.store import content as store_content
from dawnlist.store import memory as store_memory
from dawnlist.store import user_buckets as store_rows
from dawnlist.store.client import StoreClient, connect_store
from dawnlist.store.content import VersionContent
from dawnlist.store.layout import StoreKeys
from dawnlist.store.toplists import TopLists
from tests.support.stores import cluster, valkey_of

K, PAIRS, SAMPLE, A_CALL = 20, 30, 50_000, 1_000


def main() -> None:
    """Print a table of ways, one of parts, and one of times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--cluster", action="store_true", help="three servers in cluster mode")
    given = parser.parse_args()
    print(
        f"\n{given.users:,} users, {given.items:,} items, {given.factors} factors, {cpu_cores.count_cores()} cores"
    )
    whole = lists(given.users, given.items, given.factors)
    bare = without_histories(whole)
    publish("warm", lists(1_000, 100, given.factors), given.cluster)  # numba's kernels
    json_way = by_json(whole, given.cluster)
    rows = [json_way]
    times = []
    for name, content in (("lists and vectors", bare), ("and histories", whole)):
        row, time_of = publish(name, content, given.cluster)
        rows.append(row | {"times JSON": f"{row['users/s'] / json_way['users/s']:.1f}"})
        times.append(time_of)
    print(f"\n{'a cluster of three' if given.cluster else 'one server'}\n")
    markdown(rows)
    print()
    markdown(times)
    print()
    markdown(parts(whole, given.cluster))


@contextmanager
def server(clustered: bool) -> Iterator[StoreClient]:
    """A client of an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        start: Any = cluster(Path(folder)) if clustered else valkey_of(Path(folder))
        with (
            start as found,
            connect_store(found if clustered else f"redis://127.0.0.1:{found}/0") as client,
        ):
            yield client


def lists(users: int, items: int, factors: int) -> TopLists:
    """Random lists, and histories of PAIRS pairs a user."""
    rng = np.random.default_rng(1)
    met = np.sort(rng.integers(0, items, (users, PAIRS), dtype=np.int32), axis=1)
    weight = rng.integers(1, 9, users * PAIRS).astype(np.float32)
    matrix = csr_matrix(
        (weight, met.ravel(), np.arange(0, users * PAIRS + 1, PAIRS)), shape=(users, items)
    )
    titles = [f"The title of item {item}" for item in range(items)]
    return TopLists(
        user_ids=np.array([f"user-{user}" for user in range(users)], dtype=object),
        item_index=rng.integers(0, items, (users, K), dtype=np.uint32),
        score=-np.sort(-rng.random((users, K), dtype=np.float32), axis=1),
        lengths=np.full(users, K),
        catalogue=pa.table(
            [[f"item-{item}" for item in range(items)], titles, [["a", "b"]] * items],
            schema=CATALOGUE_SCHEMA,
        ),
        popular_index=np.arange(K, dtype=np.uint32),
        popular_score=np.ones(K, dtype=np.float32),
        vectors=rng.standard_normal((users, factors), dtype=np.float32),
        item_factors=rng.standard_normal((items, factors), dtype=np.float32),
        item_bias=np.zeros(items, dtype=np.float32),
        item_content=np.zeros((items, 0), dtype=np.float32),
        histories=UserItems(matrix, rng.random(users * PAIRS, dtype=np.float32) * 365),
        meta={},
    )


def without_histories(whole: TopLists) -> TopLists:
    """The same of users whose histories are empty."""
    none = csr_matrix(whole.histories.weight.shape, dtype=np.float32)
    return replace(whole, histories=UserItems(none, np.zeros(0, np.float32)))


def by_json(whole: TopLists, clustered: bool) -> dict[str, Any]:
    """The row of the way that most shops begin with."""
    item_ids = whole.catalogue["item_id"].to_pylist()
    users = min(SAMPLE, len(whole.user_ids))
    with server(clustered) as client:
        asked: Any = client
        before, began, cpu = (
            store_memory.read_used_memory(client) or 0,
            time.perf_counter(),
            time.process_time(),
        )
        for begin in range(0, users, A_CALL):
            pipe = (
                asked.pipeline()
                if isinstance(client, RedisCluster)
                else asked.pipeline(transaction=False)
            )
            part = slice(begin, min(begin + A_CALL, users))
            indices, scores = whole.item_index[part].tolist(), whole.score[part].tolist()
            for user, items, values in zip(whole.user_ids[part], indices, scores, strict=True):
                found = [
                    {"item_id": item_ids[item], "score": score}
                    for item, score in zip(items, values, strict=True)
                ]
                pipe.set(f"recommendations:{user}", json.dumps(found))
            pipe.execute()
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        memory = ((store_memory.read_used_memory(client) or 0) - before) / users
    return {
        "way": f"JSON lists, {users:,} users",
        "seconds": f"{took:.2f}",
        "users/s": round(users / took),
        "client's µs of CPU a user": f"{1e6 * cpu / users:.2f}",
        "bytes a user": f"{memory:,.0f}",
        "times JSON": "1",
    }


def publish(name: str, content: TopLists, clustered: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row of the whole publish, and one of how long a switch and a rollback take."""
    announced = []
    with server(clustered) as client:
        before, began, cpu = (
            store_memory.read_used_memory(client) or 0,
            time.perf_counter(),
            time.process_time(),
        )
        versions.publish_version(
            client,
            "shop",
            content,
            "r1",
            parse_as_of("2026-01-01T00:00:00Z"),
            announce=lambda _: announced.append(time.perf_counter()),
        )
        ended, cpu = time.perf_counter(), time.process_time() - cpu
        memory = ((store_memory.read_used_memory(client) or 0) - before) / len(content.user_ids)
        took, switch = announced[0] - began, ended - announced[0]
        rollback = seconds(lambda: versions.roll_back_version(client, "shop", 1))
    users = len(content.user_ids)
    row = {
        "way": f"ours: {name}",
        "seconds": f"{took:.2f}",
        "users/s": round(users / took),
        "client's µs of CPU a user": f"{1e6 * cpu / users:.2f}",
        "bytes a user": f"{memory:,.0f} with all items",
    }
    return row, {
        "": name,
        "switch": f"{1e3 * switch:.1f} ms",
        "rollback": f"{1e3 * rollback:.1f} ms",
    }


def parts(whole: TopLists, clustered: bool) -> list[dict[str, Any]]:
    """What a publish consists of, each part alone, with what it takes of the server."""
    users, keys, token = len(whole.user_ids), StoreKeys("shop"), "1-00000000"
    rows: list[dict[str, Any]] = []

    def row(
        part: str,
        took: float,
        taken: float | None = None,
        jemalloc: int | None = None,
        size: int = 0,
    ) -> None:
        told = {"bytes a user": taken, "under jemalloc": jemalloc, "value bytes": size or None}
        cells = {
            name: "" if value is None else f"{value / users:,.1f}" for name, value in told.items()
        }
        rows.append({"part": part, "seconds": f"{took:.2f}", **cells})

    began = time.perf_counter()
    content = VersionContent.from_lists(whole, "shop")
    row("place users, choose the newest", time.perf_counter() - began)
    everything = range(content.placed.buckets)
    row("pack lists and vectors", seconds(lambda: drained(packed_users(content, everything))))
    row(
        "pack histories",
        seconds(
            lambda: drained(
                histories.pack_history_buckets(content.placed, content.histories, everything)
            )
        ),
    )
    with server(clustered) as client:
        ways = (
            ("write items", "others", lambda: content.items(keys, token)),
            (
                "pack and write lists and vectors",
                "users",
                lambda: batches(content, keys, token, first=True),
            ),
            (
                "pack and write histories",
                "histories",
                lambda: batches(content, keys, token, first=False),
            ),
        )
        for part, sizes, values in ways:
            before = store_memory.read_used_memory(client) or 0
            took = seconds(lambda values=values: bulk.write_values(client, values()))  # type: ignore[misc]
            found = content.sizes[sizes]
            row(
                part,
                took,
                (store_memory.read_used_memory(client) or 0) - before,
                store_memory.estimate_memory(found),
                int(found.sum()),
            )
        row("verify", seconds(lambda: store_content.verify_content(client, keys, token, content)))
        about = {"token": token, **content.about()}
        row("delete, slowly", seconds(lambda: store_content.delete_content(client, keys, about)))
    return rows


def packed_users(content: VersionContent, buckets: range) -> Iterator[bytes]:
    """The values of users' buckets, batch by batch as a publish makes them."""
    step = store_content.BUCKETS_PER_BATCH
    for begin in range(0, len(buckets), step):
        part = range(begin, min(begin + step, len(buckets)))
        columns = content.lists.item_index, content.lists.score, content.lists.lengths
        width = store_rows.choose_id_width(content.lists.catalogue.num_rows)
        yield from store_rows.pack_user_buckets(
            content.placed, columns, content.lists.vectors, width, part
        )


def batches(
    content: VersionContent, keys: StoreKeys, token: str, first: bool
) -> Iterator[tuple[str, bytes]]:
    """Users' buckets with lists and vectors, or with histories."""
    if first:
        names = (keys.users(token, bucket) for bucket in range(content.placed.buckets))
        return zip(names, packed_users(content, range(content.placed.buckets)), strict=True)
    names = (keys.histories(token, bucket) for bucket in range(content.placed.buckets))
    found = histories.pack_history_buckets(
        content.placed, content.histories, range(content.placed.buckets)
    )
    return zip(names, found, strict=True)


def drained(values: Iterator[bytes]) -> None:
    """Make them all, keep none."""
    for _ in values:
        pass


def seconds(act: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
