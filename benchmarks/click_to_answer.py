"""Measure how long a click takes to change the next answer, under load.

It needs the store of `make demo`, whose version has factors. The predictor, the collector, a worker and a firehose
run as a user would start them; 2,000 events a second of other people come meanwhile.

    python benchmarks/click_to_answer.py --home .dawnlist/demo
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson

sys.path.append(str(Path(__file__).parents[1]))  # the tests' servers

from tests.support.servers import free_port

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
BATCH = 10
CONNECTIONS = 4
ANSWER_SECONDS = 30.0


@contextlib.contextmanager
def run_server(name: str, ready: str, home: Path, *options: str) -> Iterator[str]:
    """Run a command of dawnlist that serves, and yield its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "dawnlist.pipelines.cli", name, f"--home={home}"]
    process = subprocess.Popen([*command, f"--port={port}", *options], stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(f"{url}{ready}")
        yield url
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(address: str) -> None:
    """Wait until an address answers with 200."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(address).status_code == 200:
                return
        time.sleep(0.2)
    raise TimeoutError(f"{address} is not ready")


async def send_steadily(url: str, rate: float, items: list[str], number: int) -> None:
    """Send batches of other people's events at a constant rate, for ever."""
    pause = CONNECTIONS * BATCH / rate
    next_time = time.perf_counter()
    async with httpx.AsyncClient(headers={"user-agent": BROWSER}, timeout=60) as client:
        while True:
            events = []
            for place in range(BATCH):
                user = f"other-{number}-{place}-{time.time_ns() % 10_000}"
                events.append({"type": "view", "user": user, "item": items[place % len(items)]})
            await client.post(f"{url}/v1/events", content=orjson.dumps({"events": events}))
            next_time += pause
            await asyncio.sleep(max(0.0, next_time - time.perf_counter()))


def send_load(url: str, rate: float, items: list[str]) -> None:
    """Send other people's events until the process is ended."""

    async def send_all() -> None:
        await asyncio.gather(
            *[send_steadily(url, rate, items, number) for number in range(CONNECTIONS)]
        )

    asyncio.run(send_all())


def measure_click(collector: str, predictor: httpx.Client, number: int) -> float:
    """Let a new visitor click, and return the seconds until the answer is another one."""
    visitor = f"visitor-{number}-{time.time_ns()}"
    path = f"/v1/recommendations/{visitor}"
    before = predictor.get(path).json()["items"]
    event = {"type": "view", "user": visitor, "item": before[number % len(before)]["item_id"]}
    started = time.perf_counter()
    httpx.post(f"{collector}/v1/events", json={"events": [event]}, headers={"user-agent": BROWSER})
    while predictor.get(path).json()["items"] == before:
        if time.perf_counter() - started > ANSWER_SECONDS:
            raise TimeoutError("a click changed no answer")
        time.sleep(0.002)
    return time.perf_counter() - started


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, default=Path(".dawnlist/demo"))
    parser.add_argument("--clicks", type=int, default=200)
    parser.add_argument("--rate", type=float, default=2000.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dawnlist-click-") as folder:
        home = Path(folder) / "home"
        shutil.copytree(arguments.home, home)
        predictor = run_server("serve", "/v2/models/dawnlist/ready", home, "--log-answers")
        collector = run_server("collect", "/readyz", home)
        with predictor as predictor_url, collector as collector_url:
            report(predictor_url, collector_url, arguments.clicks, arguments.rate)


def report(predictor_url: str, collector_url: str, clicks: int, rate: float) -> None:
    """Click under load, and print how long answers took to change."""
    with httpx.Client(base_url=predictor_url, timeout=60) as predictor:
        popular = predictor.get("/v1/recommendations/nobody").json()["items"]
        items = [item["item_id"] for item in popular]
        load = multiprocessing.Process(
            target=send_load, args=(collector_url, rate, items), daemon=True
        )
        load.start()
        try:
            time.sleep(2)
            seconds = sorted(measure_click(collector_url, predictor, n) for n in range(clicks))
        finally:
            load.terminate()
            load.join()
    metrics = httpx.get(f"{collector_url}/metrics").text
    taken = [line for line in metrics.splitlines() if "events_total" in line and '"ok"' in line]
    print(f"clicks: {clicks}, events taken: {taken[0].rpartition(' ')[2]}")
    median, slow = seconds[clicks // 2], seconds[int(0.99 * clicks)]
    print(f"click to changed answer: p50 {1e3 * median:.0f} ms, p99 {1e3 * slow:.0f} ms")


if __name__ == "__main__":
    main()
