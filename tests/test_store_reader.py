"""Reads of the store: together in one command, in time or not at all, never an error; TLS, users and clusters."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from dawnlist.store import wire
from dawnlist.store.client import connect_store
from dawnlist.store.endpoint import ServerEndpoint
from dawnlist.store.layout import add_checksum
from dawnlist.store.nodes import ReadFailure, ReadResult
from dawnlist.store.reader import StoreReader, extract_body
from tests.support.certificates import self_signed
from tests.support.heard import Heard
from tests.support.servers import NOBODY, free_port
from tests.support.stores import cluster, put_on, tls, valkey_of


def with_reader(
    url: str, use: Callable[[StoreReader, Heard], Awaitable[Any]], timeout: float = 10.0
) -> Any:
    async def run() -> Any:
        heard = Heard()
        reader = StoreReader(url, heard, timeout)
        try:
            return await use(reader, heard)
        finally:
            reader.close()

    return asyncio.run(run())


def read(url: str, *keys: str) -> list[ReadResult]:
    async def use(reader: StoreReader, heard: Heard) -> list[ReadResult]:
        return await reader.read(keys)

    found: list[ReadResult] = with_reader(url, use)
    return found


def test_what_is_wanted_in_one_turn_is_one_command(valkey: str) -> None:
    with redis.from_url(valkey) as client:
        client.mset({f"k{i}": str(i) for i in range(40)})
        client.config_resetstat()

        async def use(reader: StoreReader, heard: Heard) -> list[list[ReadResult]]:
            return list(
                await asyncio.gather(
                    *(reader.read([f"k{i}", "none", f"k{i + 20}"]) for i in range(20))
                )
            )

        assert with_reader(valkey, use) == [
            [str(i).encode(), ReadFailure.MISSING, str(i + 20).encode()] for i in range(20)
        ]
        assert client.info("commandstats")["cmdstat_mget"]["calls"] == 1


def test_a_long_list_of_keys_is_cut(valkey: str) -> None:
    with redis.from_url(valkey) as client:
        client.set("k", os.urandom(3000))

        async def use(reader: StoreReader, heard: Heard) -> list[list[ReadResult]]:
            return list(await asyncio.gather(*(reader.read(["k"] * 100) for _ in range(10))))

        assert [len(values) for values in with_reader(valkey, use)] == [100] * 10
        assert client.info("commandstats")["cmdstat_mget"]["calls"] >= 5


def test_no_keys_and_values_of_another_kind(valkey: str) -> None:
    with redis.from_url(valkey) as client:
        client.lpush("list", "x")
    assert (read(valkey), read(valkey, "list")) == ([], [ReadFailure.MISSING])


def test_a_body_is_checked() -> None:
    whole = add_checksum(b"abc")
    bodies = [extract_body(value) for value in (whole, whole[:-1], b"ab", b"", ReadFailure.MISSING)]
    assert bodies == [
        b"abc",
        ReadFailure.CORRUPT,
        ReadFailure.CORRUPT,
        ReadFailure.CORRUPT,
        ReadFailure.MISSING,
    ]


def test_nobody_there_opens_the_breaker_which_asks_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        wire, "BREAKER_REST_SECONDS", 60.0
    )  # or a busy machine's reads may take longer than the rest

    async def use(reader: StoreReader, heard: Heard) -> None:
        for _ in range(5):
            assert await reader.read(["k"]) == [ReadFailure.UNREACHABLE]
        assert not reader.ok
        for _ in range(50):
            assert await reader.read(["k"]) == [ReadFailure.UNREACHABLE]
        assert heard.said == ["ConnectionRefusedError"] * 5 + [True]

    with_reader(f"redis://{NOBODY}/0", use)


def test_a_server_that_hangs_is_not_waited_for_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        wire, "BREAKER_REST_SECONDS", 60.0
    )  # the loop's clock is put on by it: what is slow here ends no rest
    monkeypatch.setattr(
        wire, "STUCK_SECONDS", 600.0
    )  # late answers are to come on the same connection
    with valkey_of(tmp_path) as port, redis.Redis(port=port) as client:
        client.set("k", "v")
        pid = client.info("server")["process_id"]

        async def use(reader: StoreReader, heard: Heard) -> None:
            assert await reader.read(["k"]) == [b"v"]
            os.kill(pid, signal.SIGSTOP)
            began = time.perf_counter()
            for _ in range(20):
                assert await reader.read(["k"]) == [ReadFailure.UNREACHABLE]
            assert heard.said == ["TimeoutError"] * 5 + [True]  # the other 15 were not asked
            assert time.perf_counter() - began >= 4.9  # five times the limit
            os.kill(pid, signal.SIGCONT)
            client.set("k", "w")
            assert await reader.read(["k"]) == [ReadFailure.UNREACHABLE]  # it rests
            put_on(60)
            both = await asyncio.gather(reader.read(["k"]), reader.read(["k", "k"]))  # one command
            assert list(both) == [[b"w"], [b"w", b"w"]]  # not an answer that comes late
            assert reader.ok
            assert heard.said == ["TimeoutError"] * 5 + [True, False]

        with_reader(f"redis://127.0.0.1:{port}/0", use, timeout=1.0)


def test_a_server_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    port = free_port()

    async def run(reader: StoreReader, heard: Heard) -> None:
        with valkey_of(tmp_path, port=port):
            assert await reader.read(["k"]) == [ReadFailure.MISSING]
        assert await reader.read(["k"]) == [ReadFailure.UNREACHABLE]
        with valkey_of(tmp_path, port=port):
            assert await reader.read(["k"]) == [ReadFailure.MISSING]

    with_reader(f"redis://127.0.0.1:{port}/0", run)


def test_databases_users_and_their_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with valkey_of(tmp_path) as port:
        with redis.Redis(port=port, db=3) as client:
            client.set("dawnlist:k", "v")
            client.execute_command("ACL SETUSER reader on >secret ~dawnlist:* +mget +select")
            client.execute_command("ACL SETUSER default off")
        monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "secret")
        url = f"redis://reader@127.0.0.1:{port}/3"
        assert read(url, "dawnlist:k") == [b"v"]

        async def refused(reader: StoreReader, heard: Heard) -> list[Any]:
            assert await reader.read(["other"]) == [ReadFailure.UNREACHABLE]
            return heard.said

        assert with_reader(url, refused) == ["NOPERM"]
        monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "wrong")
        assert with_reader(url, refused) == ["PermissionError"]


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "valkey.sock"
    with valkey_of(tmp_path, "--unixsocket", str(path)) as port, redis.Redis(port=port) as client:
        client.set("k", "v")
        assert read(f"unix://{path}", "k") == [b"v"]


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://user:secret@127.0.0.1/0"])
def test_a_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ValueError, match=r"store 'http|holds a password"):
        ServerEndpoint.from_url(url)


def test_tls_checks_the_certificate(valkey: str, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with redis.from_url(valkey) as client, tls(valkey, certificate, key) as url:
        client.set("k", "v")
        options = (f"?ssl_ca_certs={certificate}", "", "?ssl_cert_reqs=none")
        assert [read(url + option, "k") for option in options] == [
            [b"v"],
            [ReadFailure.UNREACHABLE],
            [b"v"],
        ]


def test_a_cluster_is_read_by_node_and_followed_when_slots_move(tmp_path: Path) -> None:
    with cluster(tmp_path) as url:
        client = connect_store(url)
        keys = [f"dawnlist:shop:1-a:u:{i}" for i in range(60)]
        for key in keys:
            client.set(key, key)
        wanted = [key.encode() for key in keys]

        async def use(reader: StoreReader, heard: Heard) -> None:
            assert await reader.read([*keys, "none"]) == [*wanted, ReadFailure.MISSING]
            moved = move_slot(client, keys[0])
            assert await reader.read(keys) == wanted  # by MOVED
            assert heard.said == []
            os.kill(moved, signal.SIGKILL)
            values = await reader.read(keys)
            assert values[0] is ReadFailure.UNREACHABLE
            assert 0 < values.count(ReadFailure.UNREACHABLE) < len(keys)  # the other nodes answer
            assert all(
                value in (key.encode(), ReadFailure.UNREACHABLE)
                for key, value in zip(keys, values, strict=True)
            )

        with_reader(url, use)
        client.close()


def move_slot(client: Any, key: str) -> int:
    """Give the slot of a key, and all in it, to another node; returns that node's process."""
    slot = client.keyslot(key)
    source = client.get_node_from_key(key)
    target = next(node for node in client.get_primaries() if node != source)
    ids = {node: client.cluster_myid(node).decode() for node in (source, target)}
    here, there = source.redis_connection, target.redis_connection
    there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    for name in here.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
        here.execute_command("MIGRATE", target.host, target.port, name, 0, 5000)
    for node in (there, here):
        node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
    return int(there.info("server")["process_id"])
