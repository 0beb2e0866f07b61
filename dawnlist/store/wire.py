"""A connection to one server of the store for reading: commands in a row, answers in their order, nothing in between.

redis-py's asyncio client costs 100 microseconds of CPU a command; this costs a tenth, because it writes what it is
given, parses in C (hiredis) and wakes nobody but who waits for the answer. It knows RESP2, TLS, users and databases,
and it gives up early: after `timeout` seconds an answer is not waited for, after FAILURES such in a row the breaker is
open and nothing is asked for REST seconds, then a single read tries whether the server is back (Nygard, "Release It!").
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import hiredis
from redis.connection import parse_url

from dawnlist.store.client import strip_cluster_suffix
from dawnlist.urls import REDIS_PASSWORD, read_password

BREAKER_FAILURES: Final = 5
BREAKER_REST_SECONDS: Final = 0.5
STORE_CONNECT_SECONDS: Final = 1.0
TIMEOUT_GRACE_SECONDS: Final = 0.001
STUCK_SECONDS: Final = 1.0
"""A connection on which an answer is late by so much is given up."""


class FailureListener(Protocol):
    """Hears what goes wrong; see dawnlist.serving.predictor.metrics."""

    def report_store_error(self, kind: str) -> None: ...
    def report_breaker(self, is_open: bool) -> None: ...


@dataclass(frozen=True)
class ServerEndpoint:
    """Where a server listens, and how it is greeted."""

    host: str
    port: int
    path: str = ""
    """Of a Unix socket, in place of host and port."""
    greeting: bytes = b""
    """Commands before all others: AUTH, SELECT."""
    greetings: int = 0
    tls: ssl.SSLContext | None = field(default=None, compare=False)

    @classmethod
    def of(cls, url: str) -> "ServerEndpoint":
        """That a store's URL names; ValueError for a URL that can't be used."""
        parts: dict[str, Any] = dict(parse_url(strip_cluster_suffix(url)))  # type: ignore[no-untyped-call]
        secret, user = read_password(REDIS_PASSWORD), parts.get("username")
        commands: list[tuple[str, ...]] = []
        if secret or user:  # a user without a password, too: else it would be the default one
            commands.append(("AUTH", *([user] if user else []), secret or ""))
        if parts.get("db"):
            commands.append(("SELECT", str(parts["db"])))
        greeting = b"".join(map(pack_command, commands))
        tls = _build_tls_context(parts) if strip_cluster_suffix(url).startswith("rediss:") else None
        where = (
            parts.get("host", "localhost"),
            int(parts.get("port", 6379)),
            parts.get("path", ""),
        )
        return cls(*where, greeting, len(commands), tls)


def _build_tls_context(parts: dict[str, Any]) -> ssl.SSLContext:
    """From redis-py's options in a rediss:// URL."""
    context = ssl.create_default_context(
        cafile=parts.get("ssl_ca_certs"), capath=parts.get("ssl_ca_path")
    )
    if parts.get("ssl_certfile"):
        context.load_cert_chain(parts["ssl_certfile"], parts.get("ssl_keyfile"))
    unchecked = str(parts.get("ssl_cert_reqs", "required")).lower() == "none"
    context.check_hostname = not unchecked and str(
        parts.get("ssl_check_hostname", True)
    ).lower() not in ("false", "0")
    if unchecked:
        context.verify_mode = ssl.CERT_NONE
    return context


def pack_command(words: Sequence[str]) -> bytes:
    """A command in RESP."""
    command: bytes = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]  # annotated as a tuple of one
    return command


