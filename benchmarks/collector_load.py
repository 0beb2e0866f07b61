"""Measure the collector: events a second of one worker on one core, against simpler servers.

Four servers take the same requests, one after another, each in a process of its own on one core: the collector,
a server that writes JSON lines to a file (uvicorn and Starlette too), and a loop that calls XADD without a server.

    python benchmarks/collector_load.py
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import redis

sys.path.append(str(Path(__file__).parents[1]))  # the tests' servers

from tests.support.servers import free_port
from tests.support.stores import valkey_of

CONNECTIONS = 16
SIZES = (1, 10, 50)

FILE_SERVER = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
file = open(sys.argv[2], "ab", buffering=0)
async def take(request):
    file.write(await request.body() + b"\\n")
    return Response(status_code=202)
async def ready(request):
    return Response()
app = Starlette(routes=[Route("/v1/events", take, methods=["POST"]), Route("/readyz", ready)])
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
"""


@contextmanager
def run(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process, and end it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_until_open(port: int) -> None:
    """Wait until somebody listens on a port."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nobody listens on port {port}")


def build_event(number: int) -> dict[str, object]:
    """Build an event as a page sends it."""
    return {
        "id": f"{os.getpid()}-{number}-{time.time_ns()}",
        "type": "view",
        "user": f"u{number % 10_000}",
        "item": f"i{number % 500}",
        "time": time.time(),
        "page": "/item/22423",
        "placement": "shelf-1",
    }


async def send_batches(port: int, size: int, end: float, seconds: list[float]) -> None:
    """Send batches over one connection until `end`, and add how long each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while time.perf_counter() < end:
        events = [build_event(number + place) for place in range(size)]
        number += size
        body = orjson.dumps({"events": events, "sent_at": time.time()})
        started = time.perf_counter()
        writer.write(
            b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"user-agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/131.0\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 202"), head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        seconds.append(time.perf_counter() - started)
    writer.close()


def measure_server(port: int, process_id: int, size: int, duration: float) -> dict[str, float]:
    """Send batches for some seconds, and measure events, times and the server's CPU."""

    async def send_all() -> None:
        end = time.perf_counter() + duration
        await asyncio.gather(*[send_batches(port, size, end, seconds) for _ in range(CONNECTIONS)])

    seconds: list[float] = []
    cpu_before = read_cpu_seconds(process_id)
    started = time.perf_counter()
    asyncio.run(send_all())
    elapsed = time.perf_counter() - started
    cpu = read_cpu_seconds(process_id) - cpu_before
    seconds.sort()
    events = len(seconds) * size
    return {
        "events/s": events / elapsed,
        "p50 ms": 1e3 * seconds[len(seconds) // 2],
        "p99 ms": 1e3 * seconds[int(0.99 * len(seconds))],
        "events per CPU second": events / cpu,
    }


def read_cpu_seconds(process_id: int) -> float:
    """Read how much CPU time a process has used."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_bare_loop(port: int, size: int, duration: float) -> dict[str, float]:
    """Call XADD for the same events without a server, `size` of them in a pipeline."""
    seconds = []
    cpu_before = time.process_time()
    started = time.perf_counter()
    with redis.Redis(port=port) as client:
        number = 0
        while time.perf_counter() - started < duration:
            entries = [orjson.dumps(build_event(number + place)) for place in range(size)]
            number += size
            batch_started = time.perf_counter()
            pipeline = client.pipeline(transaction=False)
            for entry in entries:
                pipeline.xadd("bare", {"e": entry})
            pipeline.execute()
            seconds.append(time.perf_counter() - batch_started)
    elapsed = time.perf_counter() - started
    seconds.sort()
    return {
        "events/s": number / elapsed,
        "p50 ms": 1e3 * seconds[len(seconds) // 2],
        "p99 ms": 1e3 * seconds[int(0.99 * len(seconds))],
        "events per CPU second": number / (time.process_time() - cpu_before),
    }


def show(name: str, size: int, figures: dict[str, float]) -> None:
    """Print a line of the table."""
    print(
        f"| {name} | {size} | {figures['events/s']:,.0f} | {figures['p50 ms']:.1f} | "
        f"{figures['p99 ms']:.1f} | {figures['events per CPU second']:,.0f} |",
        flush=True,
    )


def main() -> None:
    """Measure all servers, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    duration = parser.parse_args().seconds
    print("| server | events in a request | events/s | p50, ms | p99, ms | events per CPU second |")
    print("|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory(prefix="dawnlist-load-") as folder:
        home = Path(folder)
        port = free_port()
        settings = home / "settings.yaml"
        settings.write_text("collector: {events_per_second: 1e9, max_memory_share: 0.99}\n")
        with run(
            [sys.executable, "-c", FILE_SERVER, str(port), str(home / "events.jsonl")]
        ) as process:
            wait_until_open(port)
            for size in SIZES:
                show(
                    "JSON lines to a file", size, measure_server(port, process.pid, size, duration)
                )
        for durability in ("everysec", "always"):
            with valkey_of(home, "--appendonly", "yes", "--appendfsync", durability) as store_port:
                command = [sys.executable, "-m", "dawnlist.pipelines.cli", "collect", "--role=http"]
                command += [f"--redis=redis://127.0.0.1:{store_port}/0", f"--port={port}"]
                command += [f"--settings={settings}", f"--lake={home / 'lake'}"]
                with run(command) as process:
                    wait_until_open(port)
                    for size in SIZES:
                        figures = measure_server(port, process.pid, size, duration)
                        show(f"collector, {durability}", size, figures)
                for size in SIZES:
                    figures = measure_bare_loop(store_port, size, duration)
                    show(f"bare XADD loop, {durability}", size, figures)


if __name__ == "__main__":
    main()
