"""The read side of the store: what all requests of one turn of the event loop want, in one command, and never an error.

16 requests that come together cost one MGET, on a cluster one pipeline a node. A value that can't be had is a Failure,
so that who asked goes one rung down; store_wire.py has the time limit and the breaker.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from dawnlist.store.client import is_cluster_url
from dawnlist.store.layout import verify_checksum
from dawnlist.store.nodes import ClusterNodes, ReadFailure, ReadResult, StoreNodes
from dawnlist.store.wire import FailureListener, ServerEndpoint

READ_TIMEOUT_SECONDS: Final = 0.05
MAX_KEYS_PER_COMMAND: Final = 256  # a longer MGET would hold up other clients of the server

PendingRead = tuple[Sequence[str], "asyncio.Future[list[ReadResult]]"]


def extract_body(value: ReadResult) -> memoryview | ReadFailure:
    """A data value's body, checked."""
    if isinstance(value, ReadFailure):
        return value
    try:
        return verify_checksum(value)
    except ValueError:
        return ReadFailure.CORRUPT


class StoreReader:
    """Reads values by their keys; belongs to one event loop. ValueError for a URL that can't be used."""

    def __init__(
        self, url: str, listener: FailureListener, timeout: float = READ_TIMEOUT_SECONDS
    ) -> None:
        self._nodes: StoreNodes = (ClusterNodes if is_cluster_url(url) else StoreNodes)(
            ServerEndpoint.of(url), listener, timeout
        )
        self._wanted: list[PendingRead] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ok(self) -> bool:
        """Whether the last read of each server was answered."""
        return self._nodes.ok

    def read(self, keys: Sequence[str]) -> "asyncio.Future[list[ReadResult]]":
        """The values of keys, in their order."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[ReadResult]] = loop.create_future()
        if not self._wanted:
            loop.call_soon(self._flush)
        self._wanted.append((keys, future))
        return future

    async def warm_up(self) -> None:
        """Connect, so that the first who ask don't wait for it."""
        await self._nodes.values(["dawnlist:"])

    def close(self) -> None:
        """Let go of the servers."""
        self._nodes.close()

    def _flush(self) -> None:
        """Ask for what has been wanted since the last time, in commands that are not too long."""
        wanted, self._wanted = self._wanted, []
        batch: list[PendingRead] = []
        size = 0
        for waiter in wanted:
            if batch and size + len(waiter[0]) > MAX_KEYS_PER_COMMAND:
                self._begin(batch)
                batch, size = [], 0
            batch.append(waiter)
            size += len(waiter[0])
        self._begin(batch)

    def _begin(self, batch: list[PendingRead]) -> None:
        task = asyncio.create_task(self._answer(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, batch: list[PendingRead]) -> None:
        values = await self._nodes.values([key for keys, _ in batch for key in keys])
        begin = 0
        for keys, future in batch:
            if not future.done():
                future.set_result(values[begin : begin + len(keys)])
            begin += len(keys)
