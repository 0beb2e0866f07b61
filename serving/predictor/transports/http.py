"""What a connection takes and gives: whole requests and whole responses."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

JSON_CONTENT_TYPE: Final = b"application/json"


@dataclass(slots=True)
class Request:
    """A whole request; `path` is not decoded, `headers` are those that anybody here reads, in lower case."""

    method: bytes
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool = True


@dataclass(slots=True)
class Response:
    """`headers` are whole further lines, each with its end."""

    status: int
    body: bytes
    headers: bytes = b""
    kind: bytes = JSON_CONTENT_TYPE


App = Callable[[Request], Response | Coroutine[Any, Any, Response]]
"""Answers a request at once or in a while; never raises, but for CancelledError when that took too long."""
