"""What withdrawn items cost an answer, and how soon they are gone.

python benchmarks/withdrawals.py                       (20,000 items, 64 factors, 2,000 users)

The engine runs before a Valkey of its own and is asked for stored lists, 16 at a time. The states take turns in one
run: nothing is withdrawn; 1,000 items that stand in no list; every user's first item, so that all lists have to be
filled up from the user's vector.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from clicks import markdown
from fold_in import USERS, publish

from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.serving.predictor.answers.engine import ServingEngine
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.store.client import connect_store
from dawnlist.store.withdrawals import restore_items, withdraw_items

AT_ONCE = 16
UNLISTED = [f"unlisted-{number}" for number in range(1_000)]


def main() -> None:
    """Print the table."""
    given = arguments()
    vectors = np.random.default_rng(1).standard_normal((given.items, given.factors), np.float32)
    with tempfile.TemporaryDirectory() as home, run_embedded_valkey(Path(home)) as url:
        publish(url, vectors * np.float32(0.1), day=1)
        with connect_store(url) as client:
            markdown(uvloop.run(measure(url, client, given)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


async def measure(url: str, client: Any, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure each state in turns; a row for each."""
    engine = ServingEngine(url, "shop")
    await engine.start()
    questions = [Question(f"user-{number}") for number in range(USERS)]
    first_items = sorted(
        {answer.item_ids[0] for answer in await engine.answer_questions(questions)}
    )
    listed = {
        item for answer in await engine.answer_questions(questions) for item in answer.item_ids
    }
    unlisted = [f"item-{i}" for i in range(given.items) if f"item-{i}" not in listed]
    states = {
        "nothing": [],
        "1,000 in no list": (unlisted + UNLISTED)[:1_000],
        "every user's first item": first_items,
    }
    times: dict[str, list[float]] = {name: [] for name in states}
    delays: dict[str, list[float]] = {name: [] for name in states}
    for _ in range(given.rounds):
        for name, item_ids in states.items():
            began = time.perf_counter()
            withdraw_items(client, "shop", item_ids)
            while not set(item_ids) <= engine._follower.withdrawn_ids:
                await asyncio.sleep(0.005)
            delays[name].append(time.perf_counter() - began)
            times[name].append(await ask(engine, questions, given.answers))
            restore_items(client, "shop", item_ids)
            while engine._follower.withdrawn_ids:
                await asyncio.sleep(0.005)
    await engine.stop()
    rows = []
    for name, item_ids in states.items():
        rows.append(
            {
                "withdrawn": name,
                "items": len(item_ids),
                "answers/s": f"{given.answers / np.median(times[name]):,.0f}",
                "of nothing's": f"{np.median(times['nothing']) / np.median(times[name]):.2f}",
                "seconds until it is gone": f"{max(delays[name]):.2f}",
            }
        )
    return rows


async def ask(engine: ServingEngine, questions: list[Question], answers: int) -> float:
    """Ask so many questions, AT_ONCE at a time, and return the seconds."""

    async def worker(begin: int) -> None:
        for number in range(begin, answers, AT_ONCE):
            await engine.recommend([questions[number % len(questions)]])

    began = time.perf_counter()
    await asyncio.gather(*(worker(begin) for begin in range(AT_ONCE)))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
