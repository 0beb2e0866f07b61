"""The predictor against kserve's own no-op predictor and a bare Starlette GET, in alternating rounds of one run.

python benchmarks/predictor.py                      (needs the extra local)
python benchmarks/predictor.py --requests 1000000 --rounds 1 --only lean     the million

One worker each; a load generator in a process of its own (benchmarks/http_load.py) with 16 connections; users drawn
from those published. "fold-ins" is the lean route where one in ten requests is of a user with a recorded click.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pyarrow as pa
from clicks import markdown
from scipy.sparse import csr_matrix

from dawnlist.cuts import parse_as_of
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.model.user_items import UserItems
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store import recent, versions
from dawnlist.store.client import connect_store
from dawnlist.store.toplists import TopLists

LOAD = Path(__file__).with_name("http_load.py")
K, FACTORS, HISTORY = 20, 64, 30
CLICKED = 10  # one user in so many has a recorded event

NO_OP = """
import sys, kserve

class NoOp(kserve.Model):
    def __init__(self):
        super().__init__("dawnlist")
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        return {"predictions": [1] * len(payload["instances"])}

kserve.ModelServer(http_port=int(sys.argv[1]), enable_grpc=False).start([NoOp()])
"""

STARLETTE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

body = sys.argv[2].encode()

async def get(request):
    return Response(body, media_type="application/json")

app = Starlette(routes=[Route("/", get), Route("/v1/recommendations/{user}", get)])
uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", log_level="warning", access_log=False)
"""


def shop(users: int, items: int) -> TopLists:
    """Random lists, vectors and histories."""
    random = np.random.default_rng(7)
    index = random.integers(0, items, (users, K), dtype=np.uint32)
    counts = np.full(users, HISTORY)
    pattern = random.integers(0, items, users * HISTORY)
    weights = random.random(users * HISTORY).astype(np.float32) + 1
    matrix = csr_matrix(
        (weights, pattern, np.concatenate([[0], np.cumsum(counts)])), shape=(users, items)
    )
    matrix.sum_duplicates()
    titles = [f"The title of item number {i}" for i in range(items)]
    ids = [f"item-{i}" for i in range(items)]
    return TopLists(
        user_ids=np.array([f"user-{i}" for i in range(users)], dtype=object),
        item_index=index,
        score=np.sort(random.random((users, K)).astype(np.float32))[:, ::-1],
        lengths=np.full(users, K),
        catalogue=pa.table([ids, titles, [["Drama"]] * items], schema=CATALOGUE_SCHEMA),
        popular_index=np.arange(100, dtype=np.uint32),
        popular_score=np.linspace(100, 1, 100).astype(np.float32),
        segments={},
        vectors=random.normal(0, 0.3, (users, FACTORS)).astype(np.float32),
        item_factors=random.normal(0, 0.3, (items, FACTORS)).astype(np.float32),
        item_bias=np.zeros(items, dtype=np.float32),
        item_content=np.zeros((items, 0), dtype=np.float32),
        histories=UserItems(matrix, random.random(matrix.nnz).astype(np.float32) * 30),
        meta={
            "k": K,
            "winner": "challenger",
            "model": "random",
            "metrics": {},
            "event_weights": {"view": 1.0},
            "config": {
                "engine": "ials", "factors": FACTORS, "alpha": 1.0, "alpha0": 0.1, "nu": 1.0, "half_life": 30.0,
                "regularization": 0.01, "popularity_share": 0.0, "ridge_scale": 0.01,
            },
        },
    )  # fmt: skip


def get(user: int) -> str:
    return f"GET /v1/recommendations/user-{user} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(user: int) -> str:
    body = f'{{"instances": [{{"user_id": "user-{user}"}}]}}'
    head = f"POST /v1/models/dawnlist:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n{body}"


@contextlib.contextmanager
def process(command: list[str], url: str) -> Iterator[int]:
    """A server's pid, once it is ready."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ready(url):
            assert child.poll() is None, command
            time.sleep(0.1)
        yield child.pid
    finally:
        child.terminate()
        child.wait(20)


def ready(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(url: str, file: Path, requests: int, connections: int) -> dict[str, Any]:
    host, port = urlsplit(url).hostname, urlsplit(url).port
    command = [sys.executable, str(LOAD), str(host), str(port), str(file)]
    options = ["--requests", str(requests), "--connections", str(connections)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(
    ways: Mapping[str, tuple[str, int, Path]],
    requests: int,
    rounds: int,
    connections: int,
    warm_up: int = 2_000,
) -> dict[str, list[dict[str, Any]]]:
    """Each way's rounds; a way is its URL, its server's pid and its requests. Alternating, after one to warm up."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for url, _, file in ways.values():
        load(url, file, warm_up, connections)
    for _ in range(rounds):
        for name, (url, pid, file) in ways.items():
            before = cpu_seconds(pid)
            run = load(url, file, requests, connections)
            runs[name].append({**run, "cpu": (cpu_seconds(pid) - before) / requests * 1e6})
    return runs


