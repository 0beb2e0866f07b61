"""A load generator in a process of its own: raw sockets, keep-alive, one request after another on each connection.

    python benchmarks/http_load.py 127.0.0.1 8080 requests.json --connections 16 --requests 100000

requests.json is a list of whole HTTP requests as text (latin-1), sent in turn. Prints one JSON object: seconds,
requests, errors (no 200, a broken connection), statuses, p50, p99, p999 and max in milliseconds; lists_p50 and
lists_p99 are of those alone that were answered from stored lists.
"""

import argparse
import asyncio
import json
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

LIST = b'"tier":"list"'


class Load:
    """What all connections share: the requests, how many are still to be sent, and what came back."""

    def __init__(self, requests: Sequence[bytes], total: int) -> None:
        self.requests, self.total, self.sent = requests, total, 0
        self.nanoseconds, self.of_lists = array("q"), array("q")
        self.statuses: Counter[str] = Counter()
        self.open, self.finished = 0, asyncio.get_running_loop().create_future()

    def next(self) -> bytes | None:
        """The next request, or None when all have been sent."""
        if self.sent >= self.total:
            return None
        self.sent += 1
        return self.requests[self.sent % len(self.requests)]

    def closed(self) -> None:
        self.open -= 1
        if not self.open and not self.finished.done():
            self.finished.set_result(None)


class Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, sends the next."""

    def __init__(self, load: Load) -> None:
        self._load, self._buffer, self._wanted, self._began = load, b"", 0, 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._load.open += 1
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._wanted:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self._wanted = end + 4 + length
        if len(self._buffer) >= self._wanted:
            took = time.perf_counter_ns() - self._began
            self._load.nanoseconds.append(took)
            if LIST in self._buffer:
                self._load.of_lists.append(took)
            self._load.statuses[self._buffer[9:12].decode()] += 1
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._began:
            self._load.statuses["broken"] += 1
        self._load.closed()

    def _send(self) -> None:
        request = self._load.next()
        self._buffer, self._wanted = b"", 0
        self._began = time.perf_counter_ns() if request else 0
        if request:
            self._transport.write(request)
        else:
            self._transport.close()


async def run(
    host: str, port: int, requests: Sequence[bytes], total: int, connections: int
) -> dict[str, Any]:
    """Send `total` requests over `connections`; what the module's docstring says is printed."""
    load = Load(requests, total)
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    for _ in range(min(connections, total)):
        await loop.create_connection(lambda: Connection(load), host, port)
    await load.finished
    seconds = time.perf_counter() - began
    times = np.frombuffer(load.nanoseconds, dtype=np.int64) / 1e6
    p50, p99, p999 = np.percentile(times, [50, 99, 99.9]) if len(times) else (0.0, 0.0, 0.0)
    lists = np.frombuffer(load.of_lists, dtype=np.int64) / 1e6
    lists_p50, lists_p99 = np.percentile(lists, [50, 99]) if len(lists) else (0.0, 0.0)
    return {
        "seconds": seconds,
        "requests": load.sent,
        "errors": load.sent - load.statuses["200"],
        "statuses": dict(load.statuses),
        "p50": float(p50),
        "p99": float(p99),
        "p999": float(p999),
        "lists_p50": float(lists_p50),
        "lists_p99": float(lists_p99),
        "max": float(times.max(initial=0.0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--requests", type=int, default=100_000)
    given = parser.parse_args()
    requests = [text.encode("latin-1") for text in json.loads(given.file.read_text())]
    print(
        json.dumps(
            uvloop.run(run(given.host, given.port, requests, given.requests, given.connections))
        )
    )


if __name__ == "__main__":
    main()
