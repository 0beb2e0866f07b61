"""How long other requests wait while one asks for a thousand users with explanations.

    python benchmarks/large_requests.py --port 8080 --users users.txt --k 20

A predictor must run at the port. The file has a user's id in each line.
"""

import argparse
import http.client
import json
import threading
import time
from pathlib import Path

USERS = 1_000
REQUESTS = 8
PAUSE_SECONDS = 0.0005


class Prober:
    """Sends small requests one after another, and keeps the longest time that one took."""

    def __init__(self, port: int) -> None:
        self.longest_seconds = 0.0
        self._port = port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._probe)

    def start(self) -> None:
        """Begin to send requests."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more requests."""
        self._ended.set()
        self._thread.join()

    def _probe(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._port)
        while not self._ended.wait(PAUSE_SECONDS):
            began = time.perf_counter()
            client.request("GET", "/v2/health/live")
            client.getresponse().read()
            self.longest_seconds = max(self.longest_seconds, time.perf_counter() - began)


def send_large_request(port: int, body: bytes) -> int:
    """Send the request for all users, and return the bytes of its answer."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("POST", "/v1/models/dawnlist:predict", body)
    response = client.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"the predictor answers {response.status}: {answer[:200]!r}")
    return len(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--users", type=Path, required=True)
    parser.add_argument("--k", type=int, default=20)
    options = parser.parse_args()
    ids = options.users.read_text().split()
    ids = (ids * (USERS // len(ids) + 1))[:USERS]
    instances = [{"user_id": user, "k": options.k, "explain": True} for user in ids]
    body = json.dumps({"instances": instances}).encode()
    prober = Prober(options.port)
    prober.start()
    try:
        answer_bytes = send_large_request(options.port, body)
        for _ in range(REQUESTS):
            time.sleep(0.2)
            prober.longest_seconds = 0.0
            began = time.perf_counter()
            send_large_request(options.port, body)
            seconds = time.perf_counter() - began
            time.sleep(0.05)
            longest_ms = prober.longest_seconds * 1000
            print(f"{answer_bytes:,} bytes in {seconds:.2f} s, others waited {longest_ms:.0f} ms")
    finally:
        prober.stop()


if __name__ == "__main__":
    main()
