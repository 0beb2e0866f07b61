"""The routes of shelves beside the lean route, in alternating rounds of one run.

    python benchmarks/shelves.py --items 100000

A page of an item is asked for again and again, so its similar items are kept in memory after the first time: the row
"similar, new items" asks for each item once, and shows what one computation over all items takes.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from clicks import markdown
from predictor import measured, shop

sys.path.append(str(Path(__file__).parents[1]))  # the tests' servers

from dawnlist.cuts import parse_as_of
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.model.associations import Associations
from dawnlist.model.item_relations import ItemRelations, add_relations
from dawnlist.store import versions
from dawnlist.store.client import connect_store
from dawnlist.store.toplists import TopLists
from tests.support.servers import is_alive, running_predictor

POPULAR_ITEMS = 1_000
"""The items whose pages most people visit."""
NEIGHBOURS = 50


def relate_items(lists: TopLists) -> TopLists:
    """Add associated items and trends that are drawn by chance."""
    items = lists.catalogue.num_rows
    random = np.random.default_rng(5)
    associations = Associations(
        np.arange(items + 1, dtype=np.int64) * NEIGHBOURS,
        random.integers(0, items, items * NEIGHBOURS),
        np.tile(np.arange(NEIGHBOURS, 0, -1, dtype=np.float32), items),
    )
    relations = ItemRelations(associations, random.normal(size=items).astype(np.float32))
    return replace(lists, catalogue=add_relations(lists.catalogue, relations))


def build_requests(path: Path, targets: list[str]) -> Path:
    """Write requests for these targets."""
    lines = "HTTP/1.1\r\nHost: localhost\r\n\r\n"
    path.write_text(json.dumps([f"GET {target} {lines}" for target in targets]))
    return path


def list_targets(item_ids: list[str], users: int) -> dict[str, list[str]]:
    """List the requests of each route."""
    random = np.random.default_rng(8)
    people = random.integers(0, users, 20_000).tolist()
    pages = [item_ids[item] for item in random.integers(0, POPULAR_ITEMS, 20_000)]
    all_items = [item_ids[item] for item in random.permutation(len(item_ids))[:20_000]]
    shown = "&".join(f"item={item}" for item in item_ids[:20])
    return {
        "lean": [f"/v1/recommendations/user-{user}" for user in people],
        "similar": [f"/v1/similar/{item}" for item in pages],
        "similar, new items": [f"/v1/similar/{item}" for item in all_items],
        "bought-together": [f"/v1/bought-together/{item}" for item in pages],
        "trending": ["/v1/trending"] * 20_000,
        "popular": ["/v1/popular"] * 20_000,
        "continue": [f"/v1/continue/user-{user}" for user in people],
        "rank, 20 items": [f"/v1/rank/user-{user}?{shown}" for user in people],
        "lean, offset 40": [f"/v1/recommendations/user-{user}?offset=40" for user in people],
    }


def main() -> None:
    """Print a row for each route."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=3_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args()
    lists = relate_items(shop(given.users, given.items))
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(run_embedded_valkey(home / "valkey"))
        with connect_store(store) as client:
            moment = parse_as_of("2026-01-01T03:00:00Z")
            versions.publish_version(client, "shop", lists, "run", moment)
        running = stack.enter_context(running_predictor(store, "shop"))
        while not is_alive(f"{running.url}/v2/models/dawnlist/ready"):
            time.sleep(0.1)
        ways = {}
        item_ids = lists.catalogue["item_id"].to_pylist()
        for number, (name, targets) in enumerate(list_targets(item_ids, given.users).items()):
            requests = build_requests(home / f"requests-{number}", targets)
            ways[name] = (running.url, running.process.pid, requests)
        runs = measured(ways, given.requests, given.rounds, given.connections)
    rows = []
    for name, way_runs in runs.items():
        rate = np.median([run["requests"] / run["seconds"] for run in way_runs])
        row = {"route": name, "requests/s": f"{rate:,.0f}"}
        for key in ("p50", "p99"):
            row[f"{key} ms"] = f"{np.median([run[key] for run in way_runs]):.2f}"
        row["errors"] = str(sum(run["errors"] for run in way_runs))
        rows.append(row)
    markdown(rows)


if __name__ == "__main__":
    main()
