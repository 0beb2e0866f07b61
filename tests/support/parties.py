"""A party server in a process of its own."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import httpx

from tests.support.chromium import wait_until


@contextlib.contextmanager
def party_server() -> Iterator[str]:
    """Run a server, and give its address."""
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "tests.support.small_party", str(port)])
    address = f"http://127.0.0.1:{port}"

    def up() -> bool:
        try:
            return httpx.get(address).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_until(up)
        yield address
    finally:
        process.terminate()
        process.wait()
