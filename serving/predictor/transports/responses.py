"""Build HTTP responses with JSON bodies."""

from collections.abc import Iterable
from typing import Any, Final

import orjson

from dawnlist.serving.predictor.transports.http import Response
from dawnlist.urls import format_error

RETRY_AFTER_HEADER: Final = b"retry-after: 1\r\n"


def build_json_response(value: Any, status: int = 200) -> Response:
    """Build a response from a JSON value."""
    return Response(status, orjson.dumps(value))


def build_error_response(status: int, message: object) -> Response:
    """Build an error: its message in one line, without passwords and control characters."""
    headers = RETRY_AFTER_HEADER if status == 503 else b""
    return Response(status, orjson.dumps({"error": format_error(message)}), headers)


def build_method_error(methods: Iterable[bytes]) -> Response:
    """Build the response to a request whose method is not one of the route's methods."""
    allowed = b", ".join(methods)
    body = orjson.dumps({"error": f"the method has to be {allowed.decode()}"})
    return Response(405, body, b"allow: %b\r\n" % allowed)
