"""A JSON API that a test can ask: routes, refusals with a status, and the requests that came."""

import contextlib
import http.server
import json
import re
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.threads import serving

Object = dict[str, Any]


class RefusedError(Exception):
    """A request that the API answers with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Request:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    body: Object
    headers: dict[str, str]


Handler = Callable[[Request, "re.Match[str]"], tuple[int, Object]]


@dataclass
class JsonApi:
    """Routes and what came; a subclass fills in the routes."""

    routes: list[tuple[str, str, Handler]] = field(default_factory=list)
    """Method, pattern of the whole path, and who answers."""
    code_field: str = "code"
    """The field of an error that has the error's code."""
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def answer(self, request: Request) -> tuple[int, Object | None]:
        """Give a status and a body; None where no route has the path, as a router's plain text."""
        self.requests.append(request)
        for method, pattern, handler in self.routes:
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                try:
                    return handler(request, match)
                except RefusedError as error:
                    return error.status, {self.code_field: error.code, "message": str(error)}
        return 404, None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Answer during the block."""
        api = self

        class ApiHandler(http.server.BaseHTTPRequestHandler):
            def respond(self) -> None:
                parts = urllib.parse.urlsplit(self.path)
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
                headers = dict(self.headers.items())
                request = Request(
                    self.command, parts.path, query, json.loads(raw or b"{}"), headers
                )
                status, body = api.answer(request)
                data = b"404 page not found\n" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = respond  # noqa: N815 - the names that the base class calls

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), ApiHandler) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            with serving(server):
                yield


def check_body(body: Object, fields: dict[str, Any], required: tuple[str, ...]) -> None:
    """Hold a body to a model's fields, by name and type, or by name and allowed texts."""
    for name, value in body.items():
        if name not in fields:
            raise RefusedError(400, "Bad Request", f'json: unknown field "{name}"')
        if not _fits(value, fields[name]):
            raise RefusedError(400, "Bad Request", f"{name} is {value!r}, not {fields[name]}")
    for name in required:
        if not body.get(name):
            raise RefusedError(422, "Bad Request", f"required field '{name}' is zero value.")


def _fits(value: Any, allowed: Any) -> bool:
    if isinstance(allowed, type):
        return isinstance(value, allowed)
    return value in allowed
