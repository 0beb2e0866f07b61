"""HTTP/1.1 connections under uvicorn: requests read within limits, answered in order, cheap enough for a lookup.

uvicorn's own protocol has no limit on a URL, on headers or on how slowly they come, and its scope, task, timer and two
writes a request cost more than a list does (docs/SERVING.md). This one gives each whole request to one function; what
times out is found by a sweep over all connections (`expire`), not by a timer each.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from dawnlist.serving.predictor.transports.http import App, Request, Response

MAX_URL: Final = 8 << 10
MAX_HEAD: Final = 32 << 10
MAX_BODY: Final = (
    1 << 20
)  # bytes; a thousand users with ids of a hundred characters are a tenth of it
MAX_CONNECTIONS: Final = 2_000
TRANSFER_TIMEOUT_SECONDS: Final = 10.0  # for a whole request to come in, or an answer to be taken
ANSWER_TIMEOUT_SECONDS: Final = 5.0
KEEP_ALIVE_SECONDS: Final = (
    75.0  # longer than a load balancer's, so that it is never the one to find a closed connection
)
SHUTDOWN_IDLE_SECONDS: Final = 0.5
LINGER_SECONDS: Final = (
    2.0  # a refused client may still be sending: closing at once would reset what it was told
)

RETAINED_HEADERS: Final = frozenset(
    {b"authorization", b"expect", b"inference-header-content-length", b"x-api-key"}
)


@dataclass(slots=True)
class ConnectionContext:
    """What all connections of a server share."""

    app: App
    late: Callable[[], Response]
    """The answer to a request that took longer than ANSWER_SECONDS."""
    refuse: Callable[[int, str], Response]
    """The answer to a request that is no HTTP, or too large, or one connection too many."""
    heads: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    """Status and content type -> the answer's first lines; they hold the date, so they go when uvicorn's do."""
    heads_of: Any = None


class HttpConnection(asyncio.Protocol):
    """One client, for uvicorn.Config(http=functools.partial(Connection, shared))."""

    def __init__(
        self,
        shared: ConnectionContext,
        config: Any,
        server_state: Any,
        app_state: Any,
        _loop: Any = None,
    ) -> None:
        self._shared, self._server = shared, server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._task: asyncio.Task[None] | None = None
        self._busy = self._blocked = self._paused = self._refused = self._last = False
        self._waiting: deque[Request] = deque()
        self._reading = self._in_head = False
        self._length = self._size = self._body_size = 0
        self._url, self._headers, self._body = b"", dict[bytes, bytes](), list[bytes]()
        self._since = self._loop.time()

    # what the loop calls

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._server.connections.add(self)
        if len(self._server.connections) > MAX_CONNECTIONS:
            self._refuse(503, "too many connections: try again in a moment")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._last = True
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        began_before, in_head_before = self._reading, self._in_head
        if self._refused:
            return
        try:
            self._parser.feed_data(data)
        except (
            httptools.HttpParserUpgrade
        ):  # Java's client offers h2c: the request itself has been taken
            pass
        except httptools.HttpParserError:
            self._refuse(400, "this is no HTTP/1.1 request")
        if began_before and self._reading:  # its first piece is no larger than the loop's buffer
            self._size += len(data)
            if in_head_before and self._in_head and self._size > MAX_HEAD:
                self._refuse(431, f"the request's head is over {MAX_HEAD} bytes")
            elif self._size > MAX_HEAD + 2 * MAX_BODY:  # chunks of a byte, trailers without an end
                self._refuse(413, f"the request is over {MAX_BODY} bytes")

    def pause_writing(self) -> None:
        self._blocked, self._since = True, self._loop.time()

    def resume_writing(self) -> None:
        self._blocked = False
        if not self._busy:
            self._since = self._loop.time()
        self._advance()

    # what httptools calls

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, []
        self._length = self._size = self._body_size = 0
        self._reading = self._in_head = True
        if (
            not self._busy and not self._blocked
        ):  # asking for more is no sign that a client reads its answers
            self._since = self._loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._length += len(name) + len(value)
        name = name.lower()
        if name in RETAINED_HEADERS:
            self._headers[name] = value
        elif (
            name == b"content-length"
            and len(value) < 20
            and value.isdigit()
            and int(value) > MAX_BODY
        ):
            self._refuse(413, f"the body is over {MAX_BODY} bytes")

    def on_headers_complete(self) -> None:
        self._in_head = False
        if len(self._url) > MAX_URL:
            self._refuse(414, f"the URL is over {MAX_URL} bytes")
        elif self._length > MAX_HEAD:
            self._refuse(431, f"the headers are over {MAX_HEAD} bytes")
        elif b"expect" in self._headers and not self._busy and not self._refused:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._body_size + len(body) > MAX_BODY:
            self._refuse(413, f"the body is over {MAX_BODY} bytes")
        elif not self._refused:
            self._body.append(body)
            self._body_size += len(body)

    def on_message_complete(self) -> None:
        self._reading = False
        if self._refused:
            return
        path, _, query = self._url.partition(b"?")
        parser = self._parser
        stays = (
            parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_http_version() == "1.1"
        )
        body = b"".join(self._body)
        self._waiting.append(Request(parser.get_method(), path, query, self._headers, body, stays))
        if (
            self._busy or self._blocked
        ):  # else requests of a client that does not read would pile up
            self._paused = True
            self._transport.pause_reading()
        else:
            self._advance()

    # answers, one after another

    def _advance(self) -> None:
        """Begin what waits: as many as are answered at once, and one that takes a while."""
        while self._waiting and not self._busy and not self._blocked and not self._refused:
            request = self._waiting.popleft()
            self._busy, self._since = True, self._loop.time()
            answer = self._shared.app(request)
            if isinstance(answer, Response):
                self._write(request, answer)
            else:
                self._task = self._loop.create_task(self._answer(request, answer))
        if self._paused and not self._waiting and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    async def _answer(self, request: Request, answer: Coroutine[Any, Any, Response]) -> None:
        try:
            response = await answer
        except asyncio.CancelledError:
            response = self._shared.late()
        self._task = None
        self._write(request, response)
        if self._waiting:
            self._advance()

    def _write(self, request: Request, response: Response) -> None:
        self._busy, self._since = False, self._loop.time()
        if self._refused or self._transport.is_closing():
            return
        closing = self._last or not request.keep_alive
        self._send(response, closing, b"" if request.method == b"HEAD" else response.body)
        if closing:
            self._transport.close()

    def _send(self, response: Response, closing: bool, body: bytes) -> None:
        more = response.headers + b"connection: close\r\n" if closing else response.headers
        length = len(response.body)
        self._transport.write(
            b"%b%bcontent-length: %d\r\n\r\n%b" % (self._head(response), more, length, body)
        )

    def _head(self, response: Response) -> bytes:
        shared, common = self._shared, self._server.default_headers
        if shared.heads_of is not common:
            shared.heads, shared.heads_of = {}, common
        head = shared.heads.get((response.status, response.kind))
        if head is None:
            lines = b"".join(
                b"%b: %b\r\n" % line for line in [*common, (b"content-type", response.kind)]
            )
            head = shared.heads[response.status, response.kind] = (
                STATUS_LINE[response.status] + lines
            )
        return head

    def _refuse(self, status: int, message: str) -> None:
        """Say no to a request that is still coming, read no more of it, and close in a while."""
        if self._refused or self._transport.is_closing():
            return
        self._refused, self._since = True, self._loop.time()
        response = self._shared.refuse(status, message)
        if not self._busy:  # else it would be taken for the answer to the request before
            self._send(response, True, response.body)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    # what the server calls

    def expire(self, now: float) -> None:
        """Give up what has taken too long: an answer, a request that does not arrive, a client that does not read."""
        waited = now - self._since
        if self._refused:
            if waited > LINGER_SECONDS:
                self._transport.abort()
        elif self._blocked:
            if waited > TRANSFER_TIMEOUT_SECONDS:
                self._transport.abort()
        elif self._busy:
            if waited > ANSWER_TIMEOUT_SECONDS and self._task:
                self._task.cancel()
        elif waited > (TRANSFER_TIMEOUT_SECONDS if self._reading else KEEP_ALIVE_SECONDS):
            self._transport.close()

    def shutdown(self) -> None:
        """uvicorn is leaving: close after the next answer, whose request may be on its way, or soon if none is."""
        self._last = True
        self._loop.call_later(SHUTDOWN_IDLE_SECONDS, self._leave)

    def _leave(self) -> None:
        if not self._busy and not self._reading:
            self._transport.close()
