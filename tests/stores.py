"""Stores of other kinds than the tests' one Valkey: with little memory, a cluster, behind TLS."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import redis

from components.embedded import server_binary
from tests.servers import free_port, listening, listens, pour, running


@contextlib.contextmanager
def valkey_of(home: Path, *options: str, port: int | None = None) -> Iterator[int]:
    """The port of a Valkey of its own, with options such as `--maxmemory 20mb`."""
    port = port or free_port()
    command = [str(server_binary()), "--port", str(port), "--save", "", "--dir", str(home), *options]
    with running(command, lambda: listens(port)):
        yield port


@contextlib.contextmanager
def cluster(home: Path, nodes: int = 3) -> Iterator[str]:
    """The URL of a cluster of Valkeys, all of them primaries, with the slots shared out evenly."""
    with contextlib.ExitStack() as stack:
        clients, ports = [], []
        for node in range(nodes):
            folder, bus = home / str(node), free_port()  # the bus's own default, port + 10,000, may not be there
            folder.mkdir()
            port = stack.enter_context(valkey_of(folder, "--cluster-enabled", "yes", "--cluster-port", str(bus)))
            ports.append((port, bus))
            clients.append(stack.enter_context(redis.Redis(port=port)))
        edges = [16_384 * node // nodes for node in range(nodes + 1)]
        for client, (begin, end) in zip(clients, pairwise(edges), strict=True):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
        for port, bus in ports[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        deadline = time.monotonic() + 20
        while any(client.execute_command("CLUSTER INFO")["cluster_state"] != "ok" for client in clients):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"redis+cluster://127.0.0.1:{ports[0][0]}"


def self_signed(folder: Path) -> tuple[Path, Path]:
    """The files of a certificate of 127.0.0.1, which is its own authority, and of its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "store")]),
    )
    now, address = datetime.now(UTC), x509.IPAddress(ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "store.crt").write_bytes(certificate.public_bytes(pem))
    (folder / "store.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "store.crt", folder / "store.key"


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
