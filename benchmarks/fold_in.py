"""Folding recent events in: what it takes, against NumPy's product and selection, and what the event loop feels of it.

python benchmarks/fold_in.py                            (100,000 items, 128 factors, 50 items met and 5 recent events)
python benchmarks/fold_in.py --items 20000 --rounds 100

Item vectors are random, about equally long and without a structure, which is the worst case. Ways take turns in one
run. Then a Valkey of its own, and the engine before it: fold-ins alone; stored lists with nothing else, with fold-ins
beside them, and while a new version is loaded. The loop's delay is how much later than asked a timer of 1 ms comes.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import uvloop
from clicks import markdown
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from dawnlist.cuts import parse_as_of
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.coarse import QuantisedIndex
from dawnlist.ranking.fold_in import FoldIn, UserPairs
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.serving.predictor.answers.engine import ServingEngine
from dawnlist.serving.predictor.answers.question import Question, QuestionEvent
from dawnlist.store import versions
from dawnlist.store.client import connect_store
from dawnlist.store.toplists import TopLists

USERS, MET, EVENTS, K = 2_000, 50, 5, 20
CONFIG = {
    "engine": "als",
    "alpha": 10.0,
    "alpha0": 0.1,
    "nu": 0.5,
    "half_life": 30.0,
    "ridge_scale": 0.01,
}
Milliseconds = npt.NDArray[np.float64]


def main() -> None:
    """Print both tables."""
    given = arguments()
    vectors = np.random.default_rng(1).standard_normal(
        (given.items, given.factors), np.float32
    ) * np.float32(0.1)
    print(
        f"{given.items:,} items, {given.factors} factors, {MET} items met, {EVENTS} events, top {K}, one thread\n"
    )
    with threadpool_limits(1):
        table(alone(vectors, given.rounds), "part")
    with tempfile.TemporaryDirectory() as home, run_embedded_valkey(Path(home)) as url:
        publish(url, vectors, day=1)
        print("\nthe engine, the store beside it\n")
        table(uvloop.run(served(url, vectors, given.rounds)), "what is timed")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=400)
    return parser.parse_args()


def table(times: dict[str, Milliseconds], name: str) -> None:
    rows = []
    for what, found in times.items():
        shares = {f"p{share} ms": f"{np.percentile(found, share):.2f}" for share in (50, 99)}
        rows.append({name: what, "times": len(found), **shares})
    markdown(rows)


def alone(vectors: npt.NDArray[np.float32], rounds: int) -> dict[str, Milliseconds]:
    """The parts of a fold-in, and NumPy's way of the second half, in turns."""
    items = len(vectors)
    fold, coarse = (
        FoldIn.of(vectors, CONFIG),
        QuantisedIndex.of(vectors, np.zeros(items, np.float32)),
    )
    rng = np.random.default_rng(2)
    start = np.array([0, MET + EVENTS])
    found: dict[str, list[float]] = {
        name: [] for name in ("solve", "rank", "both", "NumPy: product + argpartition")
    }
    for turn in range(rounds + 3):
        history, events = some(rng, items, MET), some(rng, items, EVENTS)
        clock = [time.perf_counter()]
        x = fold.vector(fold.build_equation(history, events, days=0.5)).astype(np.float32)
        clock.append(time.perf_counter())
        hidden = np.sort(np.concatenate([history.index, events.index])).astype(np.int32)
        best, _ = coarse.best(x[None, :], K, start, hidden)
        clock.append(time.perf_counter())
        scores = vectors @ x
        scores[hidden] = -np.inf
        top = np.argpartition(-scores, K)[:K]
        top = top[np.argsort(-scores[top], kind="stable")]
        clock.append(time.perf_counter())
        assert set(best[0].tolist()) == set(top.tolist()) or np.allclose(
            scores[best[0]], scores[top], rtol=1e-5
        )
        if turn >= 3:
            solve, rank, numpy = np.diff(clock)
            for name, seconds in zip(found, (solve, rank, solve + rank, numpy), strict=True):
                found[name].append(1_000 * seconds)
    return {name: np.array(times) for name, times in found.items()}


def some(rng: np.random.Generator, items: int, n: int) -> UserPairs:
    index = rng.choice(items, n, replace=False).astype(np.int64)
    return UserPairs(index, rng.integers(1, 6, n).astype(np.float64), rng.random(n) * 30)