class RedisConnection(asyncio.Protocol):
    """One open connection."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: Any = None
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[list[Any]], int, float]] = deque()
        self._replies: list[Any] = []

    def connection_made(self, transport: Any) -> None:
        self._transport, self.is_open = transport, True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        while self._waiting:
            future = self._waiting.popleft()[0]
            if not future.done():
                future.set_exception(exc or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._replies.append(reply)
                future, number, _ = self._waiting[0]
                if len(self._replies) == number:
                    self._waiting.popleft()
                    replies, self._replies = self._replies, []
                    if not future.done():  # else nobody waits for it any more
                        future.set_result(replies)
        except (hiredis.ProtocolError, IndexError):  # no Redis talks like this
            self._transport.abort()

    def send(
        self, commands: bytes, number: int, loop: asyncio.AbstractEventLoop
    ) -> "asyncio.Future[list[Any]]":
        """Write some commands; the future has as many answers, an error among them as hiredis.ReplyError."""
        future: asyncio.Future[list[Any]] = loop.create_future()
        self._waiting.append((future, number, loop.time()))
        self._transport.write(commands)
        return future

    def late(self, now: float) -> None:
        """An answer did not come in time: if one is missing for long, the connection may be dead without saying so."""
        if self._waiting and now - self._waiting[0][2] > STUCK_SECONDS:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class ServerLink:
    """The way to one server: connects when it is used, and again after it was cut; has the breaker."""

    def __init__(self, server: ServerEndpoint, listener: FailureListener, timeout: float) -> None:
        self.server = server
        self._listener, self._timeout = listener, timeout
        self._wire = RedisConnection()
        self._connecting: asyncio.Task[None] | None = None
        self._failed, self._closed_until, self._trying = 0, 0.0, False

    @property
    def ok(self) -> bool:
        """Whether the last read was answered."""
        return not self._failed

    async def ask(self, commands: bytes, number: int) -> list[Any] | None:
        """The answers, or None where the server gave none in time; never an error."""
        loop = asyncio.get_running_loop()
        if self._failed >= BREAKER_FAILURES:
            if self._trying or loop.time() < self._closed_until:
                return None
            self._trying = True
        try:
            if not self._wire.is_open:
                async with asyncio.timeout(self._timeout):
                    await self._connected()
            future = self._wire.send(commands, number, loop)
            timer = loop.call_later(self._timeout, self._expire, future, loop)
            try:
                replies = await future
            finally:
                timer.cancel()
        except OSError as error:  # TimeoutError and PermissionError are such
            self._fail(type(error).__name__, loop.time())
            return None
        finally:
            self._trying = False
        if self._failed:
            self._recover()
        return replies

    def close(self) -> None:
        """Cut the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
        self._wire.close()

    def _expire(self, future: "asyncio.Future[list[Any]]", loop: asyncio.AbstractEventLoop) -> None:
        """The loop may have been busy, and the answer be there: it is read before the time is really up."""
        loop.call_later(TIMEOUT_GRACE_SECONDS, self._give_up, future, loop)

    def _give_up(
        self, future: "asyncio.Future[list[Any]]", loop: asyncio.AbstractEventLoop
    ) -> None:
        if not future.done():
            future.set_exception(TimeoutError())
            self._wire.late(loop.time())

    def _fail(self, kind: str, now: float) -> None:
        self._failed += 1
        self._listener.report_store_error(kind)
        if self._failed >= BREAKER_FAILURES:
            self._closed_until = now + BREAKER_REST_SECONDS
            if self._failed == BREAKER_FAILURES:
                self._listener.report_breaker(True)

    def _recover(self) -> None:
        if self._failed >= BREAKER_FAILURES:
            self._listener.report_breaker(False)
        self._failed = 0

    async def _connected(self) -> None:
        """All who ask meanwhile wait for one attempt, which goes on when they do not wait any longer."""
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._connecting)

    async def _connect(self) -> None:
        loop, server = asyncio.get_running_loop(), self.server
        async with asyncio.timeout(STORE_CONNECT_SECONDS):
            if server.path:
                _, wire = await loop.create_unix_connection(
                    RedisConnection, server.path, ssl=server.tls
                )
            else:
                _, wire = await loop.create_connection(
                    RedisConnection, server.host, server.port, ssl=server.tls
                )
            try:
                for reply in (
                    await wire.send(server.greeting, server.greetings, loop)
                    if server.greetings
                    else ()
                ):
                    if isinstance(reply, hiredis.ReplyError):
                        raise PermissionError(str(reply).split()[0])
            except (
                BaseException
            ):  # cancelled, too: a connection that nobody uses would stay open for ever
                wire.close()
                raise
        self._wire = wire
