"""All that the predictor answers over HTTP, and nothing else: kserve's own routes are never reached."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from dawnlist.serving.predictor.answers.ladder import Recommendation
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.model import DawnlistModel
from dawnlist.serving.predictor.protocols import lean, v1, v2
from dawnlist.serving.predictor.protocols.encoding import PredictionEncoder, ServedCatalogue
from dawnlist.serving.predictor.request_limiter import OverloadedError
from dawnlist.serving.predictor.transports.auth import (
    Authenticator,
    ForbiddenError,
    UnauthenticatedError,
)
from dawnlist.serving.predictor.transports.http import Request, Response
from dawnlist.serving.predictor.transports.openapi import build_openapi_document
from dawnlist.serving.predictor.watch.counts import PredictorMetrics, render_metrics
from dawnlist.serving.predictor.watch.logs import INTERNAL_ERROR_MESSAGE, FailureReporter
from dawnlist.urls import format_error

RECOMMENDATIONS_PREFIX: Final = lean.RECOMMENDATIONS_PATH.encode()
PROMETHEUS_CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
RETRY_AFTER_HEADER: Final = b"retry-after: 1\r\n"

AnswerEncoder = Callable[[list[Question], ServedCatalogue, list[Recommendation]], bytes]
RouteHandler = Callable[[Request], Response | Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """`label` names it in the metrics; `free`: without a key, for probes and scrapers."""

    label: str
    handlers: Mapping[bytes, RouteHandler]
    free: bool = False


def build_error_response(status: int, message: object) -> Response:
    """One line of JSON, without passwords and control characters."""
    return Response(
        status,
        orjson.dumps({"error": format_error(message)}),
        RETRY_AFTER_HEADER if status == 503 else b"",
    )


def build_json_response(value: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value))


class Router:
    """The App of all connections."""

    def __init__(
        self,
        model: DawnlistModel,
        dataplane: Any,
        counts: PredictorMetrics,
        doorkeeper: Authenticator,
        failures: FailureReporter,
    ) -> None:
        self._model, self._dataplane, self._counts = model, dataplane, counts
        self._doorkeeper, self._failures = doorkeeper, failures
        self._printer = PredictionEncoder()
        self._document = orjson.dumps(build_openapi_document(model.name, doorkeeper))
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
            if (
                not path.startswith(RECOMMENDATIONS_PREFIX)
                or len(path) == len(RECOMMENDATIONS_PREFIX)
                or b"/" in path[len(RECOMMENDATIONS_PREFIX) :]
            ):
                return self._counted(
                    "unknown",
                    build_error_response(404, "there is no such route: /openapi.json lists them"),
                )
            route = self._lean_route
        handler = route.handlers.get(b"GET" if request.method == b"HEAD" else request.method)
        if handler is None:
            return self._counted(route.label, _build_method_error(route))
        try:
            if not route.free:
                self._doorkeeper.check(request.headers)
            answer = handler(request)
        except Exception as failure:
            return self._counted(route.label, self._refusal(failure))
        return self._counted(route.label, answer) if isinstance(answer, Response) else answer

    def refuse(self, status: int, message: str) -> Response:
        """For what a connection can't take as a request."""
        return self._counted("refused", build_error_response(status, message))

    def late(self) -> Response:
        """For a request whose answer is given up."""
        return self._counted(
            "late", build_error_response(503, "the answer took too long: try again in a moment")
        )

    def _counted(self, label: str, response: Response) -> Response:
        self._counts.request(label, response.status)
        return response

    def _refusal(self, failure: Exception) -> Response:
        """What went wrong as a status and a line."""
        match failure:
            case ValueError():
                return build_error_response(400, failure)
            case UnauthenticatedError():
                return build_error_response(401, failure)
            case ForbiddenError():
                return build_error_response(403, failure)
            case OverloadedError():
                return build_error_response(503, failure)
        return self._failure(failure)

    def _failure(self, failure: Exception) -> Response:
        self._failures.report(failure)
        return build_error_response(500, INTERNAL_ERROR_MESSAGE)

    # answers

    def _v1(self, request: Request) -> Coroutine[Any, Any, Response]:
        return self._answer("v1", v1.parse_v1_request(request.body), self._v1_answered)

    def _v1_answered(
        self, questions: list[Question], catalogue: ServedCatalogue, found: list[Recommendation]
    ) -> bytes:
        return v1.encode_v1_response(self._printer, questions, catalogue, found)

    def _v2(self, request: Request) -> Coroutine[Any, Any, Response]:
        if b"inference-header-content-length" in request.headers:
            raise ValueError(
                "tensors as raw bytes are not supported here: send the data as JSON, or use gRPC"
            )
        request_id, questions = v2.parse_v2_request(request.body)

        def answered(
            questions: list[Question], catalogue: ServedCatalogue, found: list[Recommendation]
        ) -> bytes:
            return v2.encode_v2_response(self._model.name, request_id, questions, catalogue, found)

        return self._answer("v2", questions, answered)

    def _lean(self, request: Request) -> Coroutine[Any, Any, Response]:
        question = lean.parse_get_request(
            request.path[len(RECOMMENDATIONS_PREFIX) :], request.query
        )
        return self._answer("lean", [question], self._lean_answered)

    def _lean_answered(
        self, questions: list[Question], catalogue: ServedCatalogue, found: list[Recommendation]
    ) -> bytes:
        return self._printer.prediction(questions[0], catalogue, found[0])

    async def _answer(
        self, label: str, questions: list[Question], printed: AnswerEncoder
    ) -> Response:
        try:
            catalogue, found = await self._model.predict(questions)
        except Exception as failure:
            response = self._refusal(failure)
        else:
            response = self._made(printed, questions, catalogue, found)
        self._counts.request(label, response.status)
        return response

    def _made(
        self,
        printed: AnswerEncoder,
        questions: list[Question],
        catalogue: ServedCatalogue,
        found: list[Recommendation],
    ) -> Response:
        try:
            return Response(200, printed(questions, catalogue, found))
        except Exception as failure:
            return self._failure(failure)

    # about the server

    def _live(self, request: Request) -> Response:
        return build_json_response({"status": "alive"} if request.path == b"/" else {"live": True})

    def _ready(self, request: Request) -> Response:
        ready = self._model.engine.ready
        return build_json_response(
            {"name": self._model.name, "ready": ready}, 200 if ready else 503
        )

    def _models(self, request: Request) -> Response:
        return build_json_response({"models": [self._model.name]})

    def _metrics(self, request: Request) -> Response:
        self._counts.ready = self._model.engine.ready
        return Response(200, render_metrics([self._counts]), kind=PROMETHEUS_CONTENT_TYPE)

    def _openapi(self, request: Request) -> Response:
        return Response(200, self._document)

    def _server_metadata(self, request: Request) -> Response:
        return build_json_response({**self._dataplane.metadata(), "extensions": []})

    async def _model_metadata(self, request: Request) -> Response:
        return self._counted(
            "metadata", build_json_response(await self._dataplane.model_metadata(self._model.name))
        )


def _build_method_error(route: Route) -> Response:
    allowed = b", ".join(route.handlers)
    return Response(
        405,
        orjson.dumps({"error": f"the method has to be {allowed.decode()}"}),
        b"allow: %b\r\n" % allowed,
    )