def rows(runs: Mapping[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """A line for each way: medians over its rounds, errors in sum, and its requests/s in those of its yardstick."""
    rate = {
        name: np.median([run["requests"] / run["seconds"] for run in found])
        for name, found in runs.items()
    }
    for name, found in runs.items():
        yardstick = "kserve no-op, V1" if name.endswith("V1") else "bare Starlette GET"
        wanted = ("p50", "p99", "p999", "lists_p99", "cpu")
        middle = {key: float(np.median([run[key] for run in found])) for key in wanted}
        yield {
            "server": name,
            "requests/s": f"{rate[name]:,.0f}",
            "ratio": f"{rate[name] / rate[yardstick]:.2f} x" if yardstick in rate else "",
            "p50 ms": f"{middle['p50']:.2f}",
            "p99 ms": f"{middle['p99']:.2f}",
            "p99.9 ms": f"{middle['p999']:.2f}",
            "p99 of lists": f"{middle['lists_p99']:.2f}" if middle["lists_p99"] else "",
            "CPU us a request": f"{middle['cpu']:.0f}",
            "requests": sum(run["requests"] for run in found),
            "errors": sum(run["errors"] for run in found),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=40_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--only", help="one way: noop, starlette, v1, lean or fold_ins")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(run_embedded_valkey(home / "valkey"))
        with connect_store(redis) as client:
            versions.publish_version(
                client,
                "shop",
                shop(given.users, given.items),
                "run",
                parse_as_of("2026-01-01T03:00:00Z"),
            )
        ways = started(stack, home, redis, given.users)
        if given.only:
            names = list(ways)
            chosen = names[["noop", "starlette", "v1", "lean", "fold_ins"].index(given.only)]
            ways = {chosen: ways[chosen]}
        runs = measured(ways, given.requests, given.rounds, given.connections)
    markdown(list(rows(runs)))


def started(
    stack: contextlib.ExitStack, home: Path, redis: str, users: int
) -> dict[str, tuple[str, int, Path]]:
    """All servers, and what each is sent."""
    ports = iter(range(18_080, 18_090))
    drawn = np.random.default_rng(8).integers(0, users, 20_000).tolist()
    clicked = [user for user in drawn if user % CLICKED == 0]
    plain = [user for user in drawn if user % CLICKED]
    mixed = [
        clicked[i // CLICKED % len(clicked)] if i % CLICKED == 0 else plain[i % len(plain)]
        for i in range(20_000)
    ]
    with connect_store(redis) as client:
        for user in set(clicked):
            recent.record_event(
                client, "shop", f"user-{user}", f"item-{user % 100}", "view", time.time()
            )

    def requests(name: str, texts: list[str]) -> Path:
        (home / name).write_text(json.dumps(texts))
        return home / name

    port = next(ports)
    ours = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "dawnlist.pipelines.cli",
        "serve",
        "--redis",
        redis,
        "--namespace",
        "shop",
        "--port",
        str(port),
    ]
    pid = stack.enter_context(process(command, f"{ours}/v2/models/dawnlist/ready"))
    sample = httpx.get(f"{ours}/v1/recommendations/user-{plain[0]}").text
    noop, bare = (f"http://127.0.0.1:{port}" for port in (next(ports), next(ports)))
    noop_pid = stack.enter_context(
        process([sys.executable, "-c", NO_OP, noop.rsplit(":", 1)[1]], noop)
    )
    bare_pid = stack.enter_context(
        process([sys.executable, "-c", STARLETTE, bare.rsplit(":", 1)[1], sample], bare)
    )
    gets, posts = (
        requests("gets", [get(user) for user in plain]),
        requests("posts", [post(user) for user in plain]),
    )
    return {
        "kserve no-op, V1": (noop, noop_pid, posts),
        "bare Starlette GET": (bare, bare_pid, gets),
        "Dawnlist V1": (ours, pid, posts),
        "Dawnlist lean": (ours, pid, gets),
        "Dawnlist lean, 10% fold-ins": (
            ours,
            pid,
            requests("mixed", [get(user) for user in mixed]),
        ),
    }


if __name__ == "__main__":
    main()
