"""Read values from the servers of the store: a single one, or the nodes of a cluster."""

import asyncio
import enum
from dataclasses import replace
from typing import Any, Final

import hiredis
from redis.crc import key_slot

from dawnlist.store.endpoint import ServerEndpoint, pack_command
from dawnlist.store.wire import FailureListener, ServerLink

SLOT_MAP_SECONDS: Final = 0.5
"""The shortest time between two requests for a cluster's slot map."""
SLOTS: Final = 16384
"""The number of slots of a cluster."""

NodeAddress = tuple[str, int]
"""The host and port of a node."""


class ReadFailure(enum.Enum):
    """Why a value could not be read."""

    MISSING = "missing"
    """The key does not exist."""
    UNREACHABLE = "unreachable"
    """The server did not answer in time, or answered with an error."""
    CORRUPT = "corrupt"
    """The value is not what was written."""


ReadResult = bytes | ReadFailure


class StoreNodes:
    """A single server."""

    def __init__(self, server: ServerEndpoint, listener: FailureListener, timeout: float) -> None:
        self._server = server
        self._listener = listener
        self._timeout = timeout
        self._links: dict[NodeAddress, ServerLink] = {}

    @property
    def ok(self) -> bool:
        """Whether the last read of each server was answered."""
        return bool(self._links) and all(link.ok for link in self._links.values())

    async def read(self, keys: list[str]) -> list[ReadResult]:
        """Read the values of the keys, in their order. Never raises an error."""
        if not keys:
            return []
        link = self._get_link((self._server.host, self._server.port))
        replies = await link.execute(pack_command(["MGET", *keys]), 1)
        if replies is None:
            return [ReadFailure.UNREACHABLE] * len(keys)
        values = replies[0]
        if isinstance(values, hiredis.ReplyError):
            self._listener.report_store_error(_extract_error_code(values))
            return [ReadFailure.UNREACHABLE] * len(keys)
        return [ReadFailure.MISSING if value is None else value for value in values]

    def close(self) -> None:
        """Close all connections."""
        for link in self._links.values():
            link.close()

    def _get_link(self, address: NodeAddress) -> ServerLink:
        if address not in self._links:
            host, port = address
            server = replace(self._server, host=host, port=port)
            self._links[address] = ServerLink(server, self._listener, self._timeout)
        return self._links[address]


class ClusterNodes(StoreNodes):
    """The nodes of a cluster. Follows its slot map, and the redirection of a key that has moved."""

    def __init__(self, server: ServerEndpoint, listener: FailureListener, timeout: float) -> None:
        super().__init__(server, listener, timeout)
        self._slot_map: list[NodeAddress | None] = [None] * SLOTS
        self._last_map_request = -SLOT_MAP_SECONDS
        self._map_task: asyncio.Task[None] | None = None

    async def read(self, keys: list[str]) -> list[ReadResult]:
        """Read the values of the keys, in their order. Never raises an error."""
        addresses = self._locate_keys(keys)
        if None in addresses:
            await self._update_slot_map()
            addresses = self._locate_keys(keys)
        indices_by_node: dict[NodeAddress | None, list[int]] = {}
        for index, address in enumerate(addresses):
            indices_by_node.setdefault(address, []).append(index)
        values: list[ReadResult] = [ReadFailure.UNREACHABLE] * len(keys)
        reads = []
        for node, indices in indices_by_node.items():
            if node is not None:
                reads.append(self._read_from_node(node, indices, keys, values))
        await asyncio.gather(*reads)
        return values

    def close(self) -> None:
        """Close all connections."""
        if self._map_task is not None:
            self._map_task.cancel()
        super().close()

    def _locate_keys(self, keys: list[str]) -> list[NodeAddress | None]:
        """Return the node of each key, None where the slot map does not say."""
        return [self._slot_map[key_slot(key.encode())] for key in keys]

    async def _read_from_node(
        self, node: NodeAddress, indices: list[int], keys: list[str], values: list[ReadResult]
    ) -> None:
        """Read the keys with these indices from a node, and put their values into `values`."""
        commands = b"".join(pack_command(("GET", keys[index])) for index in indices)
        replies = await self._get_link(node).execute(commands, len(indices))
        if replies is None:
            self._start_map_update()
            return
        for index, reply in zip(indices, replies, strict=True):
            if isinstance(reply, hiredis.ReplyError):
                reply = await self._follow_redirection(keys[index], reply)
            values[index] = ReadFailure.MISSING if reply is None else reply

    async def _follow_redirection(
        self, key: str, error: hiredis.ReplyError
    ) -> bytes | ReadFailure | None:
        """Read a value from the node that a MOVED or ASK error names."""
        kind, *details = str(error).split()
        if kind not in ("MOVED", "ASK") or len(details) != 2:
            self._listener.report_store_error(_extract_error_code(error))
            return ReadFailure.UNREACHABLE
        if kind == "MOVED":
            self._start_map_update()
        host, _, port = details[1].rpartition(":")
        commands = pack_command(("ASKING",)) + pack_command(("GET", key))
        link = self._get_link((host or self._server.host, int(port)))
        replies = await link.execute(commands, 2)
        if not replies or isinstance(replies[1], hiredis.ReplyError):
            return ReadFailure.UNREACHABLE
        value: bytes | None = replies[1]
        return value

    def _start_map_update(self) -> None:
        """Update the slot map in the background."""
        if self._map_task is None or self._map_task.done():
            self._map_task = asyncio.create_task(self._update_slot_map())

    async def _update_slot_map(self) -> None:
        """Ask the nodes for the slot map, one after another, until one answers.

        The node of the URL is the first. Does nothing if the last request is too recent.
        """
        now = asyncio.get_running_loop().time()
        if now - self._last_map_request < SLOT_MAP_SECONDS:
            return
        self._last_map_request = now
        for address in [(self._server.host, self._server.port), *self._links]:
            replies = await self._get_link(address).execute(pack_command(("CLUSTER", "SLOTS")), 1)
            if replies and not isinstance(replies[0], hiredis.ReplyError):
                self._apply_slot_map(replies[0], address[0])
                return

    def _apply_slot_map(self, slot_ranges: list[Any], answering_host: str) -> None:
        for first, last, (host, port, *_), *_ in slot_ranges:
            # The host is None if the cluster's setting cluster-preferred-endpoint-type says so.
            name = host.decode() if host else ""
            address = (name or answering_host, port)
            self._slot_map[first : last + 1] = [address] * (last + 1 - first)


def _extract_error_code(error: Any) -> str:
    """Return the first word of a server's error: NOPERM, LOADING, …"""
    return str(error).split(" ", 1)[0]
