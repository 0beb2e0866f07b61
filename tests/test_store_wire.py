"""Servers of the store that say less than they might: no first answer, no name of their own."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import redis

from dawnlist.store import wire
from dawnlist.store.nodes import ReadFailure, ReadResult
from dawnlist.store.reader import StoreReader
from tests.support.certificates import self_signed
from tests.support.heard import Heard
from tests.support.servers import listening
from tests.support.stores import cluster, tls, valkey_of


def read(url: str) -> list[ReadResult]:
    async def run() -> list[ReadResult]:
        reader = StoreReader(url, Heard(), timeout=10)
        try:
            return await asyncio.wait_for(reader.read(["k"]), 20)
        finally:
            reader.close()

    return asyncio.run(run())


def test_a_connection_that_is_not_greeted_in_time_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "secret")
    monkeypatch.setattr(wire, "STORE_CONNECT_SECONDS", 0.05)
    closed = threading.Event()

    def silent(line: socket.socket) -> None:
        line.settimeout(20)
        with contextlib.suppress(TimeoutError):
            while line.recv(1_000):
                pass
            closed.set()

    async def use(url: str) -> None:
        reader = StoreReader(url, Heard())
        assert await reader.read(["k"]) == [ReadFailure.UNREACHABLE]
        assert await asyncio.to_thread(closed.wait, 10)
        reader.close()

    with listening(silent) as port:
        asyncio.run(use(f"redis://127.0.0.1:{port}/0"))


def test_a_cluster_that_names_no_hosts_is_asked_where_it_answered(tmp_path: Path) -> None:
    with cluster(tmp_path, nodes=1) as url, redis.Redis(port=int(url.rsplit(":", 1)[1])) as client:
        client.set("k", "v")
        client.config_set("cluster-preferred-endpoint-type", "unknown-endpoint")
        assert read(url) == [b"v"]


def test_a_user_without_a_password_is_not_the_default_one(tmp_path: Path) -> None:
    with valkey_of(tmp_path) as port, redis.Redis(port=port) as client:
        client.set("k", "v")
        client.execute_command("ACL SETUSER reader on nopass ~* +mget")
        client.execute_command("ACL SETUSER default off")
        assert read(f"redis://reader@127.0.0.1:{port}/0") == [b"v"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="it names the certificates of a folder")
def test_a_folder_of_authorities(valkey: str, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    said = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", certificate], capture_output=True, check=True
    )
    (folder := tmp_path / "authorities").mkdir()
    shutil.copy(certificate, folder / f"{said.stdout.decode().strip()}.0")
    with redis.from_url(valkey) as client, tls(valkey, certificate, key) as url:
        client.set("k", "v")
        assert read(f"{url}?ssl_ca_path={folder}") == [b"v"]
