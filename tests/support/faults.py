"""A shop whose versions can be told apart, and whose store, predictor and publishers can be killed at any time."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pyarrow as pa
import redis
from scipy.sparse import csr_matrix

from dawnlist.cuts import parse_as_of
from dawnlist.machine.embedded_valkey import find_server_binary
from dawnlist.model.user_items import UserItems
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store import builds, versions
from dawnlist.store import content as store_content
from dawnlist.store.client import connect_store
from dawnlist.store.control_values import read_active_meta
from dawnlist.store.layout import StoreKeys
from dawnlist.store.toplists import TopLists
from dawnlist.store.version_reports import VersionReport
from tests.support.load import ITEMS, USERS, K, as_of, number, popular, ranking
from tests.support.published import CONFIG
from tests.support.servers import free_port, is_alive, listens
from tests.support.threads import meanwhile
from tests.support.top_lists import bare

FACTORS: Final = 4
SERVE: Final = """
import sys
from pathlib import Path
from dawnlist.serving.predictor.server import run_predictor
run_predictor(sys.argv[1], "shop", int(sys.argv[2]), static=Path(sys.argv[3]))
"""


def lists(n: int) -> TopLists:
    """Version n of the shop that tests/support/load.py knows: also the order of its items is its own."""
    order = [(item - 7 * n) % ITEMS for item in range(ITEMS)]  # row -> item
    row = np.argsort(order)
    ids = [f"i{item}" for item in order]
    wanted = np.array([ranking(n, user)[:K] for user in range(USERS)])
    met = np.array([ranking(n, user)[K : K + 2] for user in range(USERS)])
    scores = 10 * n + 3 - 0.3 * np.arange(K, dtype=np.float32)
    rng = np.random.default_rng(n)
    histories = csr_matrix(
        (
            np.ones(2 * USERS, np.float32),
            np.sort(row[met], axis=1).ravel(),
            2 * np.arange(USERS + 1),
        ),
        (USERS, ITEMS),
    )
    return bare(
        user_ids=np.array([f"u{user}" for user in range(USERS)], dtype=object),
        item_index=row[wanted].astype(np.uint32),
        score=np.tile(scores, (USERS, 1)),
        lengths=np.full(USERS, K),
        catalogue=pa.table(
            [ids, [f"{n}:{item_id}" for item_id in ids], [["Drama"]] * ITEMS],
            schema=CATALOGUE_SCHEMA,
        ),
        popular_index=row[popular(n)[: 2 * K]].astype(np.uint32),
        popular_score=np.full(2 * K, 10.0 * n, dtype=np.float32),
        vectors=rng.normal(0, 0.1, (USERS, FACTORS)).astype(np.float32),
        item_factors=rng.normal(0, 0.1, (ITEMS, FACTORS)).astype(np.float32),
        item_bias=np.full(ITEMS, 10.0 * n, dtype=np.float32),
        histories=UserItems(histories, np.ones(2 * USERS, np.float32)),
        meta={
            "k": K,
            "winner": "challenger",
            "config": {**CONFIG, "factors": FACTORS},
            "event_weights": {"view": 1.0},
        },
        digest=f"digest-{n}",
    )


def publish(
    url: str,
    n: int,
    run: str = "",
    keep: int = 3,
    before: Callable[[str], object] = lambda token: None,
) -> dict[str, Any]:
    """`before` is called with the token just before the switch."""

    def announce(report: VersionReport) -> None:
        before(report.token)

    with connect_store(url) as client:
        report = versions.publish_version(
            client, "shop", lists(n), run or f"run-{n}", parse_as_of(as_of(n)), keep, announce
        )
    return report.as_dict()


@dataclass
class Server:
    """A process at one port, that can be ended and started again."""

    home: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def send(self, number: signal.Signals) -> "subprocess.Popen[bytes]":
        """A signal to the process, which is returned."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process

    def end(self, number: signal.Signals) -> int:
        """Its status after a signal."""
        return self.send(number).wait(60)


@dataclass
class Store(Server):
    """A Valkey: killed, paused, and started again with its data or without."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        """With the data that it had."""
        given = [
            "--port",
            str(self.port),
            "--save",
            "",
            "--appendonly",
            "yes",
            "--dir",
            str(self.home),
            *options,
        ]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            [str(find_server_binary()), *given, "--enable-debug-command", "yes"],
            stdout=quiet,
            stderr=quiet,
        )
        wait(lambda: listens(self.port))

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def empty(self) -> None:
        """Kill it and start it without data."""
        self.kill()
        for file in sorted(self.home.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        self.start()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    @contextlib.contextmanager
    def busy(self, seconds: float) -> Iterator[None]:
        """Somebody's commands keep it for so long, one after another."""
        with (
            redis.from_url(self.url) as client,
            meanwhile(lambda: client.execute_command("DEBUG", "SLEEP", str(seconds))),
        ):
            yield


