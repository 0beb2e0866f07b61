"""The store on other servers than a plain one: a cluster, TLS, a user with rights of its own, little memory."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from redis.cluster import ClusterNode

from dawnlist.store import bulk, comparison, memory, recent, versions
from dawnlist.store import content as store_content
from dawnlist.store.client import ClusterClient, connect_store, strip_cluster_suffix
from dawnlist.store.content import VersionContent
from dawnlist.store.layout import StoreKeys
from dawnlist.store.toplists import TopLists
from tests.support.certificates import self_signed
from tests.support.servers import NOBODY, free_port
from tests.support.stores import cluster, tls, valkey_of
from tests.support.top_lists import of_many
from tests.test_store import ANN_AND_BOB, publish, read

RIGHTS = "~dawnlist:* +@connection +@transaction +@read +@write -@dangerous +unlink +eval +info"


def test_urls(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="is of a kind that can't be used"):
        connect_store("http://127.0.0.1")
    for url in (
        "redis://:secret@127.0.0.1/0",
        "redis+cluster://:secret@127.0.0.1",
        "redis://127.0.0.1?password=secret",
    ):
        with pytest.raises(ValueError, match="DAWNLIST_REDIS_PASSWORD") as refused:
            connect_store(url)
        assert "secret" not in str(refused.value)
    for url in (f"redis://{NOBODY}/0", f"redis+cluster://{NOBODY}", "unix:///nowhere"):
        with pytest.raises(ConnectionError, match=f"no store answers at {re.escape(url)}"):
            connect_store(url)
    assert (
        strip_cluster_suffix("rediss+cluster://h:1?ssl_ca_certs=ca.pem")
        == "rediss://h:1?ssl_ca_certs=ca.pem"
    )


def test_why_there_is_no_answer_is_said(valkey: str, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with tls(valkey, certificate, key) as secure:
        for url, why in {
            secure: "CERTIFICATE_VERIFY_FAILED",
            f"{secure}?ssl_ca_certs=/nowhere": "No such file or directory",
            f"{secure}?ssl_cert_reqs=never": "Invalid SSL Certificate Requirements Flag: never",
            valkey.replace("redis://", "redis+cluster://"): "cluster support disabled",
            valkey.removesuffix("/0") + "/9999": "DB index is out of range",
        }.items():
            with pytest.raises(
                ConnectionError, match=rf"no store answers at {re.escape(url)} \(.*{why}"
            ):
                connect_store(url)


def test_passwords(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_store(valkey) as client:
        client.acl_setuser("default", enabled=True, passwords=["+right"])
    try:
        monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "wrong")
        with pytest.raises(
            ConnectionError, match="refuses the password: set DAWNLIST_REDIS_PASSWORD"
        ):
            connect_store(valkey)
        monkeypatch.delenv("DAWNLIST_REDIS_PASSWORD")
        with pytest.raises(ConnectionError, match="set DAWNLIST_REDIS_PASSWORD"):
            connect_store(valkey)
    finally:
        monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "right")
        with connect_store(valkey) as client:
            client.acl_setuser("default", enabled=True, nopass=True)


@pytest.mark.parametrize("info", ["", " -info"])
def test_a_user_with_no_more_rights_than_docs_store_says(
    valkey: str, monkeypatch: pytest.MonkeyPatch, info: str
) -> None:
    """Where INFO is refused the memory is not checked, and everything else is as always."""
    with redis.Redis.from_url(valkey) as admin:
        admin.execute_command(
            "ACL", "SETUSER", "dawn", "reset", "on", ">secret", *(RIGHTS + info).split()
        )
    monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "secret")
    url = valkey.replace("redis://", "redis://dawn@")
    try:
        for day in range(1, 5):
            report = publish(url, day=day, keep=2)
        assert (report["memory"]["free"] is None) is bool(info)
        with connect_store(url) as client:
            assert [version.version for version in versions.list_versions(client, "shop")] == [
                4,
                3,
            ]
            assert versions.roll_back_version(client, "shop").version == 3
            assert versions.release_hold(client, "shop")
            assert recent.record_event(client, "shop", "ann", "a", "view", 1.0) == 1
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.config_get("maxmemory")
    finally:
        with redis.Redis.from_url(valkey) as admin:
            admin.acl_deluser("dawn")


def test_what_has_no_room_is_refused_before_the_first_write(tmp_path: Path) -> None:
    lists = many(20_000)
    with (
        valkey_of(tmp_path, "--maxmemory", "5mb") as port,
        connect_store(url := f"redis://127.0.0.1:{port}") as client,
    ):
        publish(url, day=1)
        before = sorted(client.scan_iter())
        with pytest.raises(
            RuntimeError,
            match=r"of 20,000 users takes about [\d.]+ MB of the store's memory, and [\d.]+ MB are free beside",
        ):
            publish(url, day=2, lists=lists)
        assert sorted(client.scan_iter()) == before


def test_what_would_be_dropped_afterwards_is_dropped_first_where_room_is_short(
    tmp_path: Path,
) -> None:
    """Room for three versions at once, of which two are kept."""
    lists = many(20_000)
    needed = VersionContent.from_lists(lists, "shop").estimate_memory()
    room = str(2_000_000 + 5 * needed // 2)
    with (
        valkey_of(tmp_path, "--maxmemory", room) as port,
        connect_store(url := f"redis://127.0.0.1:{port}") as client,
    ):
        reports = [publish(url, day=day, lists=lists, keep=2) for day in range(1, 5)]
        assert [report["previous"] for report in reports] == [None, 1, 2, 3]
        assert [version.version for version in versions.list_versions(client, "shop")] == [4, 3]


def test_the_predicted_memory_is_near_what_is_taken(valkey: str) -> None:
    lists = many(20_000)
    with connect_store(valkey) as client:
        before = memory.read_used_memory(client) or 0
        content = VersionContent.from_lists(lists, "shop")
        store_content.write_content(
            client, StoreKeys("shop"), "1-00000000", content, 0, lambda buckets: None
        )
        taken = (memory.read_used_memory(client) or 0) - before
    assert 0.95 < content.estimate_memory() / taken < 1.25


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture
def emptied(cluster_url: str) -> str:
    with connect_store(cluster_url) as client:
        client.flushall(target_nodes=ClusterClient.PRIMARIES)
    return cluster_url


def test_a_cluster(emptied: str) -> None:
    lists = many(2_000)
    for day in range(1, 5):
        report = publish(emptied, day=day, lists=lists, keep=2)
    assert (report["version"], report["previous"], report["memory"]["free"] > 1e6) == (4, 3, True)
    with connect_store(emptied) as client:
        held = {
            node.port: len(client.get_redis_connection(node).keys("*:4-*"))
            for node in client.get_primaries()
        }
        assert len(held) == 3 and all(30 < count < 150 for count in held.values())
        assert (
            sum(
                len(client.get_redis_connection(node).keys("*:2-*"))
                for node in client.get_primaries()
            )
            == 0
        )
        user, history = read(client, "u7")
        assert (
            user is not None and user.item_index.tolist() == [2, 0] and len(history.item_index) == 0
        )
        assert versions.roll_back_version(client, "shop").replaced == 4
        assert [found.active for found in versions.list_versions(client, "shop")] == [
            False,
            True,
        ]
        assert comparison.compare_versions(client, "shop", 3, 4)["churn"] == 0
        assert publish(emptied, day=5)["held"]["version"] == 3
        assert versions.release_hold(client, "shop")
        assert [recent.record_event(client, "shop", "ann", "a", "view", 1.0) for _ in range(2)] == [
            1,
            2,
        ]


def test_a_client_of_a_cluster_closes_its_connections(emptied: str) -> None:
    """redis-py's own leaves them to the garbage collector, which warned in whatever test it came to."""
    with connect_store(emptied) as client:
        for number in range(30):
            client.set(f"k{number}", "")
        pools = [node.redis_connection.connection_pool for node in client.get_primaries()]
        held = [connection for pool in pools for connection in pool._available_connections]
        assert len(held) == 3 and all(connection._sock for connection in held)
    assert not any(connection._sock for connection in held)


