"""The requests that a connection passes on, and the responses that it sends."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

JSON_CONTENT_TYPE: Final = b"application/json"


@dataclass(slots=True)
class Request:
    """A complete request."""

    method: bytes
    """The method, such as b"GET"."""
    path: bytes
    """The path as the client sent it, with percent-encoding."""
    query: bytes
    """The query as the client sent it; empty without one."""
    headers: dict[bytes, bytes]
    """The headers that the predictor reads, with their names in lower case."""
    body: bytes
    """The whole body."""
    keep_alive: bool = True
    """Whether the client wants to send more requests on the connection."""


@dataclass(slots=True)
class Response:
    """A complete response."""

    status: int
    """The HTTP status."""
    body: bytes
    """The whole body."""
    headers: bytes = b""
    """Further header lines, each with its line end."""
    kind: bytes = JSON_CONTENT_TYPE
    """The content type."""


PendingResponse = Coroutine[Any, Any, Response]
"""A response that takes a while."""
App = Callable[[Request], Response | PendingResponse]
"""Answers a request at once or later.

It raises nothing but CancelledError, after it took too long.
"""
