"""What all connections of a server share: the app, and the answers to what is no request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from dawnlist.serving.predictor.transports.http import App, Response
from dawnlist.serving.predictor.transports.limits import MAX_CONNECTIONS


class Abortable(Protocol):
    """A connection that can be closed at once."""

    def abort(self) -> None:
        """Close at once."""


def _count_nothing() -> None:
    """Count no closed connection."""


@dataclass(slots=True)
class ConnectionContext:
    """Answers for all connections of a server."""

    app: App
    """Answers a request."""
    build_timeout_response: Callable[[], Response]
    """Builds the response to a request that took longer than ANSWER_TIMEOUT_SECONDS."""
    build_refusal: Callable[[int, str], Response]
    """Builds the response, from a status and a message, to what is not a request, to a request that
    is too large, and to a connection for which there is no room."""
    max_connections: int = MAX_CONNECTIONS
    """How many connections may be open."""
    count_closed: Callable[[], None] = _count_nothing
    """Counts a connection that was closed to make room."""
    waiting: dict[Abortable, None] = field(default_factory=dict)
    """The connections that wait for their client to send or to read, the longest waiting first."""
    _head_cache: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    """The status line and first headers of a response, by status and content type."""
    _cached_headers: Any = None
    """The default headers in the cache. They hold the date; uvicorn replaces them each second."""

    def build_head(
        self, response: Response, default_headers: Sequence[tuple[bytes, bytes]]
    ) -> bytes:
        """Return a response's status line, default headers and content type."""
        if self._cached_headers is not default_headers:
            self._head_cache = {}
            self._cached_headers = default_headers
        head = self._head_cache.get((response.status, response.kind))
        if head is None:
            headers = [*default_headers, (b"content-type", response.kind)]
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            head = STATUS_LINE[response.status] + lines
            self._head_cache[response.status, response.kind] = head
        return head

    def close_longest_waiting(self) -> bool:
        """Close the connection that has waited longest for its client; False if none waits."""
        connection = next(iter(self.waiting), None)
        if connection is None:
            return False
        del self.waiting[connection]
        self.count_closed()
        connection.abort()
        return True
