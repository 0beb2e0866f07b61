"""Stores of other kinds than the tests' one Valkey: with little memory, a cluster, behind TLS."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import redis

from dawnlist.machine.embedded_valkey import find_server_binary
from tests.support.servers import free_port, listening, listens, pour, running

# A file that reaches the limit of its process is an error of the write then, as a full disk is.
ENDED_BY_NO_LIMIT = ("sh", "-c", 'trap "" XFSZ; exec "$0" "$@"')


@contextlib.contextmanager
def valkey_of(home: Path, *options: str, port: int | None = None) -> Iterator[int]:
    """The port of a Valkey of its own, with options such as `--maxmemory 20mb`."""
    port = port or free_port()
    command = [
        *ENDED_BY_NO_LIMIT,
        str(find_server_binary()),
        "--port",
        str(port),
        "--save",
        "",
        "--dir",
        str(home),
        *options,
    ]
    with running(command, lambda: listens(port)):
        yield port


def put_on(seconds: float) -> None:
    """Let the running loop's clock be later, as if so much time had passed."""
    loop = asyncio.get_running_loop()
    loop.time = lambda before=loop.time: before() + seconds  # type: ignore[method-assign,misc]


@contextlib.contextmanager
def cluster(home: Path, nodes: int = 3) -> Iterator[str]:
    """The URL of a cluster of Valkeys, all of them primaries, with the slots shared out evenly."""
    with contextlib.ExitStack() as stack:
        clients, ports = [], []
        for node in range(nodes):
            folder, bus = (
                home / str(node),
                free_port(),
            )  # the bus's own default, port + 10,000, may not be there
            folder.mkdir()
            port = stack.enter_context(
                valkey_of(folder, "--cluster-enabled", "yes", "--cluster-port", str(bus))
            )
            ports.append((port, bus))
            clients.append(stack.enter_context(redis.Redis(port=port)))
        edges = [16_384 * node // nodes for node in range(nodes + 1)]
        for client, (begin, end) in zip(clients, pairwise(edges), strict=True):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
        for port, bus in ports[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        deadline = time.monotonic() + 60
        while any(
            client.execute_command("CLUSTER INFO")["cluster_state"] != "ok" for client in clients
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"redis+cluster://127.0.0.1:{ports[0][0]}"


@contextlib.contextmanager
def tls(target: str, certificate: Path, key: Path) -> Iterator[str]:
    """The rediss:// URL of what takes TLS off before a store at redis://HOST:PORT/0."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    host, port = target.removeprefix("redis://").removesuffix("/0").split(":")

    def without_tls(connection: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(connection, server_side=True) as client,
            socket.create_connection((host, int(port))) as server,
        ):
            back = threading.Thread(target=pour, args=(server, client))
            back.start()
            pour(client, server)
            back.join()

    with listening(without_tls) as own:
        yield f"rediss://127.0.0.1:{own}/0"
