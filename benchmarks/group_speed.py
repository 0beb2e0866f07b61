"""Groups' lists beside the lean route, in alternating rounds of one run: one request at a time, and 16 connections.

python benchmarks/group_speed.py --items 100000
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from clicks import markdown
from predictor import measured, shop

sys.path.append(str(Path(__file__).parents[1]))  # the tests' servers

from dawnlist.cuts import parse_as_of
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.store import versions
from dawnlist.store.client import connect_store
from tests.support.servers import is_alive, running_predictor

DISTINCT_REQUESTS = 500
HEAD = "HTTP/1.1\r\nHost: localhost\r\n"


def build_group_requests(members: int, strategy: str, users: int) -> list[str]:
    """Build requests for groups that are drawn by chance."""
    random = np.random.default_rng(members)
    requests = []
    for _ in range(DISTINCT_REQUESTS):
        people = random.choice(users, members, replace=False)
        fields = {"users": [f"user-{user}" for user in people], "strategy": strategy, "num": 20}
        body = json.dumps(fields)
        requests.append(
            f"POST /v1/group {HEAD}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
    return requests


def list_requests(users: int) -> dict[str, list[str]]:
    """List the requests of each row."""
    random = np.random.default_rng(8)
    people = random.integers(0, users, DISTINCT_REQUESTS)
    rows = {
        "lean": [f"GET /v1/recommendations/user-{user} {HEAD}\r\n" for user in people],
        "lean, offset 40 (all items are ranked)": [
            f"GET /v1/recommendations/user-{user}?offset=40 {HEAD}\r\n" for user in people
        ],
    }
    for members in (2, 8, 200):
        for strategy in ("mean", "least_misery", "mix"):
            name = f"group of {members}, {strategy}"
            rows[name] = build_group_requests(members, strategy, users)
    return rows


def main() -> None:
    """Print a row for each kind of request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=100, help="in each round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(run_embedded_valkey(home / "valkey"))
        with connect_store(store) as client:
            moment = parse_as_of("2026-01-01T03:00:00Z")
            versions.publish_version(client, "shop", shop(given.users, given.items), "run", moment)
        running = stack.enter_context(running_predictor(store, "shop"))
        while not is_alive(f"{running.url}/v2/models/dawnlist/ready"):
            time.sleep(0.1)
        ways = {}
        for number, (name, requests) in enumerate(list_requests(given.users).items()):
            path = home / f"requests-{number}"
            path.write_text(json.dumps(requests))
            ways[name] = (running.url, running.process.pid, path)
        alone = measured(ways, given.requests, given.rounds, 1, warm_up=20)
        together = measured(ways, given.requests, given.rounds, 16, warm_up=20)
    rows = []
    for name, runs in alone.items():
        row = {"route": name}
        for key in ("p50", "p99"):
            row[f"{key} ms"] = f"{np.median([run[key] for run in runs]):.2f}"
        row["CPU ms"] = f"{np.median([run['cpu'] for run in runs]) / 1e3:.2f}"
        rate = np.median([run["requests"] / run["seconds"] for run in together[name]])
        row["requests/s, 16 connections"] = f"{rate:,.0f}"
        row["errors"] = str(sum(run["errors"] for run in (*runs, *together[name])))
        rows.append(row)
    markdown(rows)


if __name__ == "__main__":
    main()
