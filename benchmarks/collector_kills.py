"""Kill the collector, its workers, its firehose and its store at random moments under load.

At the end every acknowledged event must be in the lake exactly once, and nothing else:

    python benchmarks/collector_kills.py --kills 200 --durability always

With everysec a store that is killed while it waits for the disk loses what it has answered to meanwhile, up to two
seconds: it writes to its file only when the wait is over (flushAppendOnlyFile of Valkey and Redis). Such events are
counted apart.
"""

import argparse
import contextlib
import http.client
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

sys.path.append(str(Path(__file__).parents[1]))  # the tests' servers

from dawnlist.events.stream_keys import EventKeys
from dawnlist.lake.lake import Lake
from dawnlist.machine.embedded_valkey import find_server_binary
from tests.support.servers import free_port

NAMESPACE = "shop"
SENDERS = 4
BATCH = 10
START_SECONDS = 60.0
DRAIN_SECONDS = 300.0
POSTPONED_SECONDS = 2.0
"""How long a store with everysec may hold back what it has answered to."""


class Parts:
    """The processes, each with the command that starts it."""

    def __init__(self, home: Path, options: list[str]) -> None:
        self.store_port, self.http_port = free_port(), free_port()
        url = f"redis://127.0.0.1:{self.store_port}/0"
        store = [str(find_server_binary()), "--port", str(self.store_port), "--appendonly", "yes"]
        store += ["--save", "", "--dir", str(home), "--bind", "127.0.0.1", *options]
        collect = [sys.executable, "-m", "dawnlist.pipelines.cli", "collect", f"--redis={url}"]
        collect += [f"--namespace={NAMESPACE}", f"--lake={home / 'lake'}", f"--home={home}"]
        self.commands = {
            "store": store,
            "collector": [*collect, "--role=http", f"--port={self.http_port}"],
            "worker 1": [*collect, "--role=worker"],
            "worker 2": [*collect, "--role=worker"],
            "firehose": [*collect, "--role=firehose", "--land-seconds=2"],
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.log = (home / "parts.log").open("ab")

    def start(self, name: str) -> None:
        """Start a process. One whose store is away ends, and is started again by `keep_running`."""
        self.processes[name] = subprocess.Popen(
            self.commands[name], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL
        )

    def keep_running(self) -> None:
        """Start again whatever has ended."""
        for name in self.commands:
            process = self.processes.get(name)
            if process is None or process.poll() is not None:
                self.start(name)

    def kill(self, name: str) -> None:
        """End a process at once, as a lack of memory or a lost node would."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def stop(self) -> None:
        """End all processes, the store last."""
        for name in reversed(list(self.commands)):
            process = self.processes[name]
            process.terminate()
            process.wait()
        self.log.close()


class Sender(threading.Thread):
    """Sends batches until it is told to stop, each again until all its events are acknowledged."""

    def __init__(self, number: int, port: int, stop: threading.Event) -> None:
        super().__init__()
        self.sent: set[str] = set()
        self.acknowledged: dict[str, float] = {}
        self.refusals = 0
        self._number = number
        self._url = f"http://127.0.0.1:{port}/v1/events"
        self._stop_event = stop

    def run(self) -> None:
        """See threading.Thread."""
        batch = 0
        while not self._stop_event.is_set():
            batch += 1
            events = []
            for position in range(BATCH):
                event_id = f"{self._number}-{batch}-{position}"
                events.append(
                    {"id": event_id, "type": "view", "user": f"u{position}", "item": "i1"}
                )
            self.sent.update(event["id"] for event in events)
            while events:
                events = self._send(events)

    def _send(self, events: list[dict[str, str]]) -> list[dict[str, str]]:
        """Send events once, and return those that are to be sent again."""
        body = json.dumps({"events": events}).encode()
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self._url, body), timeout=30
            ) as answer:
                answers = json.load(answer)["events"]
        except urllib.error.HTTPError as error:
            assert error.code in (429, 503), (error.code, error.read())
            error.close()
            answers = [{"status": "retry"}] * len(events)
        except (OSError, http.client.HTTPException):
            answers = [{"status": "retry"}] * len(events)
        again = []
        for event, one_answer in zip(events, answers, strict=True):
            if one_answer["status"] == "retry":
                self.refusals += 1
                again.append(event)
            else:
                assert one_answer["status"] in ("ok", "duplicate"), one_answer
                self.acknowledged[event["id"]] = time.monotonic()
        if again:
            time.sleep(0.05)
        return again


@contextlib.contextmanager
def run_parts(home: Path, options: list[str]) -> Iterator[Parts]:
    """Start all processes, wait until the collector is ready, and stop them at the end."""
    parts = Parts(home, options)
    parts.start("store")
    wait_for(lambda: ping(parts.store_port), START_SECONDS)
    parts.keep_running()
    wait_for(lambda: is_ready(parts.http_port), START_SECONDS)
    try:
        yield parts
    finally:
        parts.keep_running()
        parts.stop()


def ping(port: int) -> bool:
    """Say whether the store answers."""
    with redis.Redis(port=port) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def is_ready(port: int) -> bool:
    """Say whether the collector takes events."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def wait_for(condition: Any, seconds: float) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it takes too long")
        time.sleep(0.1)


