"""Ranking all items for one user, off the event loop: what folds events in, filters, or goes beyond the stored list.

A few threads run compiled code without the GIL. What waits for a thread is taken together, since users who look at the
items at the same time share the reading of them.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from dawnlist.arrays import BoolArray, Float32Array, Float64Array
from dawnlist.ranking.coarse import NO_MASKS
from dawnlist.ranking.fold_in import NO_START, UserEquation, UserPairs
from dawnlist.serving.predictor.answers.metrics import EngineMetrics
from dawnlist.serving.predictor.answers.snapshot import Snapshot

MAX_BATCH_TASKS: Final = 8
MAX_REASONS: Final = 5
"""Past items that an explanation names for each result."""

_log = logging.getLogger("dawnlist.predictor")


@dataclass(slots=True)
class RankingTask:
    """One user for whom all items are ranked."""

    snapshot: Snapshot
    k: int
    hidden: set[int]
    mask: BoolArray | None
    history: UserPairs
    met: int
    """Items met in all, for w(n)."""
    events: UserPairs
    days: float
    """From as_of to the cut that the events' ages are counted from."""
    vector: Float32Array | None
    """The stored one, where it ranks by itself or the history is not whole; else None."""
    fold: bool
    explain: bool
    listed: tuple[list[int], list[float]] | None = None
    """Ranked already, only to be explained."""


@dataclass(slots=True)
class RankingResult:
    """Item indices, best first, and what speaks for each: past items and what they add, the strongest first."""

    items: list[int]
    scores: list[float]
    because: list[list[tuple[int, float]]] | None


PendingTask = tuple[RankingTask, "asyncio.Future[RankingResult | None]", float]


class Ranker:
    """The threads; belongs to one event loop."""

    def __init__(self, threads: int, waiting: int, metrics: EngineMetrics) -> None:
        self._free, self._most, self._metrics = threads, waiting, metrics
        self._pending: deque[PendingTask] = deque()
        self._pool = ThreadPoolExecutor(
            threads,
            thread_name_prefix="dawnlist-ranker",
            initializer=threadpool_limits,
            initargs=(1, "blas"),
        )

    def rank(self, task: RankingTask) -> "asyncio.Future[RankingResult | None] | None":
        """None when too many wait already; the future gives None when a thread failed."""
        if len(self._pending) >= self._most:
            return None
        future: asyncio.Future[RankingResult | None] = asyncio.get_running_loop().create_future()
        self._pending.append((task, future, time.perf_counter()))
        self._begin()
        return future

    def close(self) -> None:
        """Let the threads end; what waits is answered with None."""
        while self._pending:
            _resolve_future(self._pending.popleft()[1], None)
        self._pool.shutdown(wait=True)

    def _begin(self) -> None:
        while self._pending and self._free:
            batch = [self._pending.popleft()]
            snapshot = batch[0][0].snapshot
            while (
                self._pending
                and len(batch) < MAX_BATCH_TASKS
                and self._pending[0][0].snapshot is snapshot
            ):
                batch.append(self._pending.popleft())
            self._free -= 1
            done = asyncio.get_running_loop().run_in_executor(
                self._pool, rank_tasks, [task for task, _, _ in batch]
            )
            done.add_done_callback(lambda done, batch=batch: self._end(done, batch))  # type: ignore[misc]

    def _end(self, done: "asyncio.Future[list[RankingResult]]", batch: list[PendingTask]) -> None:
        self._free += 1
        self._begin()
        now = time.perf_counter()
        error = done.exception()
        if error is not None:
            _log.error("ranking failed", exc_info=error)
        for at, (_, future, began) in enumerate(batch):
            _resolve_future(future, None if error else done.result()[at])
            self._metrics.fold_in(now - began)


def _resolve_future(
    future: "asyncio.Future[RankingResult | None]", found: RankingResult | None
) -> None:
    if not future.done():  # else nobody waits for it any more
        future.set_result(found)