def test_a_user_of_a_cluster(emptied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rights as on one server and +cluster, as docs/STORE.md says; what is refused is told as there."""
    url = emptied.replace("://", "://dawn@")
    monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "secret")
    with ClusterClient.from_url(strip_cluster_suffix(emptied)) as admin:
        rights = ("reset", "on", ">secret", *RIGHTS.split())
        for more, refusal in (
            ("+cluster", ""),
            ("-cluster", r"refuses this user .*: see Rights in docs/STORE\.md"),
        ):
            for node in admin.get_primaries():
                admin.get_redis_connection(node).execute_command(
                    "ACL", "SETUSER", "dawn", *rights, more
                )
            if refusal:
                with pytest.raises(ConnectionError, match=refusal):
                    connect_store(url)
            else:
                assert publish(url, day=1)["version"] == 1
        monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "wrong")
        with pytest.raises(ConnectionError, match="refuses the password"):
            connect_store(url)


def test_a_slot_that_has_moved_is_found(emptied: str) -> None:
    """The client's map is older than the cluster's, as during a resharding."""
    with connect_store(emptied) as client:
        cache: Any = client.nodes_manager.slots_cache
        first, second = (next(iter(cache[slot])) for slot in (0, 16_383))
        names = [f"k{number}" for number in range(100)]
        for slot in range(16_384):
            if cache[slot][0] is first:
                cache[slot] = [second]
        bulk.write_values(client, [(name, name.encode()) for name in names])
        assert bulk.count_existing_keys(client, names) == 100
        assert list(bulk.read_values(client, names)) == [name.encode() for name in names]


def test_connections_that_are_cut_and_a_node_that_is_gone(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a load balancer, while nothing is asked and before the answers, and a failover that nobody told of."""
    names = [f"k{number}" for number in range(100)]
    answers = bulk._read_replies
    with connect_store(emptied) as client:

        def cut() -> None:
            for node in client.get_primaries():
                with redis.Redis(node.host, node.port) as other:
                    assert other.client_kill_filter(_type="normal", skipme=True) > 0

        def late(connection: Any, number: int) -> list[Any]:
            monkeypatch.setattr(bulk, "_read_replies", answers)
            cut()
            connection.disconnect()  # else what had come before is read
            return answers(connection, number)

        bulk.write_values(client, [(name, name.encode()) for name in names])
        cut()
        assert list(bulk.read_values(client, names)) == [name.encode() for name in names]
        monkeypatch.setattr(bulk, "_read_replies", late)
        assert list(bulk.read_values(client, names)) == [name.encode() for name in names]
        cache: Any = client.nodes_manager.slots_cache
        gone = ClusterNode("127.0.0.1", free_port())  # type: ignore[no-untyped-call]
        first = cache[0][0]
        for slot in range(16_384):
            if cache[slot][0] is first:
                cache[slot] = [gone]
        assert list(bulk.read_values(client, names)) == [name.encode() for name in names]
        assert bulk.delete_keys(client, names) == 100


def test_tls(valkey: str, tmp_path: Path) -> None:
    """By rediss:// and the authority's file; the embedded Valkey is built without TLS, so one stands before it."""
    certificate, key = self_signed(tmp_path)
    with tls(valkey, certificate, key) as url:
        assert publish(f"{url}?ssl_ca_certs={certificate}", day=1)["version"] == 1
        with pytest.raises(ConnectionError, match="no store answers"):
            connect_store(url)  # an authority that nobody here knows


def many(n: int) -> TopLists:
    vectors = np.random.default_rng(0).standard_normal((n, 128)).astype(np.float32)
    return of_many(ANN_AND_BOB, n, vectors=vectors, item_factors=np.zeros((3, 128), np.float32))
