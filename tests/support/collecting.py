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

from dawnlist.events.stream_keys import EventKeys
from dawnlist.serving.collector.server import build_collector
from dawnlist.settings import CollectorSettings

KEYS = EventKeys("shop")


@contextlib.contextmanager
def collector(url: str, **settings: Any) -> Iterator[httpx.Client]:
    """A client of a collector of the namespace `shop`, with these settings."""
    app = build_collector(url, "shop", CollectorSettings(**settings))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    problems: list[BaseException] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))

        def run() -> None:
            try:
                server.run([listener])
            except BaseException as error:
                problems.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            if not thread.is_alive():
                raise AssertionError(f"the collector did not start: {problems}")
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