def rank_tasks(tasks: Sequence[RankingTask]) -> list[RankingResult]:
    """All of one snapshot."""
    snapshot = tasks[0].snapshot
    equations = [_build_equation(task) for task in tasks]
    found = [task.listed or ([], []) for task in tasks]
    asked = [at for at, task in enumerate(tasks) if task.listed is None]
    if asked:
        for at, lists in zip(
            asked, _rank_all_items([(tasks[at], equations[at]) for at in asked]), strict=True
        ):
            found[at] = lists
    because = [
        _explain_items(snapshot, equation, task.met, items) if task.explain else None
        for task, equation, (items, _) in zip(tasks, equations, found, strict=True)
    ]
    return [
        RankingResult(items, scores, why)
        for (items, scores), why in zip(found, because, strict=True)
    ]


def _build_equation(task: RankingTask) -> UserEquation:
    start = NO_START if task.vector is None or not task.fold else task.vector.astype(np.float64)
    return task.snapshot.fold_in.build_equation(task.history, task.events, task.days, start)


def _rank_all_items(
    tasks: Sequence[tuple[RankingTask, UserEquation]],
) -> list[tuple[list[int], list[float]]]:
    snapshot = tasks[0][0].snapshot
    users = np.zeros((len(tasks), snapshot.coarse.vectors.shape[1]), dtype=np.float32)
    for user, (task, equation) in zip(users, tasks, strict=True):
        x = snapshot.fold_in.vector(equation) if task.fold or task.vector is None else task.vector
        user[: snapshot.factors] = x
        user[snapshot.factors :] = _compute_content_vector(snapshot, equation, task.met)
    hidden = [np.sort(np.fromiter(task.hidden, np.int32, len(task.hidden))) for task, _ in tasks]
    start = np.concatenate([[0], np.cumsum([len(items) for items in hidden])])
    masks = [task.mask for task, _ in tasks if task.mask is not None]
    numbers = iter(range(len(masks)))
    which = np.array([-1 if task.mask is None else next(numbers) for task, _ in tasks])
    index, score = snapshot.coarse.best(
        users,
        max(task.k for task, _ in tasks),
        start,
        np.concatenate(hidden),
        np.stack(masks) if masks else NO_MASKS,
        which,
    )
    lists = []
    for (task, _), items, scores in zip(tasks, index, score, strict=True):
        n = min(task.k, int((items >= 0).sum()))
        lists.append((items[:n].tolist(), scores[:n].tolist()))
    return lists


def _content_weight(snapshot: Snapshot, met: int) -> float:
    """w(n) of the hybrid score."""
    share, pairs = snapshot.share
    return share * pairs / (pairs + met) if share and pairs else 0.0


def _compute_content_vector(snapshot: Snapshot, equation: UserEquation, met: int) -> Float64Array:
    """w(n) p of the hybrid score, shape (d,)."""
    summed = equation.confidence @ snapshot.content[equation.index].astype(np.float64)
    length = float(np.linalg.norm(summed))
    return np.asarray(summed * (_content_weight(snapshot, met) / length if length else 0.0))


def _explain_items(
    snapshot: Snapshot, equation: UserEquation, met: int, items: list[int]
) -> list[list[tuple[int, float]]]:
    """What each past item adds to each result, of factors and of content; only what adds something."""
    if not items:  # filters and exclusions may leave none
        return []
    whole = UserEquation(
        equation.index,
        equation.confidence,
        equation.confidence + snapshot.fold_in.alpha0,
        equation.ridge,
        NO_START,
    )
    rows = np.array(items, dtype=np.int64)
    added = snapshot.fold_in.explain_scores(whole, rows)
    if snapshot.content.shape[1] and len(whole.index):
        pairs = snapshot.content[whole.index].astype(np.float64) * whole.confidence[:, None]
        length = float(np.linalg.norm(pairs.sum(axis=0)))
        by = _content_weight(snapshot, met) / length if length else 0.0
        added = added + by * (snapshot.content[rows].astype(np.float64) @ pairs.T)
    best = np.argsort(-added, axis=1, kind="stable")[:, :MAX_REASONS]
    return [
        [(int(whole.index[at]), float(line[at])) for at in order if line[at] > 0]
        for line, order in zip(added, best, strict=True)
    ]