def publish(url: str, vectors: npt.NDArray[np.float32], day: int) -> None:
    """USERS users with histories and stored lists."""
    items, factors = vectors.shape
    rng = np.random.default_rng(day)
    met = np.sort(
        rng.integers(0, items // MET, (USERS, MET)) + np.arange(MET) * (items // MET), axis=1
    )
    weight = csr_matrix(
        (np.ones(met.size, np.float32), met.ravel(), np.arange(0, met.size + 1, MET)),
        (USERS, items),
    )
    ids = [f"item-{i}" for i in range(items)]
    lists = TopLists(
        user_ids=np.array([f"user-{i}" for i in range(USERS)], dtype=object),
        item_index=rng.integers(0, items, (USERS, K)).astype(np.uint32),
        score=np.sort(rng.random((USERS, K), np.float32))[:, ::-1].copy(),
        lengths=np.full(USERS, K),
        catalogue=pa.table(
            [ids, [f"Title of {name}" for name in ids], [["Drama"]] * items],
            schema=CATALOGUE_SCHEMA,
        ),
        popular_index=np.arange(K, dtype=np.uint32),
        popular_score=np.arange(K, 0, -1).astype(np.float32),
        meta={
            "k": K,
            "winner": "challenger",
            "config": {**CONFIG, "factors": factors},
            "event_weights": {"view": 1.0},
        },
        vectors=rng.standard_normal((USERS, factors), np.float32),
        item_factors=vectors,
        item_bias=np.zeros(items, np.float32),
        item_content=np.zeros((items, 0), np.float32),
        histories=UserItems(weight, rng.random(weight.nnz, np.float32) * 30),
    )
    with connect_store(url) as client:
        versions.publish_version(
            client, "shop", lists, f"run-{day}", parse_as_of(f"2026-01-{day:02d}T03:00:00Z")
        )


async def served(
    url: str, vectors: npt.NDArray[np.float32], rounds: int
) -> dict[str, Milliseconds]:
    """Latencies of the engine, and the loop's delay meanwhile."""
    rng = np.random.default_rng(3)
    engine = ServingEngine(url, "shop", timeout=1.0)
    await engine.start()

    def user() -> str:
        return f"user-{rng.integers(USERS)}"

    async def fold_in() -> None:
        events = tuple(QuestionEvent(f"item-{rng.integers(len(vectors))}") for _ in range(EVENTS))
        [answer] = await engine.answer_questions([Question(user(), recent=events)])
        assert answer.tier in ("fold_in", "list")

    async def listed() -> None:
        [answer] = await engine.answer_questions([Question(user())])
        assert answer.tier == "list"

    await timed(fold_in, 20)
    found = {"a fold-in, one after another": await timed(fold_in, rounds)}
    found["a stored list, 8 at a time"], found["… the loop's delay"] = await beside(
        listed, rounds, None
    )
    found["the same beside 2 fold-ins at a time"], found["… their loop's delay"] = await beside(
        listed, rounds, fold_in
    )
    second = asyncio.create_task(asyncio.to_thread(publish, url, vectors, 2))
    await second
    found["the same while a version is loaded"], found["… its loop's delay"] = await beside(
        listed, rounds, None, until=lambda: engine.version == 2
    )
    await engine.stop()
    return found


async def timed(ask: Callable[[], Awaitable[None]], rounds: int) -> Milliseconds:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await ask()
        times.append(1_000 * (time.perf_counter() - began))
    return np.array(times)


async def beside(
    listed: Callable[[], Awaitable[None]],
    rounds: int,
    other: Callable[[], Awaitable[None]] | None,
    until: Callable[[], bool] = lambda: True,
) -> tuple[Milliseconds, Milliseconds]:
    """Times of stored lists, 8 at a time with 2 ms of rest after each, and delays of the loop, `other` beside them."""
    stop, delays = asyncio.Event(), list[float]()

    async def tick() -> None:
        while not stop.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            delays.append(1_000 * (time.perf_counter() - began) - 1)

    async def again(ask: Callable[[], Awaitable[None]]) -> None:
        while not stop.is_set():
            await ask()

    async def resting() -> None:
        await listed()
        await asyncio.sleep(0.002)

    others = [
        asyncio.create_task(tick()),
        *(asyncio.create_task(again(other)) for _ in range(2) if other),
    ]
    parts = list[Milliseconds]()
    while not parts or not until():
        parts += await asyncio.gather(*(timed(resting, rounds) for _ in range(8)))
    stop.set()
    await asyncio.gather(*others)
    return np.concatenate(parts) - 2, np.array(delays)


if __name__ == "__main__":
    main()
