"""Run `dawnlist party`: watch parties on uvicorn, for one shop. Any number of processes may run."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from dawnlist.clients.event_client import EventClient
from dawnlist.secret_values import read_secret
from dawnlist.serving.predictor.transports.auth import Authenticator
from dawnlist.serving.watchparty.actions import Actions
from dawnlist.serving.watchparty.films import Films
from dawnlist.serving.watchparty.hub import Hub
from dawnlist.serving.watchparty.page.routes import page_routes
from dawnlist.serving.watchparty.party_events import PartyEvents
from dawnlist.serving.watchparty.party_keys import PartyKeys
from dawnlist.serving.watchparty.room_routes import (
    TICKETS_PER_SECOND,
    RoomRoutes,
    allows_origin,
)
from dawnlist.serving.watchparty.room_store import RoomStore
from dawnlist.serving.watchparty.session import MAX_FRAME_BYTES, RateLimit
from dawnlist.serving.watchparty.socket_route import RoomSocket
from dawnlist.serving.watchparty.wire import PartyWire
from dawnlist.settings import PartySettings
from dawnlist.store.client import open_async_client
from dawnlist.urls import API_KEY, COLLECTOR_KEYS

DEFAULT_PORT: Final = 8083
STORE_TIMEOUT_SECONDS: Final = 10.0
CLUSTER_ADVICE: Final = "watch parties need a single server"
GRACE_SECONDS: Final = 5

party_log = logging.getLogger("dawnlist.party")


@dataclass(frozen=True, slots=True)
class PartyPlaces:
    """The other parts that watch parties talk to."""

    redis: str
    """The store's URL."""
    predictor: str = ""
    """The predictor's address; without it nothing is suggested."""
    collector: str = ""
    """The collector's address; without it nothing is collected."""


class PartyServer(uvicorn.Server):
    """A server that asks its members to come back before it ends."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all sockets with a code of ours, and then the server."""
        for server in self.servers:
            server.close()
        await self._hub.close_all()
        await super().shutdown(sockets)


async def build_party(
    places: PartyPlaces, namespace: str, settings: PartySettings
) -> tuple[Starlette, Hub]:
    """Build the application, and return its hub, too.

    Raises:
        ValueError: the URL, the namespace or a key can't be used.
        redis.RedisError: the store does not answer.
    """
    client = open_async_client(places.redis, STORE_TIMEOUT_SECONDS, CLUSTER_ADVICE)
    store = RoomStore(client, PartyKeys(namespace))
    secret = await store.get_secret()
    events = PartyEvents(_open_collector(places.collector))
    hub = Hub(store, events)
    api_key = (read_secret(API_KEY) or "").partition(",")[0].strip()
    films = Films(settings.film_url, places.predictor, api_key)
    authenticator = Authenticator.from_environment(os.environ)
    routes = RoomRoutes(hub, films, secret, authenticator, RateLimit(TICKETS_PER_SECOND, 1.0))

    def allows(websocket: WebSocket) -> bool:
        return allows_origin(settings.origins, websocket.headers)

    sockets = RoomSocket(hub, Actions(hub, films), secret, settings.room_size, allows)

    @contextlib.asynccontextmanager
    async def run_tasks(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(hub.run()), asyncio.create_task(hub.show_life())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await films.close()
            await client.aclose()
            await asyncio.to_thread(events.close)

    return Starlette(routes=_list_routes(routes, sockets), lifespan=run_tasks), hub


def _open_collector(address: str) -> EventClient | None:
    if not address:
        return None
    key = (read_secret(COLLECTOR_KEYS) or "").partition(",")[0].strip()
    return EventClient(address, key)


def _list_routes(routes: RoomRoutes, sockets: RoomSocket) -> list[Route | WebSocketRoute]:
    return [
        Route("/v1/rooms", routes.create, methods=["POST"]),
        Route("/v1/rooms", routes.list_open, methods=["GET"]),
        Route("/v1/rooms/{room}", routes.describe, methods=["GET"]),
        Route("/v1/rooms/{room}/tickets", routes.give_ticket, methods=["POST"]),
        WebSocketRoute("/v1/rooms/{room}/socket", sockets.answer),
        Route("/healthz", routes.answer_health, methods=["GET"]),
        Route("/readyz", routes.answer_readiness, methods=["GET"]),
        Route("/metrics", routes.answer_metrics, methods=["GET"]),
        *page_routes(routes.list_rooms, routes.read_room),
    ]


def run_party(
    places: PartyPlaces, namespace: str, settings: PartySettings, host: str, port: int
) -> None:
    """Serve watch parties of one shop until a signal ends the process.

    Raises:
        ValueError: a setting, a key, the URL or the namespace can't be used.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asyncio.run(_serve(places, namespace, settings, host, port))


async def _serve(
    places: PartyPlaces, namespace: str, settings: PartySettings, host: str, port: int
) -> None:
    app, hub = await build_party(places, namespace, settings)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws=PartyWire,
        # Frames are encoded once for all members; and a compressor takes 20 kB of each socket.
        ws_per_message_deflate=False,
        # A frame that is somewhat too large still gets its own close code.
        ws_max_size=16 * MAX_FRAME_BYTES,
    )
    await PartyServer(config, hub).serve()
