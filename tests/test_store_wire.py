"""Servers of the store that say less than they might: no first answer, no name of their own."""

import asyncio
import contextlib
import socket
import threading
from pathlib import Path

import pytest
import redis

from components import store_wire
from components.store_nodes import Failure
from components.store_reader import Reader
from tests.heard import Heard
from tests.servers import listening
from tests.stores import cluster


def test_a_connection_that_is_not_greeted_in_time_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "secret")
    monkeypatch.setattr(store_wire, "CONNECT_SECONDS", 0.05)
    closed = threading.Event()

    def silent(line: socket.socket) -> None:
        line.settimeout(20)
        with contextlib.suppress(TimeoutError):
            while line.recv(1_000):
                pass
            closed.set()

    async def use(url: str) -> None:
        reader = Reader(url, Heard())
        assert await reader.read(["k"]) == [Failure.UNREACHABLE]
        assert await asyncio.to_thread(closed.wait, 10)
        reader.close()

    with listening(silent) as port:
        asyncio.run(use(f"redis://127.0.0.1:{port}/0"))


def test_a_cluster_that_names_no_hosts_is_asked_where_it_answered(tmp_path: Path) -> None:
    async def use(url: str) -> None:
        reader = Reader(url, Heard(), timeout=10)
        assert await asyncio.wait_for(reader.read(["k"]), 20) == [b"v"]
        reader.close()

    with cluster(tmp_path, nodes=1) as url, redis.Redis(port=int(url.rsplit(":", 1)[1])) as client:
        client.set("k", "v")
        client.config_set("cluster-preferred-endpoint-type", "unknown-endpoint")
        asyncio.run(use(url))
