"""A connection to one server of the store, for reading.

Commands go out one after another, and the answers come back in the same order.

redis-py's asyncio client needs 100 microseconds of CPU time for a command. This one needs a tenth
of that: it writes bytes that are already packed, parses in C (hiredis), and wakes only the task
that waits for the answer. It supports RESP2, TLS, users and databases.

It also gives up early. An answer that is not there after `timeout` seconds counts as a failure.
After BREAKER_FAILURES failures in a row the circuit breaker opens (Nygard, "Release It!"): nothing
is sent for BREAKER_REST_SECONDS, then a single read tries whether the server is back.
"""

import asyncio
from collections import deque
from typing import Any, Final, Protocol

import hiredis

from dawnlist.store.endpoint import ServerEndpoint

BREAKER_FAILURES: Final = 5
BREAKER_REST_SECONDS: Final = 0.5
STORE_CONNECT_SECONDS: Final = 1.0
TIMEOUT_GRACE_SECONDS: Final = 0.001
STUCK_SECONDS: Final = 1.0
"""A connection is closed if an answer is still missing after this many seconds."""

ReplyFuture = asyncio.Future[list[Any]]


class FailureListener(Protocol):
    """Is told about failures; dawnlist.serving.predictor.answers.metrics.EngineMetrics implements it."""

    def report_store_error(self, kind: str) -> None:
        """Count a failed read; `kind` is the error's class, or the first word of the server's."""

    def report_breaker(self, is_open: bool) -> None:
        """Record that the circuit breaker has opened or closed."""


class RedisConnection(asyncio.Protocol):
    """One open connection."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: Any = None
        self._parser = hiredis.Reader()
        # For each request the future, the number of its answers, and the time of sending.
        self._requests: deque[tuple[ReplyFuture, int, float]] = deque()
        self._replies: list[Any] = []

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        self._transport = transport
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.is_open = False
        while self._requests:
            future = self._requests.popleft()[0]
            if not future.done():
                future.set_exception(exc or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._parser.feed(data)
        try:
            while (reply := self._parser.gets()) is not False:
                self._replies.append(reply)
                future, number, _ = self._requests[0]
                if len(self._replies) == number:
                    self._requests.popleft()
                    replies = self._replies
                    self._replies = []
                    if not future.done():  # it is done if the time was up
                        future.set_result(replies)
        except (hiredis.ProtocolError, IndexError):  # the server does not speak RESP
            self._transport.abort()

    def send(self, commands: bytes, number: int, loop: asyncio.AbstractEventLoop) -> ReplyFuture:
        """Send packed commands; the future gets one answer for each.

        An error of the server is among the answers, as hiredis.ReplyError.
        """
        future: ReplyFuture = loop.create_future()
        self._requests.append((future, number, loop.time()))
        self._transport.write(commands)
        return future

    def close_if_stuck(self, now: float) -> None:
        """Close the connection if the oldest answer is late by STUCK_SECONDS: it may be dead."""
        if self._requests and now - self._requests[0][2] > STUCK_SECONDS:
            self._transport.abort()

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()


class ServerLink:
    """A connection to one server that opens when it is needed, with a circuit breaker."""

    def __init__(self, server: ServerEndpoint, listener: FailureListener, timeout: float) -> None:
        self.server = server
        self._listener = listener
        self._timeout = timeout
        self._connection = RedisConnection()
        self._connecting: asyncio.Task[None] | None = None
        self._failures = 0
        self._rest_until = 0.0
        self._is_probing = False

    @property
    def ok(self) -> bool:
        """Whether the last read was answered."""
        return not self._failures

    async def execute(self, commands: bytes, number: int) -> list[Any] | None:
        """Send packed commands and return their answers.

        Returns None if the server did not answer in time. Never raises an error.
        """
        loop = asyncio.get_running_loop()
        if self._failures >= BREAKER_FAILURES:
            if self._is_probing or loop.time() < self._rest_until:
                return None
            self._is_probing = True
        try:
            if not self._connection.is_open:
                async with asyncio.timeout(self._timeout):
                    await self._ensure_connected()
            future = self._connection.send(commands, number, loop)
            timer = loop.call_later(self._timeout, self._handle_timeout, future, loop)
            try:
                replies = await future
            finally:
                timer.cancel()
        except OSError as error:  # the base class of TimeoutError and PermissionError, too
            self._record_failure(type(error).__name__, loop.time())
            return None
        finally:
            self._is_probing = False
        if self._failures:
            self._record_recovery()
        return replies

    def close(self) -> None:
        """Close the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
        self._connection.close()

    def _handle_timeout(self, future: ReplyFuture, loop: asyncio.AbstractEventLoop) -> None:
        """Grant a last millisecond: the event loop may have been busy, and the answer is there."""
        loop.call_later(TIMEOUT_GRACE_SECONDS, self._give_up, future, loop)

    def _give_up(self, future: ReplyFuture, loop: asyncio.AbstractEventLoop) -> None:
        if not future.done():
            future.set_exception(TimeoutError())
            self._connection.close_if_stuck(loop.time())

    def _record_failure(self, kind: str, now: float) -> None:
        self._failures += 1
        self._listener.report_store_error(kind)
        if self._failures >= BREAKER_FAILURES:
            self._rest_until = now + BREAKER_REST_SECONDS
            if self._failures == BREAKER_FAILURES:
                self._listener.report_breaker(True)

    def _record_recovery(self) -> None:
        if self._failures >= BREAKER_FAILURES:
            self._listener.report_breaker(False)
        self._failures = 0

    async def _ensure_connected(self) -> None:
        """Wait for the connection; all readers wait for the same attempt.

        The attempt goes on when a reader stops waiting.
        """
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(_retrieve_exception)
        await asyncio.shield(self._connecting)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        server = self.server
        async with asyncio.timeout(STORE_CONNECT_SECONDS):
            if server.path:
                _, connection = await loop.create_unix_connection(
                    RedisConnection, server.path, ssl=server.tls
                )
            else:
                _, connection = await loop.create_connection(
                    RedisConnection, server.host, server.port, ssl=server.tls
                )
            try:
                await _greet(connection, server, loop)
            except BaseException:
                # Also when cancelled: otherwise an unused connection would stay open for ever.
                connection.close()
                raise
        self._connection = connection


async def _greet(
    connection: RedisConnection, server: ServerEndpoint, loop: asyncio.AbstractEventLoop
) -> None:
    """Send the first commands.

    Raises:
        PermissionError: the server refuses one; the message is the first word of its error.
    """
    if not server.greetings:
        return
    for reply in await connection.send(server.greeting, server.greetings, loop):
        if isinstance(reply, hiredis.ReplyError):
            raise PermissionError(str(reply).split()[0])


def _retrieve_exception(task: asyncio.Task[None]) -> None:
    """Mark the task's exception as seen, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
