"""Run `dawnlist collect`: the collector on uvicorn, for one shop."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from dawnlist.events.stream_keys import EventKeys
from dawnlist.serving.collector.counts import CollectorMetrics
from dawnlist.serving.collector.event_writer import EventWriter
from dawnlist.serving.collector.intake import Intake
from dawnlist.serving.collector.places import PlaceFinder
from dawnlist.serving.collector.privacy import DailySalts
from dawnlist.serving.collector.routes import CollectorRoutes
from dawnlist.serving.collector.senders import BrowserRules, RateLimiter, Senders
from dawnlist.serving.collector.watch import StoreWatch, check_durability
from dawnlist.settings import CollectorSettings
from dawnlist.store.client import open_async_client
from dawnlist.store.endpoint import ServerEndpoint

DEFAULT_PORT: Final = 8081
STORE_TIMEOUT_SECONDS: Final = 5.0
CLUSTER_ADVICE: Final = "the collector needs a single server"
GRACE_SECONDS: Final = 10

collector_log = logging.getLogger("dawnlist.collector")


def build_collector(url: str, namespace: str, settings: CollectorSettings) -> Starlette:
    """Build the application.

    Raises:
        ValueError: a key, the file of places, the URL or the namespace can't be used.
    """
    senders = Senders.from_environment(os.environ, settings.browser_keys)
    places = PlaceFinder(settings)
    client = open_async_client(url, STORE_TIMEOUT_SECONDS, CLUSTER_ADVICE)
    keys = EventKeys(namespace)
    metrics = CollectorMetrics(namespace)
    server = ServerEndpoint.from_url(url)
    writer = EventWriter(server, keys, settings.duplicate_minutes * 60)
    watch = StoreWatch(client, keys, writer, metrics, settings.max_memory_share)
    rules = BrowserRules(frozenset(settings.browser_types), settings.browser_users)
    salts = DailySalts(client, keys)
    intake = Intake(writer, salts, settings.max_age_days * 86_400, rules, places)
    limiter = RateLimiter(settings.events_per_second)
    routes = CollectorRoutes(intake, senders, limiter, places, watch, metrics)

    @contextlib.asynccontextmanager
    async def run_tasks(app: Starlette) -> AsyncIterator[None]:
        unknown = await check_durability(client, settings.durability)
        if unknown:
            collector_log.warning(unknown)
        await watch.look()
        tasks = [asyncio.create_task(writer.run()), asyncio.create_task(watch.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await client.aclose()

    return Starlette(routes=_list_routes(routes), lifespan=run_tasks)


def _list_routes(routes: CollectorRoutes) -> list[Route]:
    handlers: list[tuple[str, Any, str]] = [
        ("/v1/events", routes.take_batch, "POST"),
        ("/v1/events", routes.answer_preflight, "OPTIONS"),
        ("/v1/event.gif", routes.take_picture, "GET"),
        ("/healthz", routes.answer_health, "GET"),
        ("/readyz", routes.answer_readiness, "GET"),
        ("/metrics", routes.answer_metrics, "GET"),
        ("/v1/client.js", routes.answer_client, "GET"),
        ("/v1/client.d.ts", routes.answer_client, "GET"),
        ("/openapi.json", routes.answer_openapi, "GET"),
    ]
    return [Route(path, handler, methods=[method]) for path, handler, method in handlers]


def run_collector(
    url: str, namespace: str, settings: CollectorSettings, host: str, port: int
) -> None:
    """Collect events of one shop until a signal ends the process.

    Args:
        url: The store's URL.
        namespace: The shop.
        settings: The section `collector` of the shop's settings.
        host: The address to listen on; 0.0.0.0 is for containers.
        port: The port to listen on.

    Raises:
        ValueError: a setting, a key, the URL or the namespace can't be used.
    """
    app = build_collector(url, namespace, settings)
    # uvicorn raises the signal once more after its shutdown, and Python would end at once.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
