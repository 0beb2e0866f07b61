"""What own items cost the predictor: a version without repeats, one with them, and the code before, in one run.

python benchmarks/predictor_repeats.py --before ../older-checkout

The load and the columns are those of benchmarks/predictor.py. `--before` is a checkout of an older release, which
answers from the version without repeats. Rounds alternate between all ways.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from clicks import markdown
from predictor import CLICKED, measured, process, rows, shop

from dawnlist.cuts import parse_as_of
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.store import recent, versions
from dawnlist.store.client import connect_store
from dawnlist.store.toplists import TopLists

AS_OF = parse_as_of("2026-01-01T03:00:00Z")
REPEATS = {"score_scale": 55.0, "repeat_share": 0.5, "repeat_half_life": 30.0, "repeat_gap": 10.0}


def with_repeats(lists: TopLists) -> TopLists:
    """The same shop, in which three items of each user's list are own items."""
    index = lists.item_index.copy()
    weights = lists.histories.weight
    for user in range(len(index)):
        index[user, :3] = weights.indices[weights.indptr[user] : weights.indptr[user] + 3]
    config = {**lists.meta["config"], **REPEATS}
    return replace(lists, item_index=index, meta={**lists.meta, "config": config})


def publish(redis: str, users: int, items: int) -> None:
    """Both versions, each in a namespace of its own; one user in CLICKED has a recorded event."""
    plain = shop(users, items)
    with connect_store(redis) as client:
        for namespace, lists in (("plain", plain), ("repeats", with_repeats(plain))):
            versions.publish_version(client, namespace, lists, "run", AS_OF)
            for user in range(0, users, CLICKED):
                item = f"item-{user % 100}"
                recent.record_event(client, namespace, f"user-{user}", item, "view", time.time())


@contextlib.contextmanager
def predictor(checkout: Path, redis: str, namespace: str, port: int) -> Iterator[tuple[str, int]]:
    """A predictor of that checkout's code: its URL and its pid."""
    command = [sys.executable, "-m", "dawnlist.pipelines.cli", "serve", "--redis", redis]
    command += ["--namespace", namespace, "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(checkout.resolve())
    try:
        with process(command, f"{url}/v2/models/dawnlist/ready") as pid:
            yield url, pid
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def write_requests(file: Path, users: list[int], path: str, query: str = "") -> Path:
    lines = [f"GET /v1/{path}/user-{user}{query} HTTP/1.1\r\nHost: x\r\n\r\n" for user in users]
    file.write_text(json.dumps(lines))
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="a checkout of an older release")
    parser.add_argument("--requests", type=int, default=10_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=5_000)
    given = parser.parse_args()
    drawn = np.random.default_rng(8).integers(0, given.users, 20_000).tolist()
    lists = [user for user in drawn if user % CLICKED]
    clicked = [user for user in drawn if user % CLICKED == 0]
    mixed = [user for ten in zip(*[iter(lists)] * 9, clicked, strict=False) for user in ten]
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(run_embedded_valkey(home / "valkey"))
        publish(redis, given.users, given.items)
        gets = write_requests(home / "gets", lists, "recommendations")
        fold_ins = write_requests(home / "mixed", mixed, "recommendations")
        new = write_requests(home / "new", lists, "recommendations", "?k=10&repeats=false")
        again = write_requests(home / "again", lists, "buy-again")
        ways = {}
        here = Path(__file__).parents[1]
        if given.before:
            url, pid = stack.enter_context(predictor(given.before, redis, "plain", 18_090))
            ways["before: list"] = (url, pid, gets)
            ways["before: 10% fold-ins"] = (url, pid, fold_ins)
        url, pid = stack.enter_context(predictor(here, redis, "plain", 18_091))
        ways["no repeats: list"] = (url, pid, gets)
        ways["no repeats: 10% fold-ins"] = (url, pid, fold_ins)
        url, pid = stack.enter_context(predictor(here, redis, "repeats", 18_092))
        ways["repeats: list"] = (url, pid, gets)
        ways["repeats: 10% fold-ins"] = (url, pid, fold_ins)
        ways["repeats: new items alone (k=10)"] = (url, pid, new)
        ways["repeats: buy again"] = (url, pid, again)
        runs = measured(ways, given.requests, given.rounds, given.connections)
    markdown([{**row, "ratio": ""} for row in rows(runs)])


if __name__ == "__main__":
    main()
