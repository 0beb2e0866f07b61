"""A party server in a process of its own."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import httpx

from tests.support.chromium import wait_until
from tests.support.servers import free_port

RUN = """
import sys
from dawnlist.serving.watchparty.server import PartyPlaces, run_party
from dawnlist.settings import PartySettings
run_party(PartyPlaces(sys.argv[1]), "party-page", PartySettings(), "127.0.0.1", int(sys.argv[2]))
"""


@contextlib.contextmanager
def party_server(redis_url: str) -> Iterator[str]:
    """Run a server on this store, and give its address."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", RUN, redis_url, str(port)])
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_ready(process, address))
        yield address
    finally:
        process.terminate()
        process.wait()


def is_ready(process: "subprocess.Popen[bytes]", address: str) -> bool:
    """Whether a server answers."""
    assert process.poll() is None, "the server has ended"
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.HTTPError:
        return False
