"""What the log of answers costs the predictor: the lean route with and without --log-answers, taking turns in one run.

    python benchmarks/shown_cost.py --rounds 6

Two predictors run over one store; each round loads one and then the other, and every second round in the other order.
A firehose does not run: the stream is emptied after each round.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import redis
from clicks import markdown
from predictor import cpu_seconds, get, load, shop

sys.path.append(str(Path(__file__).parents[1]))  # the tests' servers


from dawnlist.cuts import parse_as_of
from dawnlist.events.stream_keys import EventKeys
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.store import versions
from dawnlist.store.client import connect_store
from tests.support.published import metric
from tests.support.servers import Predictor, is_alive, running_predictor

USERS, ITEMS = 50_000, 20_000


def measure_round(
    running: Predictor, file: Path, requests: int, connections: int
) -> dict[str, float]:
    """Load a predictor, and return requests a second, p50 and p99 in ms, and CPU microseconds a request."""
    before = cpu_seconds(running.process.pid)
    run = load(running.url, file, requests, connections)
    assert not run["errors"]
    cpu = (cpu_seconds(running.process.pid) - before) / requests * 1e6
    return {"rps": requests / run["seconds"], "p50": run["p50"], "p99": run["p99"], "cpu": cpu}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(run_embedded_valkey(home / "valkey"))
        with connect_store(url) as client:
            as_of = parse_as_of("2026-01-01T03:00:00Z")
            versions.publish_version(client, "shop", shop(USERS, ITEMS), "run", as_of)
        ways = {
            "without the log": stack.enter_context(running_predictor(url, "shop")),
            "with the log": stack.enter_context(running_predictor(url, "shop", logs_answers=True)),
        }
        for running in ways.values():
            while not is_alive(f"{running.url}/v2/models/dawnlist/ready"):
                time.sleep(0.1)
        file = home / "requests.json"
        drawn = np.random.default_rng(8).integers(0, USERS, 20_000).tolist()
        file.write_text(json.dumps([get(user) for user in drawn]))
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        store = stack.enter_context(redis.from_url(url))
        for number in range(arguments.rounds + 1):
            names = list(ways)[:: 1 if number % 2 else -1]
            for name in names:
                run = measure_round(ways[name], file, arguments.requests, arguments.connections)
                store.delete(EventKeys("shop").shown)
                if number:  # the first round warms up
                    runs[name].append(run)
        time.sleep(1)
        dropped = metric(ways["with the log"].url, "dawnlist_shown_total", result="dropped")
        written = metric(ways["with the log"].url, "dawnlist_shown_total", result="written")
    print_table(runs)
    print(f"\n{written:,.0f} answers were logged, {dropped:,.0f} dropped.")


def print_table(runs: dict[str, list[dict[str, float]]]) -> None:
    """Print medians, and the median of the ratios of each round."""
    rows = []
    for name, way_runs in runs.items():
        row = {"way": name}
        for key, digits in (("rps", 0), ("p50", 2), ("p99", 2), ("cpu", 0)):
            row[key] = f"{np.median([run[key] for run in way_runs]):,.{digits}f}"
        rows.append(row)
    markdown(rows)
    without, logged = runs.values()
    for key in ("rps", "p50", "p99", "cpu"):
        ratios = [b[key] / a[key] for a, b in zip(without, logged, strict=True)]
        print(
            f"{key}: {np.median(ratios):.3f} of without, from {min(ratios):.3f} to {max(ratios):.3f}"
        )


if __name__ == "__main__":
    main()
