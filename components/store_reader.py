"""The read side of the store: what all requests of one turn of the event loop want, in one command, and never an error.

16 requests that come together cost one MGET, on a cluster one pipeline a node. A value that can't be had is a Failure,
so that who asked goes one rung down; store_wire.py has the time limit and the breaker.
"""

import asyncio
import enum
from collections.abc import Sequence
from typing import Any, Final

import hiredis
from redis.crc import key_slot

from components.store_layout import is_cluster, opened
from components.store_wire import Link, Listener, Server, packed

TIMEOUT: Final = 0.05
KEYS_A_COMMAND: Final = 256  # a longer MGET would hold up other clients of the server
MAP_SECONDS: Final = 0.5
"""A cluster is asked for its map at most so often."""


class Failure(enum.Enum):
    """Why there is no value."""

    MISSING = "missing"
    UNREACHABLE = "unreachable"
    CORRUPT = "corrupt"


Value = bytes | Failure
Waiter = tuple[Sequence[str], "asyncio.Future[list[Value]]"]


def body_of(value: Value) -> memoryview | Failure:
    """A data value's body, checked."""
    if isinstance(value, Failure):
        return value
    try:
        return opened(value)
    except ValueError:
        return Failure.CORRUPT


class Reader:
    """Reads values by their keys; belongs to one event loop. ValueError for a URL that can't be used."""

    def __init__(self, url: str, listener: Listener, timeout: float = TIMEOUT) -> None:
        self._nodes: Nodes = (Cluster if is_cluster(url) else Nodes)(Server.of(url), listener, timeout)
        self._wanted: list[Waiter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ok(self) -> bool:
        """Whether the last read of each server was answered."""
        return self._nodes.ok

    def read(self, keys: Sequence[str]) -> "asyncio.Future[list[Value]]":
        """The values of keys, in their order."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Value]] = loop.create_future()
        if not self._wanted:
            loop.call_soon(self._flush)
        self._wanted.append((keys, future))
        return future

    async def warm(self) -> None:
        """Connect, so that the first who ask don't wait for it."""
        await self._nodes.values(["dawnlist:"])

    def close(self) -> None:
        """Let go of the servers."""
        self._nodes.close()

    def _flush(self) -> None:
        """Ask for what has been wanted since the last time, in commands that are not too long."""
        wanted, self._wanted = self._wanted, []
        batch: list[Waiter] = []
        size = 0
        for waiter in wanted:
            if batch and size + len(waiter[0]) > KEYS_A_COMMAND:
                self._begin(batch)
                batch, size = [], 0
            batch.append(waiter)
            size += len(waiter[0])
        self._begin(batch)

    def _begin(self, batch: list[Waiter]) -> None:
        task = asyncio.create_task(self._answer(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, batch: list[Waiter]) -> None:
        values = await self._nodes.values([key for keys, _ in batch for key in keys])
        begin = 0
        for keys, future in batch:
            if not future.done():
                future.set_result(values[begin : begin + len(keys)])
            begin += len(keys)


class Nodes:
    """One server."""

    def __init__(self, server: Server, listener: Listener, timeout: float) -> None:
        self._server, self._listener, self._timeout = server, listener, timeout
        self._links: dict[tuple[str, int], Link] = {}

    @property
    def ok(self) -> bool:
        """See Reader.ok."""
        return bool(self._links) and all(link.ok for link in self._links.values())

    async def values(self, keys: list[str]) -> list[Value]:
        """See Reader.read."""
        if not keys:
            return []
        replies = await self._link((self._server.host, self._server.port)).ask(packed(["MGET", *keys]), 1)
        if replies is None:
            return [Failure.UNREACHABLE] * len(keys)
        if isinstance(replies[0], hiredis.ReplyError):
            self._listener.redis_error(_kind(replies[0]))
            return [Failure.UNREACHABLE] * len(keys)
        return [Failure.MISSING if value is None else value for value in replies[0]]

    def close(self) -> None:
        """Cut all connections."""
        for link in self._links.values():
            link.close()

    def _link(self, place: tuple[str, int]) -> Link:
        if place not in self._links:
            server = Server(*place, self._server.path, self._server.greeting, self._server.greetings, self._server.tls)
            self._links[place] = Link(server, self._listener, self._timeout)
        return self._links[place]


class Cluster(Nodes):
    """The nodes of a cluster; follows its map, and the redirections of a key that has moved."""

    def __init__(self, server: Server, listener: Listener, timeout: float) -> None:
        super().__init__(server, listener, timeout)
        self._map: list[tuple[str, int] | None] = [None] * 16384
        self._mapped_at = -MAP_SECONDS
        self._mapping: asyncio.Task[None] | None = None

    async def values(self, keys: list[str]) -> list[Value]:
        """See Reader.read."""
        places = [self._map[key_slot(key.encode())] for key in keys]
        if None in places:
            await self._follow_map()
            places = [self._map[key_slot(key.encode())] for key in keys]
        by_place: dict[tuple[str, int] | None, list[int]] = {}
        for at, place in enumerate(places):
            by_place.setdefault(place, []).append(at)
        values: list[Value] = [Failure.UNREACHABLE] * len(keys)
        parts = (self._fill(place, indices, keys, values) for place, indices in by_place.items() if place)
        await asyncio.gather(*parts)
        return values

    async def _fill(self, place: tuple[str, int], indices: list[int], keys: list[str], values: list[Value]) -> None:
        """Put one node's values in their places."""
        commands = b"".join(packed(("GET", keys[at])) for at in indices)
        replies = await self._link(place).ask(commands, len(indices))
        if replies is None:
            self._remap()
            return
        for at, reply in zip(indices, replies, strict=True):
            if isinstance(reply, hiredis.ReplyError):
                reply = await self._redirected(keys[at], reply)
            values[at] = Failure.MISSING if reply is None else reply

    async def _redirected(self, key: str, error: hiredis.ReplyError) -> bytes | Failure | None:
        """The value from where the node says that the key is."""
        kind, *rest = str(error).split()
        if kind not in ("MOVED", "ASK") or len(rest) != 2:
            self._listener.redis_error(_kind(error))
            return Failure.UNREACHABLE
        if kind == "MOVED":
            self._remap()
        host, _, port = rest[1].rpartition(":")
        commands = packed(("ASKING",)) + packed(("GET", key))
        replies = await self._link((host or self._server.host, int(port))).ask(commands, 2)
        value: bytes | hiredis.ReplyError | None = replies[1] if replies else hiredis.ReplyError("no answer")
        return Failure.UNREACHABLE if isinstance(value, hiredis.ReplyError) else value

    def _remap(self) -> None:
        """See to a new map, without waiting for it."""
        if self._mapping is None or self._mapping.done():
            self._mapping = asyncio.create_task(self._follow_map())

    async def _follow_map(self) -> None:
        """Ask the nodes one after another for the map, beginning with the one of the URL, until one answers."""
        now = asyncio.get_running_loop().time()
        if now - self._mapped_at < MAP_SECONDS:
            return
        self._mapped_at = now
        for place in [(self._server.host, self._server.port), *self._links]:
            replies = await self._link(place).ask(packed(("CLUSTER", "SLOTS")), 1)
            if replies and not isinstance(replies[0], hiredis.ReplyError):
                for first, last, (host, port, *_), *_ in replies[0]:
                    self._map[first : last + 1] = [(host.decode() or place[0], port)] * (last + 1 - first)
                return

    def close(self) -> None:
        """Cut all connections."""
        if self._mapping is not None:
            self._mapping.cancel()
        super().close()


def _kind(error: Any) -> str:
    """The first word of a server's error: NOPERM, LOADING, …"""
    return str(error).split(" ", 1)[0]
