"""All routes of the predictor over HTTP; kserve's own routes are never reached."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson

from dawnlist.serving.predictor.answers.group.group_question import GroupQuestion
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.answers.shelves.shelf_question import ShelfKind, ShelfQuestion
from dawnlist.serving.predictor.model import DawnlistModel
from dawnlist.serving.predictor.protocols import group, lean, shelves, v1, v2
from dawnlist.serving.predictor.protocols.encoding import PredictionEncoder, ServedCatalogue
from dawnlist.serving.predictor.transports.auth import Authenticator
from dawnlist.serving.predictor.transports.failures import (
    INTERNAL_ERROR_STATUS,
    choose_status,
    parse_untrusted,
)
from dawnlist.serving.predictor.transports.http import PendingResponse, Request, Response
from dawnlist.serving.predictor.transports.item_routes import (
    ITEM_PATH,
    RESTORE_PATH,
    WITHDRAW_PATH,
    ItemChanges,
    parse_item_id,
    parse_item_ids,
)
from dawnlist.serving.predictor.transports.openapi import build_openapi_document
from dawnlist.serving.predictor.transports.responses import (
    build_error_response,
    build_json_response,
    build_method_error,
)
from dawnlist.serving.predictor.watch.counts import PredictorMetrics, render_metrics
from dawnlist.serving.predictor.watch.logs import INTERNAL_ERROR_MESSAGE, FailureReporter

RECOMMENDATIONS_PREFIX: Final = lean.RECOMMENDATIONS_PATH.encode()
ITEM_PREFIX: Final = ITEM_PATH.encode()
RANK_PREFIX: Final = shelves.RANK_PATH.encode()
BUY_AGAIN_PREFIX: Final = lean.BUY_AGAIN_PATH.encode()
PROMETHEUS_CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

AnswerEncoder = Callable[[list[Question], ServedCatalogue, list[Recommendation]], Awaitable[bytes]]
"""Encodes the answers to a request's questions as the body of a response."""
RouteHandler = Callable[[Request], Response | PendingResponse]
"""Answers a request at once or later; raises ValueError for a request that is not allowed."""


@dataclass(frozen=True, slots=True)
class Route:
    """What is answered at a path."""

    label: str
    """The route's name in the metrics."""
    handlers: Mapping[bytes, RouteHandler]
    """The handler of each method."""
    free: bool = False
    """Whether it needs no key, as probes and scrapers have none."""


