"""HTTP/1.1 connections under uvicorn: requests are read within limits and answered in order.

uvicorn's own protocol has no limit on a URL, on headers or on how slowly they arrive. For each
request it makes a scope, a task, a timer and two writes, which cost more than a list does
(docs/SERVING.md). Here each whole request goes to one function, and a sweep over all connections
(`expire`) ends what takes too long, without a timer for each.
"""

import asyncio
from collections import deque
from typing import Any, Final

import httptools

from dawnlist.serving.predictor.transports.context import ConnectionContext
from dawnlist.serving.predictor.transports.http import PendingResponse, Request, Response
from dawnlist.serving.predictor.transports.limits import (
    ANSWER_TIMEOUT_SECONDS,
    KEEP_ALIVE_SECONDS,
    LINGER_SECONDS,
    MAX_BODY,
    MAX_HEAD,
    MAX_URL,
    SHUTDOWN_IDLE_SECONDS,
    TRANSFER_TIMEOUT_SECONDS,
)

RETAINED_HEADERS: Final = frozenset(
    {b"authorization", b"expect", b"inference-header-content-length", b"x-api-key"}
)
"""The headers that the predictor reads."""


class HttpConnection(asyncio.Protocol):
    """One client's connection, for uvicorn.Config(http=partial(HttpConnection, context))."""

    def __init__(
        self,
        context: ConnectionContext,
        config: Any,
        server_state: Any,
        app_state: Any,
        _loop: Any = None,
    ) -> None:
        self._context = context
        self._server = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._task: asyncio.Task[None] | None = None
        self._queue: deque[Request] = deque()
        self._is_answering = False
        self._is_write_blocked = False
        self._is_read_paused = False
        self._is_refused = False  # whether nothing more is read
        self._refusal: Response | None = None  # to be sent after the answers before it
        self._is_refusal_sent = False
        self._is_last = False  # whether the connection closes after the next answer
        self._has_ended = False  # whether the client sends no more
        self._waiting_since = self._loop.time()
        # The request that is being read.
        self._is_reading = False
        self._is_in_head = False
        self._owes_continue = False  # whether the client waits for "100 Continue"
        self._head_size = 0
        self._received_size = 0  # without the first piece, which the loop's buffer limits
        self._body_size = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []

    # Called by the event loop.

    def connection_made(self, transport: Any) -> None:
        """Accept the connection. If there are too many, another one is closed for it.

        It is refused only if all others are being answered.
        """
        self._transport = transport
        self._server.connections.add(self)
        has_room = True
        if len(self._server.connections) > self._context.max_connections:
            has_room = self._context.close_longest_waiting()
        self._wait_for_client()
        if not has_room:
            self._refuse(503, "too many connections: try again in a moment")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the requests that were not answered yet."""
        self._server.connections.discard(self)
        self._context.waiting.pop(self, None)
        self._is_last = True
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        """Parse a piece of the stream, and refuse a request that is too large."""
        was_reading = self._is_reading
        was_in_head = self._is_in_head
        if self._is_refused:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # Java's client offers h2c; its request has been parsed
        except httptools.HttpParserError:
            self._refuse(400, "this is not an HTTP/1.1 request")
        if was_reading and self._is_reading:
            self._received_size += len(data)
            if was_in_head and self._is_in_head and self._received_size > MAX_HEAD:
                self._refuse(431, f"the request's head is over {MAX_HEAD} bytes")
            elif self._received_size > MAX_HEAD + 2 * MAX_BODY:
                # Chunks of one byte, or trailers without an end.
                self._refuse(413, f"the request is over {MAX_BODY} bytes")

    def eof_received(self) -> bool:
        """Note that the client sends no more; True keeps the connection for pending answers."""
        self._has_ended = True
        return self._has_pending_answer()

    def pause_writing(self) -> None:
        """Stop answering, because the client does not read its answers."""
        self._is_write_blocked = True
        self._wait_for_client()

    def resume_writing(self) -> None:
        """Go on answering."""
        self._is_write_blocked = False
        if not self._is_answering:
            self._wait_for_client()
        self._answer_queue()

    # Called by httptools.

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        self._url = b""
        self._headers = {}
        self._body = []
        self._head_size = 0
        self._received_size = 0
        self._body_size = 0
        self._is_reading = True
        self._is_in_head = True
        self._owes_continue = False
        # A client that does not read its answers gets no more time by sending further requests.
        if not self._is_answering and not self._is_write_blocked:
            self._wait_for_client()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, and refuse a request whose content-length is too large."""
        self._head_size += len(name) + len(value)
        name = name.lower()
        if name in RETAINED_HEADERS:
            self._headers[name] = value
        elif name == b"content-length" and _exceeds_max_body(value):
            self._refuse(413, f"the body is over {MAX_BODY} bytes")

    def on_headers_complete(self) -> None:
        """Check the head's size, and tell a client that asks for it to send the body."""
        self._is_in_head = False
        if len(self._url) > MAX_URL:
            self._refuse(414, f"the URL is over {MAX_URL} bytes")
        elif self._head_size > MAX_HEAD:
            self._refuse(431, f"the headers are over {MAX_HEAD} bytes")
        elif not self._is_refused:
            # A client of HTTP/1.0 would take "100 Continue" for its answer.
            self._owes_continue = (
                self._headers.get(b"expect", b"").lower() == b"100-continue"
                and self._parser.get_http_version() == "1.1"
            )
            self._send_continue()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._body_size + len(body) > MAX_BODY:
            self._refuse(413, f"the body is over {MAX_BODY} bytes")
        elif not self._is_refused:
            self._owes_continue = False
            self._body.append(body)
            self._body_size += len(body)

    def on_message_complete(self) -> None:
        """Queue the request, and answer it unless another one comes first."""
        self._is_reading = False
        self._owes_continue = False
        if self._is_refused:
            return
        self._queue.append(self._build_request())
        if self._is_answering or self._is_write_blocked:
            # Else the requests of a client that does not read its answers would pile up.
            self._is_read_paused = True
            self._transport.pause_reading()
        else:
            self._answer_queue()

    def _build_request(self) -> Request:
        """Build the request that was just read."""
        path, _, query = self._url.partition(b"?")
        parser = self._parser
        keep_alive = (
            parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_http_version() == "1.1"
        )
        body = b"".join(self._body)
        return Request(parser.get_method(), path, query, self._headers, body, keep_alive)

    # Answers, one after another.

    def _answer_queue(self) -> None:
        """Answer the queued requests until one of them takes a while."""
        while self._queue and not self._is_answering and not self._is_write_blocked:
            request = self._queue.popleft()
            self._is_answering = True
            self._context.waiting.pop(self, None)
            self._waiting_since = self._loop.time()
            answer = self._context.app(request)
            if isinstance(answer, Response):
                self._write(request, answer)
            else:
                self._task = self._loop.create_task(self._await_answer(request, answer))
        if self._is_read_paused and not self._queue and not self._transport.is_closing():
            self._is_read_paused = False
            self._transport.resume_reading()
        self._send_refusal()
        self._send_continue()

    async def _await_answer(self, request: Request, answer: PendingResponse) -> None:
        """Wait for an answer, write it, and go on with the queue."""
        try:
            response = await answer
        except asyncio.CancelledError:
            response = self._context.build_timeout_response()
        self._task = None
        self._write(request, response)
        self._answer_queue()

    def _write(self, request: Request, response: Response) -> None:
        """Write a response, and close the connection if it was the last."""
        self._is_answering = False
        self._wait_for_client()
        if self._transport.is_closing():
            return
        is_last = self._is_last or (self._has_ended and not self._has_pending_answer())
        closes = is_last or not request.keep_alive
        body = b"" if request.method == b"HEAD" else response.body
        self._send(response, closes, body)
        if closes:
            self._transport.close()

    def _send(self, response: Response, closes: bool, body: bytes) -> None:
        """Write a response with the given body, which is empty for HEAD."""
        head = self._context.build_head(response, self._server.default_headers)
        headers = response.headers
        if closes:
            headers += b"connection: close\r\n"
        length = len(response.body)
        self._transport.write(b"%b%bcontent-length: %d\r\n\r\n%b" % (head, headers, length, body))

    def _refuse(self, status: int, message: str) -> None:
        """Refuse a request that is still arriving, read no more, and close soon.

        The requests before it are answered first.
        """
        if self._is_refused or self._transport.is_closing():
            return
        self._is_refused = True
        self._refusal = self._context.build_refusal(status, message)
        self._send_refusal()

    def _send_refusal(self) -> None:
        """Send the refusal, if there is one and all requests before it are answered."""
        refusal = self._refusal
        if refusal is None or self._is_answering or self._queue or self._transport.is_closing():
            return
        self._refusal = None
        self._is_refusal_sent = True
        self._wait_for_client()
        self._send(refusal, True, refusal.body)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _send_continue(self) -> None:
        """Ask for the body if the client waits for that, after the answers before it."""
        if not self._owes_continue or self._has_pending_answer() or self._transport.is_closing():
            return
        self._owes_continue = False
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _has_pending_answer(self) -> bool:
        """Whether an answer or a refusal is still to be written."""
        return self._is_answering or bool(self._queue) or self._refusal is not None

    def _wait_for_client(self) -> None:
        """Note that it is the client's turn now, to send or to read."""
        self._waiting_since = self._loop.time()
        waiting = self._context.waiting
        waiting.pop(self, None)
        waiting[self] = None

    # Called by the server.

    def expire(self, now: float) -> None:
        """End what takes too long: an answer, a request that arrives, or a client that reads.

        `now` is by the loop's clock.
        """
        waited = now - self._waiting_since
        if self._is_refusal_sent:
            if waited > LINGER_SECONDS:
                self._transport.abort()
        elif self._is_write_blocked:
            if waited > TRANSFER_TIMEOUT_SECONDS:
                self._transport.abort()
        elif self._is_answering:
            if waited > ANSWER_TIMEOUT_SECONDS and self._task:
                self._task.cancel()
        elif self._is_reading:
            if waited > TRANSFER_TIMEOUT_SECONDS:
                self._transport.close()
        elif waited > KEEP_ALIVE_SECONDS:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, to make room for another connection."""
        self._transport.abort()

    def shutdown(self) -> None:
        """Close after the next answer, or soon if no request arrives: the server is stopping."""
        self._is_last = True
        self._loop.call_later(SHUTDOWN_IDLE_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Close the connection unless a request has begun."""
        if not self._is_answering and not self._is_reading:
            self._transport.close()


def _exceeds_max_body(content_length: bytes) -> bool:
    """Whether a content-length is too large; one that is no number is left to the parser."""
    if len(content_length) >= 20 or not content_length.isdigit():
        return False
    return int(content_length) > MAX_BODY