def is_drained(parts: Parts) -> bool:
    """Say whether every event has come to the lake."""
    parts.keep_running()
    keys = EventKeys(NAMESPACE)
    with redis.Redis(port=parts.store_port) as client:
        try:
            groups = client.xinfo_groups(keys.accepted)
            is_open = any(group["pending"] or group.get("lag") for group in groups)
            return not is_open and not client.xlen(keys.enriched)
        except redis.RedisError:
            return False


def main() -> None:
    """Run the proof and print what it found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--durability", choices=["everysec", "always"], default="everysec")
    arguments = parser.parse_args()
    choose = random.Random(arguments.seed)
    options = ["--appendfsync", arguments.durability]
    with tempfile.TemporaryDirectory(prefix="dawnlist-kills-") as folder:
        home = Path(folder)
        stop = threading.Event()
        kills: Counter[str] = Counter()
        with run_parts(home, options) as parts:
            senders = [Sender(number, parts.http_port, stop) for number in range(SENDERS)]
            for sender in senders:
                sender.start()
            started = time.monotonic()
            store_kills = []
            for _ in range(arguments.kills):
                time.sleep(choose.uniform(0.1, 1.5))
                name = choose.choice(list(parts.commands))
                if parts.processes[name].poll() is None:
                    parts.kill(name)
                    kills[name] += 1
                    if name == "store":
                        store_kills.append(time.monotonic())
                parts.keep_running()
            wait_for(lambda: _keep_ready(parts), START_SECONDS)
            stop.set()
            for sender in senders:
                sender.join()
            seconds = time.monotonic() - started
            wait_for(lambda: is_drained(parts), DRAIN_SECONDS)
        lost_times = report(home, senders, kills, seconds)
        bound = POSTPONED_SECONDS * (arguments.durability == "everysec")
        judge_losses(lost_times, store_kills, bound)


def _keep_ready(parts: Parts) -> bool:
    parts.keep_running()
    return is_ready(parts.http_port)


def report(
    home: Path, senders: list[Sender], kills: Counter[str], seconds: float
) -> dict[str, float]:
    """Compare what was acknowledged with what is in the lake, and print it.

    Fails if an event is twice in the lake, or was never sent.

    Returns:
        The events that were acknowledged and are not in the lake, and when they were acknowledged.
    """
    acknowledged: dict[str, float] = {}
    sent: set[str] = set()
    for sender in senders:
        acknowledged.update(sender.acknowledged)
        sent |= sender.sent
    refusals = sum(sender.refusals for sender in senders)
    rows = Lake.open(str(home / "lake"), NAMESPACE).rows("events")
    assert rows is not None
    landed = Counter(rows.to_table(["event_id"])["event_id"].to_pylist())
    lost = acknowledged.keys() - landed.keys()
    doubled = [event_id for event_id, number in landed.items() if number > 1]
    invented = landed.keys() - sent
    print(f"kills: {sum(kills.values())} in {seconds:.0f} s: {dict(sorted(kills.items()))}")
    print(f"acknowledged: {len(acknowledged):,}, told to send again: {refusals:,}")
    print(f"lost: {len(lost)}, twice in the lake: {len(doubled)}, invented: {len(invented)}")
    if doubled or invented:
        sys.exit(f"e.g. {doubled[:3]} {sorted(invented)[:3]}")
    return {event_id: acknowledged[event_id] for event_id in lost}


def judge_losses(lost_times: dict[str, float], store_kills: list[float], bound: float) -> None:
    """Fail if an event was lost that was acknowledged longer than `bound` seconds before each kill of the store."""
    unexplained = []
    for event_id, acknowledged in lost_times.items():
        if not any(0.0 <= killed - acknowledged <= bound for killed in store_kills):
            unexplained.append(event_id)
    print(f"lost otherwise than by a store that waited for its disk: {len(unexplained)}")
    if unexplained:
        sys.exit(f"e.g. {sorted(unexplained)[:3]}")


if __name__ == "__main__":
    main()