class Router:
    """Answers the requests of all connections."""

    def __init__(
        self,
        model: DawnlistModel,
        dataplane: Any,
        counts: PredictorMetrics,
        authenticator: Authenticator,
        failures: FailureReporter,
        item_changes: ItemChanges,
    ) -> None:
        self._model = model
        self._dataplane = dataplane
        self._counts = counts
        self._authenticator = authenticator
        self._failures = failures
        self._item_changes = item_changes
        self._encoder = PredictionEncoder()
        self._document = orjson.dumps(build_openapi_document(model.name, authenticator))
        routes = self._build_routes(model.name)
        self._routes = {path.encode(): route for path, route in routes.items()}
        self._routes_of_ids = self._build_routes_of_ids()

    def _build_routes(self, name: str) -> dict[str, Route]:
        """Return the route of each path, except the paths that end with a user's id."""
        live = Route("live", {b"GET": self._answer_live}, free=True)
        ready = Route("ready", {b"GET": self._answer_ready}, free=True)
        return {
            "/": live,
            "/metrics": Route("metrics", {b"GET": self._answer_metrics}, free=True),
            "/openapi.json": Route("openapi", {b"GET": self._answer_openapi}),
            "/v1/models": Route("models", {b"GET": self._answer_models}),
            f"/v1/models/{name}": ready,
            f"/v1/models/{name}:predict": Route("v1", {b"POST": self._answer_v1}),
            "/v2": Route("metadata", {b"GET": self._answer_server_metadata}),
            "/v2/health/live": live,
            "/v2/health/ready": ready,
            f"/v2/models/{name}": Route("metadata", {b"GET": self._answer_model_metadata}),
            f"/v2/models/{name}/ready": ready,
            f"/v2/models/{name}/infer": Route("v2", {b"POST": self._answer_v2}),
            group.GROUP_PATH: Route("group", {b"POST": self._answer_group}),
            WITHDRAW_PATH: Route("items", {b"POST": self._withdraw_items}, free=True),
            RESTORE_PATH: Route("items", {b"POST": self._restore_items}, free=True),
            **self._build_shelves_of_everybody(),
        }

    def _build_shelves_of_everybody(self) -> dict[str, Route]:
        """Return the routes of the shelves that are about no item and no user."""
        routes = {}
        for kind in shelves.SHELVES_OF_EVERYBODY:
            path = f"/v1/{kind.value}"
            routes[path] = self._build_shelf_route(kind, path.encode())
        return routes

    def _build_routes_of_ids(self) -> dict[bytes, Route]:
        """Return the route of each path that ends with the id of a user or an item."""
        routes = {
            RECOMMENDATIONS_PREFIX: Route("lean", {b"GET": self._answer_lean}),
            BUY_AGAIN_PREFIX: Route("buy_again", {b"GET": self._answer_buy_again}),
            RANK_PREFIX: Route("rank", {b"GET": self._answer_rank}),
            # Its key is another one, which the handler checks.
            ITEM_PREFIX: Route("items", {b"DELETE": self._withdraw_item}, free=True),
        }
        for kind in (*shelves.SHELVES_OF_ITEMS, ShelfKind.CONTINUE):
            prefix = f"/v1/{kind.value}/".encode()
            routes[prefix] = self._build_shelf_route(kind, prefix)
        return routes

    def _build_shelf_route(self, kind: ShelfKind, prefix: bytes) -> Route:
        """Return the route of a shelf; `prefix` is what stands before the id in its path."""
        label = kind.value.replace("-", "_")
        return Route(label, {b"GET": partial(self._answer_shelf, kind, prefix)})

    def __call__(self, request: Request) -> Response | PendingResponse:
        """Answer a request. Errors become responses."""
        route = self._find_route(request.path)
        if route is None:
            message = "there is no such route: /openapi.json lists them"
            return self._count("unknown", build_error_response(404, message))
        method = b"GET" if request.method == b"HEAD" else request.method
        handler = route.handlers.get(method)
        if handler is None:
            return self._count(route.label, build_method_error(route.handlers))
        try:
            if not route.free:
                self._authenticator.check(request.headers)
            answer = handler(request)
        except Exception as failure:
            return self._count(route.label, self._build_failure_response(failure))
        if isinstance(answer, Response):
            return self._count(route.label, answer)
        return answer

    def _find_route(self, path: bytes) -> Route | None:
        """Return the route of a path; None for an unknown path."""
        route = self._routes.get(path)
        if route is None:
            for prefix, route_of_id in self._routes_of_ids.items():
                if path.startswith(prefix) and _is_id(path[len(prefix) :]):
                    return route_of_id
        return route

    def build_refusal(self, status: int, message: str) -> Response:
        """Build and count the response to what a connection can't take as a request."""
        return self._count("refused", build_error_response(status, message))

    def build_timeout_response(self) -> Response:
        """Build and count the response to a request whose answer took too long."""
        message = "the answer took too long: try again in a moment"
        return self._count("late", build_error_response(503, message))

    def _count(self, label: str, response: Response) -> Response:
        """Count a response, and return it."""
        self._counts.count_request(label, response.status)
        return response

    def _build_failure_response(self, failure: Exception) -> Response:
        """Build the response to an exception that a request raised."""
        status = choose_status(failure)
        if status == INTERNAL_ERROR_STATUS:
            return self._build_internal_error(failure)
        return build_error_response(status, failure)

    def _build_internal_error(self, failure: Exception) -> Response:
        """Report an exception that is our fault, and build a response without its text."""
        self._failures.report(failure)
        return build_error_response(INTERNAL_ERROR_STATUS, INTERNAL_ERROR_MESSAGE)

    # Predictions.

    def _answer_v1(self, request: Request) -> PendingResponse:
        """Answer POST /v1/models/NAME:predict."""
        questions = parse_untrusted(v1.parse_v1_request, request.body)
        return self._predict("v1", questions, self._encode_v1)

    async def _encode_v1(
        self,
        questions: list[Question],
        catalogue: ServedCatalogue,
        recommendations: list[Recommendation],
    ) -> bytes:
        return await v1.encode_v1_response(self._encoder, questions, catalogue, recommendations)

    def _answer_v2(self, request: Request) -> PendingResponse:
        """Answer POST /v2/models/NAME/infer."""
        if b"inference-header-content-length" in request.headers:
            raise ValueError(
                "tensors as raw bytes are not supported here: send the data as JSON, or use gRPC"
            )
        request_id, questions = parse_untrusted(v2.parse_v2_request, request.body)
        encode = partial(v2.encode_v2_response, self._model.name, request_id)
        return self._predict("v2", questions, encode)

    def _answer_lean(self, request: Request) -> PendingResponse:
        """Answer GET /v1/recommendations/USER."""
        user = request.path[len(RECOMMENDATIONS_PREFIX) :]
        question = parse_untrusted(lean.parse_get_request, user, request.query)
        return self._predict("lean", [question], self._encode_lean)

    def _answer_buy_again(self, request: Request) -> PendingResponse:
        """Answer GET /v1/buy-again/USER."""
        user = request.path[len(BUY_AGAIN_PREFIX) :]
        question = parse_untrusted(lean.parse_buy_again_request, user, request.query)
        return self._predict("buy_again", [question], self._encode_lean)

    def _answer_rank(self, request: Request) -> PendingResponse:
        """Answer GET /v1/rank/USER."""
        user = request.path[len(RANK_PREFIX) :]
        question = parse_untrusted(shelves.parse_rank_request, user, request.query)
        return self._predict("rank", [question], self._encode_rank)

    async def _encode_rank(
        self,
        questions: list[Question],
        catalogue: ServedCatalogue,
        recommendations: list[Recommendation],
    ) -> bytes:
        return shelves.encode_ranked_items(
            self._encoder, questions[0], catalogue, recommendations[0]
        )

    def _answer_shelf(self, kind: ShelfKind, prefix: bytes, request: Request) -> PendingResponse:
        """Answer the GET route of a shelf."""
        subject = request.path[len(prefix) :]
        question = parse_untrusted(shelves.parse_shelf_request, kind, subject, request.query)
        return self._find_shelf(question)

    async def _find_shelf(self, question: ShelfQuestion) -> Response:
        """Answer with a shelf, and count the request."""
        label = question.kind.value.replace("-", "_")
        try:
            catalogue, recommendation = await self._model.answer_shelf(question)
        except Exception as failure:
            return self._count(label, self._build_failure_response(failure))
        body = shelves.encode_shelf(self._encoder, question, catalogue, recommendation)
        return self._count(label, Response(200, body))

    # Items in answers.

    def _withdraw_item(self, request: Request) -> PendingResponse:
        """Answer DELETE /v1/items/ITEM."""
        self._item_changes.check(request.headers)
        item_id = parse_untrusted(parse_item_id, request.path[len(ITEM_PREFIX) :])
        return self._change_items(self._item_changes.withdraw([item_id]))

    def _withdraw_items(self, request: Request) -> PendingResponse:
        """Answer POST /v1/items:withdraw."""
        self._item_changes.check(request.headers)
        item_ids = parse_untrusted(parse_item_ids, request.body)
        return self._change_items(self._item_changes.withdraw(item_ids))

    def _restore_items(self, request: Request) -> PendingResponse:
        """Answer POST /v1/items:restore."""
        self._item_changes.check(request.headers)
        item_ids = parse_untrusted(parse_item_ids, request.body)
        return self._change_items(self._item_changes.restore(item_ids))

    async def _change_items(self, change: Awaitable[dict[str, int]]) -> Response:
        """Answer with what a change of items did, and count the request."""
        try:
            response = build_json_response(await change)
        except Exception as failure:
            response = self._build_failure_response(failure)
        return self._count("items", response)

    def _answer_group(self, request: Request) -> PendingResponse:
        """Answer POST /v1/group."""
        return self._find_group_list(parse_untrusted(group.parse_group_request, request.body))

    async def _find_group_list(self, question: GroupQuestion) -> Response:
        """Answer with a group's list, and count the request."""
        try:
            catalogue, answer = await self._model.answer_group(question)
        except Exception as failure:
            return self._count("group", self._build_failure_response(failure))
        body = group.encode_group_answer(question, catalogue, answer)
        return self._count("group", Response(200, body))

    async def _encode_lean(
        self,
        questions: list[Question],
        catalogue: ServedCatalogue,
        recommendations: list[Recommendation],
    ) -> bytes:
        return self._encoder.encode_prediction(questions[0], catalogue, recommendations[0])

    async def _predict(
        self, label: str, questions: list[Question], encode: AnswerEncoder
    ) -> Response:
        """Answer the questions with the model, and count the request."""
        try:
            catalogue, recommendations = await self._model.predict(questions)
        except Exception as failure:
            return self._count(label, self._build_failure_response(failure))
        try:
            response = Response(200, await encode(questions, catalogue, recommendations))
        except Exception as failure:  # also a ValueError is our fault here
            response = self._build_internal_error(failure)
        return self._count(label, response)

    # The state of the server.

    def _answer_live(self, request: Request) -> Response:
        """Answer GET / and GET /v2/health/live."""
        if request.path == b"/":
            return build_json_response({"status": "alive"})
        return build_json_response({"live": True})

    def _answer_ready(self, request: Request) -> Response:
        """Answer the readiness probes: GET /v2/health/ready and its equivalents."""
        is_ready = self._model.engine.ready
        status = 200 if is_ready else 503
        return build_json_response({"name": self._model.name, "ready": is_ready}, status)

    def _answer_models(self, request: Request) -> Response:
        """Answer GET /v1/models."""
        return build_json_response({"models": [self._model.name]})

    def _answer_metrics(self, request: Request) -> Response:
        """Answer GET /metrics."""
        self._counts.ready = self._model.engine.ready
        return Response(200, render_metrics([self._counts]), kind=PROMETHEUS_CONTENT_TYPE)

    def _answer_openapi(self, request: Request) -> Response:
        """Answer GET /openapi.json."""
        return Response(200, self._document)

    def _answer_server_metadata(self, request: Request) -> Response:
        """Answer GET /v2."""
        return build_json_response({**self._dataplane.metadata(), "extensions": []})

    async def _answer_model_metadata(self, request: Request) -> Response:
        """Answer GET /v2/models/NAME."""
        metadata = await self._dataplane.model_metadata(self._model.name)
        return self._count("metadata", build_json_response(metadata))


def _is_id(text: bytes) -> bool:
    """Whether the end of a path is an id, in which a slash is encoded."""
    return bool(text) and b"/" not in text