@dataclass
class Serving(Server):
    """A predictor of a store."""

    store_url: str = field(kw_only=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self) -> None:
        """Start it without waiting for it."""
        file = self.home / "static.json"
        file.write_text(json.dumps({"as_of": as_of(0), "items": [{"item_id": "static"}]}))
        command = [sys.executable, "-c", SERVE, self.store_url, str(self.port), str(file)]
        with (self.home / "predictor.log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log)

    def awaited(self) -> None:
        """Until it answers."""
        wait(self._answers, 180)

    def _answers(self) -> bool:
        assert self.is_up, "the predictor has ended: see predictor.log"
        return is_alive(f"{self.url}/")

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Shop:
    """A store and a predictor that follows it; versions are numbered on, whatever becomes of the store."""

    store: Store
    predictor: Serving
    publisher: "subprocess.Popen[str]"
    n: int = 0

    @property
    def url(self) -> str:
        return self.predictor.url

    def publish(self, before: Callable[[str], object] = lambda token: None) -> int:
        """The next version, of another run."""
        self.n += 1
        assert publish(self.store.url, self.n, before=before)["published"]
        return self.n

    def meta(self) -> dict[str, Any]:
        """Of the active version."""
        with connect_store(self.store.url) as client:
            return read_active_meta(client, StoreKeys("shop")) or {}

    def rollback(self) -> int:
        """The version that is live again; the next publish is not held."""
        with connect_store(self.store.url) as client:
            found = versions.roll_back_version(client, "shop")
            versions.release_hold(client, "shop")
        return number(found.as_of)

    def killed_publish(self, n: int, run: str, point: str) -> None:
        """Publish in a process that is killed at a point of `fatal`, or after so many seconds."""
        assert self.publisher.stdin and self.publisher.stdout
        self.publisher.stdin.write(f"{self.store.url} {n} {run} {point}\n")
        self.publisher.stdin.flush()
        assert int(self.publisher.stdout.readline()) in (-signal.SIGKILL, 0)

    def renew(self) -> None:
        """Two versions in a store that had none, the second one live and served."""
        if not self.predictor.is_up:
            self.predictor.begin()
            self.predictor.awaited()
        with connect_store(self.store.url) as client:
            client.flushall()
        self.publish()
        reaches(self.url, self.publish())


@contextlib.contextmanager
def opened_shop(home: Path) -> Iterator[Shop]:
    """A shop whose processes end with the block."""
    found = Store(home / "store")
    found.home.mkdir()
    found.start()
    predictor = Serving(home, store_url=found.url)
    predictor.begin()
    command = [sys.executable, "-m", "tests.support.faults"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as publisher:
        try:
            predictor.awaited()
            yield Shop(found, predictor, publisher)
        finally:
            predictor.end(signal.SIGKILL)
            found.kill()
            assert publisher.stdin
            publisher.stdin.close()


@dataclass
class Report:
    """What tests/support/load.py saw, once it has stopped."""

    found: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.found[name]

    def passed(self, what: str, *excused: str) -> None:
        """Print the counts, and no error but those."""
        print(f"\n{what}: {told(self.found)}")
        assert not self.found["errors"].keys() - set(excused), self.found["examples"]
        assert self.found["requests"] > 50


def told(found: dict[str, Any]) -> str:
    """A line of counts and times."""
    errors, tiers = (
        ", ".join(f"{n:,} {name}" for name, n in found[what].items())
        for what in ("errors", "tiers")
    )
    return (
        f"{found['requests']:,} requests in {found['seconds']} s, p50 {found['p50']} ms, p99 {found['p99']} ms, at "
        f"most {found['max']} ms; {found['answers']:,} answers ({tiers}); errors: {errors or 'none'}"
    )


@contextlib.contextmanager
def hammered(url: str, connections: int = 16) -> Iterator[Report]:
    """Clients ask during the block."""
    command = [sys.executable, "-m", "tests.support.load", url, str(connections)]
    report = Report()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout and process.stdout.readline() == "asking\n"
            yield report
        finally:
            out, _ = process.communicate(timeout=60)
        report.found.update(json.loads(out))


def flip(client: Any, key: str) -> None:
    """Change one bit of a value."""
    value = bytearray(client.get(key))
    value[len(value) // 2] ^= 1
    client.set(key, bytes(value))


def wait(reached: Callable[[], bool], seconds: float = 60) -> float:
    """Until it is; seconds that this took."""
    began = time.monotonic()
    while not reached():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def answer(url: str, user: str = "u0") -> dict[str, Any]:
    found: dict[str, Any] = (
        httpx.get(f"{url}/v1/recommendations/{user}", verify=False).raise_for_status().json()
    )
    return found


def ready(url: str) -> bool:
    return httpx.get(f"{url}/v2/health/ready", verify=False).status_code == 200


def served(url: str) -> int:
    """n of the version that answers; 0 for the static file."""
    found = answer(url)
    return 0 if found["tier"] == "static" else number(found["as_of"])


def reaches(url: str, n: int) -> float:
    """Wait until version n answers, with its lists; how long that took. Where n is live it is no one-time look, since a
    busy machine may be late for the 50 ms that a read has.
    """
    return wait(lambda: (found := answer(url))["tier"] == "list" and number(found["as_of"]) == n)


def resident(pid: int) -> int:
    """A process's memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def fatal(point: str) -> None:
    """Let this process die in the middle of a publish."""

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    store_content.BUCKETS_PER_BATCH = 5  # type: ignore[misc]
    steps: dict[str, tuple[Any, str]] = {
        "begun": (store_content, "write_content"),
        "writing": (builds, "checkpoint_build"),
        "written": (store_content, "verify_content"),
        "verified": (versions, "_switch_version"),
        "switched": (builds, "drop_old_versions"),
        "dropping": (store_content, "delete_content"),
    }
    if point in steps:
        setattr(*steps[point], die)


def main() -> None:
    """Publish as each line of the input says, in a process of its own, and tell how that ended."""
    content = store_content.VersionContent.from_lists(lists(1), "shop")
    list(content.buckets(StoreKeys("shop"), "1-0", range(1)))  # what is compiled is loaded once
    for line in sys.stdin:
        url, n, run, point = line.split()
        child = os.fork()
        if not child:
            fatal(point)
            publish(url, int(n), run, keep=1)
            os._exit(0)
        if point[0].isdigit():
            time.sleep(float(point))
            os.kill(child, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
