"""A collector on uvicorn with a real store behind it, and its streams."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import redis
import uvicorn
from starlette.applications import Starlette

from dawnlist.events.stream_keys import EventKeys
from dawnlist.serving.collector.server import build_collector
from dawnlist.settings import CollectorSettings

KEYS = EventKeys("shop")


@contextlib.contextmanager
def collector(url: str, **settings: Any) -> Iterator[httpx.Client]:
    """A client of a collector of the namespace `shop`, with these settings."""
    with serving(build_collector(url, "shop", CollectorSettings(**settings))) as client:
        yield client


@contextlib.contextmanager
def collector_at(url: str, port: int) -> Iterator[httpx.Client]:
    """A client of a collector at a port that the caller has bound with SO_REUSEPORT."""
    with serving(build_collector(url, "shop", CollectorSettings()), port) as client:
        yield client


@contextlib.contextmanager
def serving(app: Starlette, port: int = 0) -> Iterator[httpx.Client]:
    """A client of an application that runs on uvicorn in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    with socket.socket() as listener:
        if port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", port))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            assert thread.is_alive(), "the application did not start"
            base = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with httpx.Client(base_url=base, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def send(client: httpx.Client, *events: Any, **options: Any) -> Any:
    """Send events, and return the answer."""
    return client.post("/v1/events", json={"events": list(events)}, **options)


def statuses(answer: Any) -> list[str]:
    return [event["status"] for event in answer.json()["events"]]


def read_stream(url: str, stream: str) -> list[dict[str, Any]]:
    """The records of a stream, the oldest first."""
    with redis.from_url(url) as client:
        return [orjson.loads(fields[b"e"]) for _, fields in client.xrange(stream)]


def count_entries(url: str, stream: str) -> int:
    with redis.from_url(url) as client:
        return int(client.xlen(stream))
