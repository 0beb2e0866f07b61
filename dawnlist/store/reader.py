"""Read values of the store for the predictor: in batches, in a short time, without errors.

All reads of one turn of the event loop go out in one command: 16 requests that arrive together
cost one MGET, or one pipeline for each node of a cluster. A value that can't be read is a
`ReadFailure`, so that the caller can fall back to a simpler answer. wire.py has the time limit and
the circuit breaker.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from dawnlist.store.client import is_cluster_url
from dawnlist.store.endpoint import ServerEndpoint
from dawnlist.store.layout import verify_checksum
from dawnlist.store.nodes import ClusterNodes, ReadFailure, ReadResult, StoreNodes
from dawnlist.store.wire import FailureListener

READ_TIMEOUT_SECONDS: Final = 0.05
MAX_KEYS_PER_COMMAND: Final = 256
"""A longer MGET would block other clients of the server. A single read may exceed it."""

PendingRead = tuple[Sequence[str], "asyncio.Future[list[ReadResult]]"]


def extract_body(value: ReadResult) -> memoryview | ReadFailure:
    """Return the body of a data value, after checking its checksum."""
    if isinstance(value, ReadFailure):
        return value
    try:
        return verify_checksum(value)
    except ValueError:
        return ReadFailure.CORRUPT


class StoreReader:
    """Reads values by their keys. Belongs to one event loop.

    Args:
        url: The store's URL.
        listener: Is told about failures.
        timeout: Seconds that one read may take.

    Raises:
        ValueError: the URL can't be used.
    """

    def __init__(
        self, url: str, listener: FailureListener, timeout: float = READ_TIMEOUT_SECONDS
    ) -> None:
        server = ServerEndpoint.from_url(url)
        self._nodes: StoreNodes
        if is_cluster_url(url):
            self._nodes = ClusterNodes(server, listener, timeout)
        else:
            self._nodes = StoreNodes(server, listener, timeout)
        self._pending: list[PendingRead] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ok(self) -> bool:
        """Whether the last read of each server was answered."""
        return self._nodes.ok

    def read(self, keys: Sequence[str]) -> "asyncio.Future[list[ReadResult]]":
        """Read the values of the keys, in their order."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[ReadResult]] = loop.create_future()
        if not self._pending:
            loop.call_soon(self._send_pending)
        self._pending.append((keys, future))
        return future

    async def warm_up(self) -> None:
        """Connect, so that the first request need not wait for it."""
        await self._nodes.read(["dawnlist:"])

    def close(self) -> None:
        """Close the connections."""
        self._nodes.close()

    def _send_pending(self) -> None:
        """Send all pending reads, in commands of at most MAX_KEYS_PER_COMMAND keys."""
        pending = self._pending
        self._pending = []
        batch: list[PendingRead] = []
        size = 0
        for pending_read in pending:
            keys = pending_read[0]
            if batch and size + len(keys) > MAX_KEYS_PER_COMMAND:
                self._start_batch(batch)
                batch = []
                size = 0
            batch.append(pending_read)
            size += len(keys)
        self._start_batch(batch)

    def _start_batch(self, batch: list[PendingRead]) -> None:
        # The set keeps the task alive: the event loop holds only weak references.
        task = asyncio.create_task(self._read_batch(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_batch(self, batch: list[PendingRead]) -> None:
        all_keys: list[str] = []
        for keys, _ in batch:
            all_keys.extend(keys)
        values = await self._nodes.read(all_keys)
        begin = 0
        for keys, future in batch:
            end = begin + len(keys)
            if not future.done():
                future.set_result(values[begin:end])
            begin = end
