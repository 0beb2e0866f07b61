"""The servers of the store as a reader sees them: one, or the nodes of a cluster, followed as slots move."""

import asyncio
import enum
from typing import Any, Final

import hiredis
from redis.crc import key_slot

from dawnlist.store.wire import FailureListener, ServerEndpoint, ServerLink, pack_command

SLOT_MAP_SECONDS: Final = 0.5
"""A cluster is asked for its map at most so often."""


class ReadFailure(enum.Enum):
    """Why there is no value."""

    MISSING = "missing"
    UNREACHABLE = "unreachable"
    CORRUPT = "corrupt"


ReadResult = bytes | ReadFailure


class StoreNodes:
    """One server."""

    def __init__(self, server: ServerEndpoint, listener: FailureListener, timeout: float) -> None:
        self._server, self._listener, self._timeout = server, listener, timeout
        self._links: dict[tuple[str, int], ServerLink] = {}

    @property
    def ok(self) -> bool:
        """See Reader.ok."""
        return bool(self._links) and all(link.ok for link in self._links.values())

    async def values(self, keys: list[str]) -> list[ReadResult]:
        """See Reader.read."""
        if not keys:
            return []
        replies = await self._link((self._server.host, self._server.port)).ask(
            pack_command(["MGET", *keys]), 1
        )
        if replies is None:
            return [ReadFailure.UNREACHABLE] * len(keys)
        if isinstance(replies[0], hiredis.ReplyError):
            self._listener.report_store_error(_extract_error_code(replies[0]))
            return [ReadFailure.UNREACHABLE] * len(keys)
        return [ReadFailure.MISSING if value is None else value for value in replies[0]]

    def close(self) -> None:
        """Cut all connections."""
        for link in self._links.values():
            link.close()

    def _link(self, place: tuple[str, int]) -> ServerLink:
        if place not in self._links:
            server = ServerEndpoint(
                *place,
                self._server.path,
                self._server.greeting,
                self._server.greetings,
                self._server.tls,
            )
            self._links[place] = ServerLink(server, self._listener, self._timeout)
        return self._links[place]


class ClusterNodes(StoreNodes):
    """The nodes of a cluster; follows its map, and the redirections of a key that has moved."""

    def __init__(self, server: ServerEndpoint, listener: FailureListener, timeout: float) -> None:
        super().__init__(server, listener, timeout)
        self._map: list[tuple[str, int] | None] = [None] * 16384
        self._mapped_at = -SLOT_MAP_SECONDS
        self._mapping: asyncio.Task[None] | None = None

    async def values(self, keys: list[str]) -> list[ReadResult]:
        """See Reader.read."""
        places = [self._map[key_slot(key.encode())] for key in keys]
        if None in places:
            await self._follow_map()
            places = [self._map[key_slot(key.encode())] for key in keys]
        by_place: dict[tuple[str, int] | None, list[int]] = {}
        for at, place in enumerate(places):
            by_place.setdefault(place, []).append(at)
        values: list[ReadResult] = [ReadFailure.UNREACHABLE] * len(keys)
        parts = (
            self._fill(place, indices, keys, values) for place, indices in by_place.items() if place
        )
        await asyncio.gather(*parts)
        return values

    async def _fill(
        self, place: tuple[str, int], indices: list[int], keys: list[str], values: list[ReadResult]
    ) -> None:
        """Put one node's values in their places."""
        commands = b"".join(pack_command(("GET", keys[at])) for at in indices)
        replies = await self._link(place).ask(commands, len(indices))
        if replies is None:
            self._remap()
            return
        for at, reply in zip(indices, replies, strict=True):
            if isinstance(reply, hiredis.ReplyError):
                reply = await self._redirected(keys[at], reply)
            values[at] = ReadFailure.MISSING if reply is None else reply

    async def _redirected(self, key: str, error: hiredis.ReplyError) -> bytes | ReadFailure | None:
        """The value from where the node says that the key is."""
        kind, *rest = str(error).split()
        if kind not in ("MOVED", "ASK") or len(rest) != 2:
            self._listener.report_store_error(_extract_error_code(error))
            return ReadFailure.UNREACHABLE
        if kind == "MOVED":
            self._remap()
        host, _, port = rest[1].rpartition(":")
        commands = pack_command(("ASKING",)) + pack_command(("GET", key))
        replies = await self._link((host or self._server.host, int(port))).ask(commands, 2)
        value: bytes | hiredis.ReplyError | None = (
            replies[1] if replies else hiredis.ReplyError("no answer")
        )
        return ReadFailure.UNREACHABLE if isinstance(value, hiredis.ReplyError) else value

    def _remap(self) -> None:
        """See to a new map, without waiting for it."""
        if self._mapping is None or self._mapping.done():
            self._mapping = asyncio.create_task(self._follow_map())

    async def _follow_map(self) -> None:
        """Ask the nodes one after another for the map, beginning with the one of the URL, until one answers."""
        now = asyncio.get_running_loop().time()
        if now - self._mapped_at < SLOT_MAP_SECONDS:
            return
        self._mapped_at = now
        for place in [(self._server.host, self._server.port), *self._links]:
            replies = await self._link(place).ask(pack_command(("CLUSTER", "SLOTS")), 1)
            if replies and not isinstance(replies[0], hiredis.ReplyError):
                for first, last, (host, port, *_), *_ in replies[
                    0
                ]:  # host None: cluster-preferred-endpoint-type
                    self._map[first : last + 1] = [((host or b"").decode() or place[0], port)] * (
                        last + 1 - first
                    )
                return

    def close(self) -> None:
        """Cut all connections."""
        if self._mapping is not None:
            self._mapping.cancel()
        super().close()


def _extract_error_code(error: Any) -> str:
    """The first word of a server's error: NOPERM, LOADING, …"""
    return str(error).split(" ", 1)[0]
