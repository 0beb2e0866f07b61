"""The HTTP routes of rooms: create one, list open ones, ask for a ticket; and health and metrics."""

import hashlib
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
import orjson
import redis.exceptions
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from dawnlist.serving.predictor.transports.auth import (
    Authenticator,
    ForbiddenError,
    UnauthenticatedError,
)
from dawnlist.serving.watchparty.films import Films
from dawnlist.serving.watchparty.hub import Hub
from dawnlist.serving.watchparty.playback import PlaybackState
from dawnlist.serving.watchparty.room_facts import (
    MAX_PASSWORD,
    RoomFacts,
    WishError,
    build_room,
    check_name,
    check_text,
    is_password,
)
from dawnlist.serving.watchparty.room_store import RoomGoneError
from dawnlist.serving.watchparty.session import RateLimit
from dawnlist.serving.watchparty.tickets import TICKET_SECONDS, Ticket, sign_ticket

party_log = logging.getLogger("dawnlist.party")

MAX_BODY_BYTES: Final = 4_096
LISTED_ROOMS: Final = 100
TICKETS_PER_SECOND: Final = 100
"""Rooms and tickets that one process gives out: a password costs 30 ms to check."""
HOST_NAME: Final = "Host"


class RefusedRequestError(Exception):
    """A request is refused, with a status and a line of text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class RoomRoutes:
    """Answers requests about rooms."""

    hub: Hub
    films: Films
    secret: bytes
    authenticator: Authenticator
    limit: RateLimit

    async def create(self, request: Request) -> Response:
        """Answer POST /v1/rooms: make a room, whose first host is who asked."""
        return await self._answer(self._create, request)

    async def list_open(self, request: Request) -> Response:
        """Answer GET /v1/rooms."""
        return await self._answer(self._list_open, request)

    async def describe(self, request: Request) -> Response:
        """Answer GET /v1/rooms/{room}."""
        return await self._answer(self._describe, request)

    async def give_ticket(self, request: Request) -> Response:
        """Answer POST /v1/rooms/{room}/tickets."""
        return await self._answer(self._give_ticket, request)

    async def answer_health(self, request: Request) -> Response:
        """Answer GET /healthz: the process lives."""
        return Response("ok\n", media_type="text/plain")

    async def answer_readiness(self, request: Request) -> Response:
        """Answer GET /readyz: the store answers."""
        try:
            await self.hub.store.client.ping()
        except (redis.exceptions.RedisError, OSError) as error:
            return Response(f"the store does not answer: {error}\n", 503, media_type="text/plain")
        return Response("ok\n", media_type="text/plain")

    async def answer_metrics(self, request: Request) -> Response:
        """Answer GET /metrics in Prometheus' format."""
        registry = CollectorRegistry()
        shop = self.hub.store.keys.namespace
        for name, description, value in (
            ("dawnlist_party_rooms", "Rooms that have a socket here.", self.hub.rooms),
            ("dawnlist_party_sockets", "Sockets of members here.", self.hub.sessions),
        ):
            Gauge(name, description, ("shop",), registry=registry).labels(shop).set(value)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def _answer(self, action: Any, request: Request) -> Response:
        try:
            status, body = await action(request)
        except RefusedRequestError as error:
            status, body = error.status, {"error": str(error)}
        except WishError as error:
            status, body = 400, {"error": str(error)}
        except RoomGoneError as error:
            status, body = 404, {"error": str(error)}
        except (UnauthenticatedError, ForbiddenError) as error:
            status, body = 401, {"error": str(error)}
        except (redis.exceptions.RedisError, OSError) as error:
            party_log.warning("a request is refused: %s", error)
            status, body = 503, {"error": "the store does not answer: try again"}
        return Response(orjson.dumps(body), status, media_type="application/json")

    async def _create(self, request: Request) -> tuple[int, dict[str, Any]]:
        self._take_turn()
        wish = await _read_body(request)
        facts, item = await run_in_threadpool(build_room, wish)
        person = check_name(wish.get("person", HOST_NAME))
        user = self._find_user(request)
        member = _choose_member(user)
        facts.hosts = [member]
        title, url = self.films.get_title(item), self.films.build_url(item)
        state = PlaybackState(item=item, title=title, url=url, server_time=time.time())
        await self.hub.store.create(facts, state)
        answer = self._build_ticket(facts.room, member, person, user)
        return 201, {"room": facts.room, "invitation": facts.invitation, **answer}

    async def _list_open(self, request: Request) -> tuple[int, dict[str, Any]]:
        return 200, {"rooms": await self.list_rooms()}

    async def list_rooms(self) -> list[dict[str, Any]]:
        """List the open rooms, of which some may have gone."""
        store = self.hub.store
        rooms = []
        for name in sorted(await store.client.smembers(store.keys.open_rooms))[:LISTED_ROOMS]:
            facts = await self.read_room(name.decode())
            if facts is None:
                await store.client.srem(store.keys.open_rooms, name)
                continue
            state = await store.read_state(facts["room"])
            listed = {name: facts[name] for name in ("room", "name", "members", "locked")}
            rooms.append({**listed, "item": state.title or state.item})
        return rooms

    async def _describe(self, request: Request) -> tuple[int, dict[str, Any]]:
        facts = await self.read_room(request.path_params["room"])
        if facts is None:
            raise RefusedRequestError(404, "there is no such room")
        return 200, facts

    async def read_room(self, room: str) -> dict[str, Any] | None:
        """Read what everybody may know of a room; None if there is none."""
        try:
            facts = await self.hub.store.read_facts(room)
        except RoomGoneError:
            return None
        members = await self.hub.store.client.hlen(self.hub.store.keys.part("members", room))
        return facts.to_public(members)

    async def _give_ticket(self, request: Request) -> tuple[int, dict[str, Any]]:
        self._take_turn()
        room = request.path_params["room"]
        wish = await _read_body(request)
        facts = await self.hub.store.read_facts(room)
        name = check_name(wish.get("name"))
        user = self._find_user(request)
        if not user and not facts.guests:
            raise RefusedRequestError(403, "guests may not come in: log in first")
        if facts.invitation and not _equals(wish.get("invitation"), facts.invitation):
            raise RefusedRequestError(403, "this room is by invitation: open the invitation's link")
        if facts.password:
            await _check_password(facts, wish.get("password"))
        return 201, self._build_ticket(room, _choose_member(user), name, user)

    def _build_ticket(self, room: str, member: str, name: str, user: str) -> dict[str, Any]:
        expires = time.time() + TICKET_SECONDS
        ticket = sign_ticket(Ticket(room, member, name, user, expires), self.secret)
        return {"ticket": ticket, "member": member, "expires": expires}

    def _find_user(self, request: Request) -> str:
        """Return the user whom a token names; empty for a guest.

        Raises:
            UnauthenticatedError, ForbiddenError: the token is not valid.
        """
        header = request.headers.get("authorization", "")
        if not header:
            return ""
        if self.authenticator.jwt_key is None:
            raise UnauthenticatedError("there is no key to check tokens with")
        self.authenticator.check({b"authorization": header.encode()})
        token = header.partition(" ")[2].strip()
        claims = jwt.decode(token, options={"verify_signature": False})
        return str(claims.get("sub") or "")

    def _take_turn(self) -> None:
        if not self.limit.take(time.monotonic()):
            raise RefusedRequestError(429, "too many people come at once: try again in a second")


