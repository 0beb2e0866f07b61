"""The lean route with and without a filter, in alternating rounds of one run, and the time to refuse a wrong filter.

    python benchmarks/filters.py --items 100000

The filters leave 50%, 1% and 0.1% of the items. The row "k=100" is the simple way: the caller asks for the longest list
and keeps what fits, which leaves about one item of a hundred at 1%.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from clicks import markdown
from predictor import measured, shop

sys.path.append(str(Path(__file__).parents[1]))  # the tests' servers

from dawnlist.cuts import parse_as_of
from dawnlist.filters.expression import ExpressionError
from dawnlist.filters.parser import parse_expression
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.store import versions
from dawnlist.store.client import connect_store
from tests.support.servers import is_alive, running_predictor

SHARES = {"50%": 500, "1%": 10, "0.1%": 1}
"""The share of items that a filter leaves, and the price in thousandths below which they are."""
WRONG = (
    "(" * 1000,
    "not " * 250,
    "'" * 1000,
    "\\" * 1000,
    "a=1 or " * 142 + "!!!",
    "colour in (" + "1," * 199,
)


def build_requests(path: Path, users: int, suffix: str) -> Path:
    """Write the requests of 20,000 users who are drawn by chance."""
    drawn = np.random.default_rng(8).integers(0, users, 20_000).tolist()
    lines = "HTTP/1.1\r\nHost: localhost\r\n\r\n"
    path.write_text(
        json.dumps([f"GET /v1/recommendations/user-{user}{suffix} {lines}" for user in drawn])
    )
    return path


def measure_routes(items: int, users: int, requests: int, rounds: int, connections: int) -> None:
    """Print a row for each way to ask."""
    lists = shop(users, items)
    price = np.random.default_rng(9).permutation(items) % 1000
    catalogue = lists.catalogue.append_column("price", pa.array(price.astype(float)))
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(run_embedded_valkey(home / "valkey"))
        lists = replace(lists, catalogue=catalogue)
        with connect_store(store) as client:
            versions.publish_version(
                client, "shop", lists, "run", parse_as_of("2026-01-01T03:00:00Z")
            )
        running = stack.enter_context(running_predictor(store, "shop"))
        url, pid = running.url, running.process.pid
        while not is_alive(f"{url}/v2/models/dawnlist/ready"):
            time.sleep(0.1)
        ways = {"lean": (url, pid, build_requests(home / "lean", users, ""))}
        ways["k=100"] = (url, pid, build_requests(home / "k100", users, "?k=100"))
        for name, below in SHARES.items():
            suffix = f"?where={quote(f'price < {below}')}"
            ways[f"where, {name}"] = (url, pid, build_requests(home / name, users, suffix))
        runs = measured(ways, requests, rounds, connections)
    rows = []
    for name, way_runs in runs.items():
        row = {
            "way": name,
            "requests/s": f"{np.median([r['requests'] / r['seconds'] for r in way_runs]):,.0f}",
        }
        for key in ("p50", "p99"):
            row[f"{key} ms"] = f"{np.median([run[key] for run in way_runs]):.2f}"
        row["errors"] = str(sum(run["errors"] for run in way_runs))
        rows.append(row)
    markdown(rows)


def measure_refusals() -> None:
    """Print the longest CPU time that refusing one of the wrong filters took."""
    longest = 0.0
    for text in WRONG:
        began = time.process_time()
        for _ in range(20):
            with contextlib.suppress(ExpressionError):
                parse_expression(text[:1000])
        longest = max(longest, (time.process_time() - began) / 20)
    print(f"\nA wrong filter of 1,000 characters is refused in {longest * 1000:.2f} ms at most.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=3_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 1])
    given = parser.parse_args()
    for connections in given.connections:
        print(f"\n{connections} connections\n")
        measure_routes(given.items, given.users, given.requests, given.rounds, connections)
    measure_refusals()


if __name__ == "__main__":
    main()
