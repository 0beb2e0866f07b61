"""The collector's routes: events as JSON, a picture for mails, health, metrics and the schema."""

import base64
import functools
import time
from dataclasses import replace
from importlib import resources
from typing import Any, Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from dawnlist.serving.collector.acceptance import (
    RefusedEventError,
    RequestFacts,
    compute_skew,
)
from dawnlist.serving.collector.bodies import BodyError, parse_batch, read_body
from dawnlist.serving.collector.counts import CollectorMetrics
from dawnlist.serving.collector.event_writer import EventStatus
from dawnlist.serving.collector.intake import EventAnswer, Intake
from dawnlist.serving.collector.openapi import PICTURE_FIELDS, build_openapi_document
from dawnlist.serving.collector.people_facts import describe_requesting_person
from dawnlist.serving.collector.places import PlaceFinder
from dawnlist.serving.collector.senders import RateLimiter, Senders, UnknownSenderError
from dawnlist.serving.collector.watch import StoreWatch

RETRY_AFTER_SECONDS: Final = 5
PICTURE: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""A GIF of one transparent pixel."""
PREFLIGHT_SECONDS: Final = 86_400
CLIENT_SECONDS: Final = 3_600
"""Browsers ask for the client again after this many seconds."""
CLIENT_TYPES: Final = {"client.js": "text/javascript", "client.d.ts": "text/plain"}
"""The client's files and their media types."""


class CollectorRoutes:
    """Answers requests for one shop."""

    def __init__(
        self,
        intake: Intake,
        senders: Senders,
        limiter: RateLimiter,
        places: PlaceFinder,
        watch: StoreWatch,
        metrics: CollectorMetrics,
    ) -> None:
        self._intake = intake
        self._senders = senders
        self._limiter = limiter
        self._places = places
        self._watch = watch
        self._metrics = metrics

    async def take_batch(self, request: Request) -> Response:
        """Answer POST /v1/events."""
        origin = request.headers.get("origin", "")
        try:
            encoding = request.headers.get("content-encoding", "").strip().lower()
            batch = parse_batch(await read_body(request.stream(), encoding))
            key = request.headers.get("x-api-key") or request.query_params.get("key") or ""
            sender = self._senders.identify_sender(str(batch.get("key") or key), origin)
            facts = self._collect_facts(request, sender, batch.get("sent_at"))
            if not self._is_server(sender, origin):
                facts = self._add_person(facts, request)
        except BodyError as error:
            return self._answer_error(error.status, str(error), origin)
        except UnknownSenderError as error:
            return self._answer_error(401, str(error), origin)
        except RefusedEventError as error:
            return self._answer_error(400, str(error), origin)
        events = batch["events"]
        wait = self._limiter.take_tokens(sender, len(events), time.monotonic())
        if wait > 0:
            message = "too many events for this key: send them again later"
            return self._answer_error(429, message, origin, max(1, round(wait)))
        answers = await self._intake.take_events(events, facts)
        return self._answer_events(answers, origin)

    async def take_picture(self, request: Request) -> Response:
        """Answer GET /v1/event.gif: one event in the address. The picture always comes."""
        event: dict[str, Any] = {}
        for name in PICTURE_FIELDS:
            if name in request.query_params:
                event[name] = request.query_params[name]
        headers = {"cache-control": "no-store"}
        try:
            key = request.query_params.get("key", "")
            # A mail program sends no origin, so that a browser's key can't be bound to one here.
            sender = self._senders.identify_picture_sender(key)
            wait = self._limiter.take_tokens(sender, 1, time.monotonic())
            if wait > 0:
                raise UnknownSenderError("too many events for this key")
            facts = self._add_person(self._collect_facts(request, sender, None), request)
            [answer] = await self._intake.take_events([event], facts)
            self._metrics.count_events([answer["status"]])
            headers["x-event-status"] = answer["status"]
        except UnknownSenderError:
            headers["x-event-status"] = EventStatus.DROPPED
            self._metrics.count_request_error(401)
        return Response(PICTURE, media_type="image/gif", headers=headers)

    async def answer_preflight(self, request: Request) -> Response:
        """Answer OPTIONS /v1/events, by which a browser asks whether a page may send events."""
        origin = request.headers.get("origin", "")
        if not self._senders.allows_origin(origin):
            return Response(status_code=403)
        headers = _allow_origin(origin)
        headers["access-control-allow-methods"] = "POST"
        headers["access-control-allow-headers"] = "content-type, content-encoding, x-api-key"
        headers["access-control-max-age"] = str(PREFLIGHT_SECONDS)
        return Response(status_code=204, headers=headers)

    async def answer_health(self, request: Request) -> Response:
        """Answer GET /healthz: the process lives."""
        return Response("ok\n", media_type="text/plain")

    async def answer_readiness(self, request: Request) -> Response:
        """Answer GET /readyz: the store takes events."""
        if self._watch.problem:
            return Response(self._watch.problem + "\n", 503, media_type="text/plain")
        return Response("ok\n", media_type="text/plain")

    async def answer_metrics(self, request: Request) -> Response:
        """Answer GET /metrics in Prometheus' format."""
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def answer_client(self, request: Request) -> Response:
        """Answer GET /v1/client.js and /v1/client.d.ts: the client for browsers, and its types."""
        name = request.url.path.rpartition("/")[2]
        headers = {"cache-control": f"max-age={CLIENT_SECONDS}", "access-control-allow-origin": "*"}
        return Response(_read_client_file(name), headers=headers, media_type=CLIENT_TYPES[name])

    async def answer_openapi(self, request: Request) -> Response:
        """Answer GET /openapi.json."""
        return Response(orjson.dumps(build_openapi_document()), media_type="application/json")

    def _collect_facts(self, request: Request, sender: str, sent_at: Any) -> RequestFacts:
        received = time.time()
        skew = compute_skew(sent_at, received)
        return RequestFacts(received, skew, sender, self._senders.is_browser(sender))

    def _is_server(self, sender: str, origin: str) -> bool:
        """Say whether a server sent the request: by its key or, where none is asked for, because it
        names no page."""
        if self._senders.is_open:
            return not origin
        return not self._senders.is_browser(sender)

    def _add_person(self, facts: RequestFacts, request: Request) -> RequestFacts:
        return replace(facts, person=describe_requesting_person(request, self._places))

    def _answer_events(self, answers: list[EventAnswer], origin: str) -> Response:
        statuses = [answer["status"] for answer in answers]
        self._metrics.count_events(statuses)
        headers = _allow_origin(origin)
        status_code = 202
        if EventStatus.RETRY in statuses:
            headers["retry-after"] = str(RETRY_AFTER_SECONDS)
            if set(statuses) == {EventStatus.RETRY}:
                status_code = 503
        body = orjson.dumps({"events": answers})
        return Response(body, status_code, headers, media_type="application/json")

    def _answer_error(
        self, status: int, message: str, origin: str, retry_after: int | None = None
    ) -> Response:
        self._metrics.count_request_error(status)
        headers = _allow_origin(origin)
        if retry_after is not None:
            headers["retry-after"] = str(retry_after)
        body = orjson.dumps({"error": message})
        return Response(body, status, headers, media_type="application/json")


@functools.cache
def _read_client_file(name: str) -> bytes:
    return resources.files("dawnlist.serving.collector").joinpath(name).read_bytes()


def _allow_origin(origin: str) -> dict[str, str]:
    """Return the headers that let a page read the answer; its key decided what it may do."""
    if not origin:
        return {}
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "retry-after",
        "vary": "origin",
    }
