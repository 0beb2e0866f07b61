"""Real servers that tests start and stop."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx

SERVE = "import sys; from serving.predictor.server import serve; serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))"


@contextlib.contextmanager
def predictor(redis_url: str, namespace: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVE, redis_url, namespace, str(port)], stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    noise = threading.Thread(target=lambda: process.stderr and process.stderr.read())
    noise.start()
    try:
        deadline = time.monotonic() + 60
        while not is_alive(url):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        assert process.wait(20) in (0, -signal.SIGTERM)
        noise.join()
        if process.stderr:
            process.stderr.close()


def is_alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/").status_code == 200
    except httpx.TransportError:
        return False