async def _read_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RefusedRequestError(413, f"the body has more than {MAX_BODY_BYTES:,} bytes")
    try:
        content = orjson.loads(bytes(body))
    except orjson.JSONDecodeError:
        raise RefusedRequestError(400, "the body is not JSON") from None
    if not isinstance(content, dict):
        raise RefusedRequestError(400, "the body has to be a JSON object")
    return content


async def _check_password(facts: RoomFacts, password: Any) -> None:
    if not password:
        raise RefusedRequestError(403, "this room has a password")
    text = check_text("password", password, MAX_PASSWORD)
    if not await run_in_threadpool(is_password, facts, text):
        raise RefusedRequestError(403, "the password is wrong")


def _equals(given: Any, expected: str) -> bool:
    return isinstance(given, str) and secrets.compare_digest(given.encode(), expected.encode())


def _choose_member(user: str) -> str:
    """Return a member's id: the same for a user each time, another for each guest."""
    if not user:
        return secrets.token_urlsafe(9)
    return hashlib.blake2b(user.encode(), digest_size=9).hexdigest()


def allows_origin(origins: list[str], headers: Mapping[str, str]) -> bool:
    """Whether a page may open a socket: one of this server, or of a given origin.

    A program that is no browser sends no origin; it needs a ticket like everybody.
    """
    origin = headers.get("origin")
    if origin is None or origin in origins:
        return True
    return origin.partition("://")[2] == headers.get("host")
