"""A connection of the store that does not get as far as its first answer."""

import asyncio
import contextlib
import socket
import threading

import pytest

from components import store_wire
from components.store_nodes import Failure
from components.store_reader import Reader
from tests.heard import Heard
from tests.servers import listening


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
