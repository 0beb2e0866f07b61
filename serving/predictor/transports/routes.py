"""All that the predictor answers over HTTP, and nothing else: kserve's own routes are never reached."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from dawnlist.serving.predictor.answers.ladder import Found
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.guard import OverloadedError
from dawnlist.serving.predictor.model import DawnlistModel
from dawnlist.serving.predictor.protocols import lean, v1, v2
from dawnlist.serving.predictor.protocols.printed import Catalogue, Printer
from dawnlist.serving.predictor.transports.auth import Doorkeeper, ForbiddenError, UnknownError
from dawnlist.serving.predictor.transports.http import Request, Response
from dawnlist.serving.predictor.transports.openapi import document
from dawnlist.serving.predictor.watch.counts import Counts, exposed
from dawnlist.serving.predictor.watch.logs import FAILED, Failures
from dawnlist.urls import shown

LEAN: Final = lean.PATH.encode()
PROMETHEUS: Final = b"text/plain; version=0.0.4; charset=utf-8"
RETRY: Final = b"retry-after: 1\r\n"

Printed = Callable[[list[Question], Catalogue, list[Found]], bytes]
Handler = Callable[[Request], Response | Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """`label` names it in the metrics; `free`: without a key, for probes and scrapers."""

    label: str
    handlers: Mapping[bytes, Handler]
    free: bool = False


def error(status: int, message: object) -> Response:
    """One line of JSON, without passwords and control characters."""
    return Response(status, orjson.dumps({"error": shown(message)}), RETRY if status == 503 else b"")


def ok(value: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value))


class Routes:
    """The App of all connections."""

    def __init__(
        self, model: DawnlistModel, dataplane: Any, counts: Counts, doorkeeper: Doorkeeper, failures: Failures
    ) -> None:
        self._model, self._dataplane, self._counts = model, dataplane, counts
        self._doorkeeper, self._failures = doorkeeper, failures
        self._printer = Printer()
        self._document = orjson.dumps(document(model.name, doorkeeper))
        name = model.name
        live, ready = self._live, self._ready
        self._routes: dict[bytes, Route] = {
            path.encode(): route
            for path, route in {
                "/": Route("live", {b"GET": live}, free=True),
                "/metrics": Route("metrics", {b"GET": self._metrics}, free=True),
                "/openapi.json": Route("openapi", {b"GET": self._openapi}),
                "/v1/models": Route("models", {b"GET": self._models}),
                f"/v1/models/{name}": Route("ready", {b"GET": ready}, free=True),
                f"/v1/models/{name}:predict": Route("v1", {b"POST": self._v1}),
                "/v2": Route("metadata", {b"GET": self._server_metadata}),
                "/v2/health/live": Route("live", {b"GET": live}, free=True),
                "/v2/health/ready": Route("ready", {b"GET": ready}, free=True),
                f"/v2/models/{name}": Route("metadata", {b"GET": self._model_metadata}),
                f"/v2/models/{name}/ready": Route("ready", {b"GET": ready}, free=True),
                f"/v2/models/{name}/infer": Route("v2", {b"POST": self._v2}),
            }.items()
        }
        self._lean_route = Route("lean", {b"GET": self._lean})

    def __call__(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        path = request.path
        route = self._routes.get(path)
        if route is None:
            if not path.startswith(LEAN) or len(path) == len(LEAN) or b"/" in path[len(LEAN) :]:
                return self._counted("unknown", error(404, "there is no such route: /openapi.json lists them"))
            route = self._lean_route
        handler = route.handlers.get(b"GET" if request.method == b"HEAD" else request.method)
        if handler is None:
            return self._counted(route.label, _not_allowed(route))
        try:
            if not route.free:
                self._doorkeeper.check(request.headers)
            answer = handler(request)
        except Exception as failure:
            return self._counted(route.label, self._refusal(failure))
        return self._counted(route.label, answer) if isinstance(answer, Response) else answer

    def refuse(self, status: int, message: str) -> Response:
        """For what a connection can't take as a request."""
        return self._counted("refused", error(status, message))

    def late(self) -> Response:
        """For a request whose answer is given up."""
        return self._counted("late", error(503, "the answer took too long: try again in a moment"))

    def _counted(self, label: str, response: Response) -> Response:
        self._counts.request(label, response.status)
        return response

    def _refusal(self, failure: Exception) -> Response:
        """What went wrong as a status and a line."""
        match failure:
            case ValueError():
                return error(400, failure)
            case UnknownError():
                return error(401, failure)
            case ForbiddenError():
                return error(403, failure)
            case OverloadedError():
                return error(503, failure)
        return self._failure(failure)

    def _failure(self, failure: Exception) -> Response:
        self._failures.report(failure)
        return error(500, FAILED)

    # answers

    def _v1(self, request: Request) -> Coroutine[Any, Any, Response]:
        return self._answer("v1", v1.questions(request.body), self._v1_answered)

    def _v1_answered(self, questions: list[Question], catalogue: Catalogue, found: list[Found]) -> bytes:
        return v1.response(self._printer, questions, catalogue, found)

    def _v2(self, request: Request) -> Coroutine[Any, Any, Response]:
        if b"inference-header-content-length" in request.headers:
            raise ValueError("tensors as raw bytes are not supported here: send the data as JSON, or use gRPC")
        request_id, questions = v2.request(request.body)

        def answered(questions: list[Question], catalogue: Catalogue, found: list[Found]) -> bytes:
            return v2.response(self._model.name, request_id, questions, catalogue, found)

        return self._answer("v2", questions, answered)

    def _lean(self, request: Request) -> Coroutine[Any, Any, Response]:
        question = lean.lean_question(request.path[len(LEAN) :], request.query)
        return self._answer("lean", [question], self._lean_answered)

    def _lean_answered(self, questions: list[Question], catalogue: Catalogue, found: list[Found]) -> bytes:
        return self._printer.prediction(questions[0], catalogue, found[0])

    async def _answer(self, label: str, questions: list[Question], printed: Printed) -> Response:
        try:
            catalogue, found = await self._model.predict(questions)
        except Exception as failure:
            response = self._refusal(failure)
        else:
            response = self._made(printed, questions, catalogue, found)
        self._counts.request(label, response.status)
        return response

    def _made(self, printed: Printed, questions: list[Question], catalogue: Catalogue, found: list[Found]) -> Response:
        try:
            return Response(200, printed(questions, catalogue, found))
        except Exception as failure:
            return self._failure(failure)

    # about the server

    def _live(self, request: Request) -> Response:
        return ok({"status": "alive"} if request.path == b"/" else {"live": True})

    def _ready(self, request: Request) -> Response:
        ready = self._model.engine.ready
        return ok({"name": self._model.name, "ready": ready}, 200 if ready else 503)

    def _models(self, request: Request) -> Response:
        return ok({"models": [self._model.name]})

    def _metrics(self, request: Request) -> Response:
        self._counts.ready = self._model.engine.ready
        return Response(200, exposed([self._counts]), kind=PROMETHEUS)

    def _openapi(self, request: Request) -> Response:
        return Response(200, self._document)

    def _server_metadata(self, request: Request) -> Response:
        return ok({**self._dataplane.metadata(), "extensions": []})

    async def _model_metadata(self, request: Request) -> Response:
        return self._counted("metadata", ok(await self._dataplane.model_metadata(self._model.name)))


def _not_allowed(route: Route) -> Response:
    allowed = b", ".join(route.handlers)
    return Response(
        405, orjson.dumps({"error": f"the method has to be {allowed.decode()}"}), b"allow: %b\r\n" % allowed
    )
