"""Send hostile events to the collector: each is answered with a status, and is in the lake or among the dead letters.

Values of wrong types, lengths, depths, times and letters are drawn by chance for every field, also unknown ones.

    python benchmarks/collector_hostile.py --events 5000
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import redis

sys.path.append(str(Path(__file__).parents[1]))  # the tests' servers

from dawnlist.events.event_schema import EVENT_SCHEMA
from dawnlist.lake.lake import Lake
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.serving.collector.firehose import Firehose
from dawnlist.serving.collector.worker import Worker
from dawnlist.settings import Settings
from tests.support.collecting import KEYS, collector, count_entries, statuses

TEXTS = (
    "", "x", "a" * 600, "\x00", "\u200b", "\ufeff", "\r\n", "<script>", "😀", "🏳️‍🌈", " 7.0 ", "NaN", "view", "alias",
    "2026-01-01T00:00:00Z", "2026-01-01", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00Z", "unknown-x", "../..",
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 0.5, 2**31, 2**53, 2**63, 2**64, 10**40, 1e308, -1e308, 5e-324, 1767225600, 1767225600000,
)  # fmt: skip
FIELDS = (*EVENT_SCHEMA["properties"], "junk")
DEPTHS = (10, 200, 254, 300)


def draw_value(chance: random.Random, depth: int = 0) -> Any:
    """Draw a value of any type."""
    kind = chance.random()
    if kind < 0.35:
        return chance.choice(TEXTS)
    if kind < 0.6:
        return chance.choice(NUMBERS)
    if kind < 0.7 or depth > 3:
        return chance.choice([None, True, False])
    if kind < 0.72:
        return draw_deep_list(chance.choice(DEPTHS))
    if kind < 0.86:
        return [draw_value(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    return {
        chance.choice(TEXTS): draw_value(chance, depth + 1) for _ in range(chance.randint(0, 4))
    }


def draw_deep_list(depth: int) -> list[Any]:
    """Build a list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def draw_event(chance: random.Random) -> Any:
    """Draw an event of which up to five fields have any value, or a value that is no event."""
    if chance.random() < 0.08:
        return draw_value(chance)
    event = {
        "type": chance.choice(["view", "alias", "mood", "click"]),
        "user": "u1",
        "anonymous": "b1",
    }
    for field in chance.sample(FIELDS, chance.randint(0, 5)):
        event[field] = draw_value(chance)
    return event


def main() -> None:
    """Send events, and compare the answers with what is kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder, run_embedded_valkey(Path(folder)) as url:
        answered = send_events(url, chance, arguments.events)
        landed = land(url, Lake.open(f"{folder}/lake", "shop"))
    print(f"answers: {dict(sorted(answered.items()))}")
    print(f"in the lake: {landed['events']:,} events, {landed['dead_events']:,} dead letters")
    if landed != {"events": answered["ok"], "dead_events": answered["dropped"]}:
        sys.exit("the answers and the lake differ")


def send_events(url: str, chance: random.Random, events: int) -> Counter[str]:
    """Send events in batches, and count the answers."""
    answered: Counter[str] = Counter()
    with collector(url, events_per_second=1e9) as client:
        sent = 0
        while sent < events:
            batch = [draw_event(chance) for _ in range(chance.randint(0, 20))]
            sent += len(batch)
            answer = client.post("/v1/events", content=json.dumps({"events": batch}).encode())
            if answer.status_code != 202:
                sys.exit(f"{answer.status_code} {answer.text[:200]}: {json.dumps(batch)[:300]}")
            answered.update(statuses(answer))
        assert sum(answered.values()) == sent
    assert count_entries(url, KEYS.accepted) == answered["ok"]
    return answered


def land(url: str, lake: Lake) -> dict[str, int]:
    """Enrich and land everything, and count the rows of the two tables."""
    with redis.from_url(url) as store:
        worker = Worker(store, "shop", Settings())
        worker.ensure_group()
        while worker.work_once(block_milliseconds=10):
            pass
        Firehose(store, lake, "shop").land_everything()
    counts = {}
    for table in ("events", "dead_events"):
        rows = lake.rows(table)
        counts[table] = 0 if rows is None else rows.count_rows()
    return counts


if __name__ == "__main__":
    main()
