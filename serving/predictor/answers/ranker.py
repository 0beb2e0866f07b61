"""Threads that rank all items: for recent events, filters, and lists longer than the stored one.

The threads run compiled code that does not hold the GIL. Tasks that wait for a thread are ranked
together, since users that are ranked at the same time share the reading of the item vectors.
"""

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from threadpoolctl import threadpool_limits

from dawnlist.serving.predictor.answers.metrics import EngineMetrics
from dawnlist.serving.predictor.answers.ranking import RankingResult, rank_tasks
from dawnlist.serving.predictor.answers.ranking_task import RankingTask
from dawnlist.serving.predictor.logger import predictor_log

MAX_BATCH_TASKS: Final = 8
"""Tasks that one thread ranks together."""

RankingFuture = asyncio.Future[RankingResult | None]
"""The result of a task; None if the thread failed."""

PendingTask = tuple[RankingTask, RankingFuture, float]
"""A task, its future, and the time at which it was submitted."""


class Ranker:
    """A pool of ranking threads. It belongs to one event loop."""

    def __init__(self, threads: int, max_waiting: int, metrics: EngineMetrics) -> None:
        """`max_waiting` tasks may wait for one of the `threads`; more are refused."""
        self._free_threads = threads
        self._max_waiting = max_waiting
        self._metrics = metrics
        self._pending: deque[PendingTask] = deque()
        self._pool = ThreadPoolExecutor(
            threads,
            thread_name_prefix="dawnlist-ranker",
            initializer=threadpool_limits,
            initargs=(1, "blas"),
        )

    def rank(self, task: RankingTask) -> RankingFuture | None:
        """Submit a task; None if too many are waiting already."""
        if len(self._pending) >= self._max_waiting:
            return None
        future: RankingFuture = asyncio.get_running_loop().create_future()
        self._pending.append((task, future, time.perf_counter()))
        self._start_batches()
        return future

    def close(self) -> None:
        """Let the threads finish, and answer the tasks that still wait with None."""
        while self._pending:
            _, future, _ = self._pending.popleft()
            _resolve_future(future, None)
        self._pool.shutdown(wait=True)

    def _start_batches(self) -> None:
        """Give waiting tasks to the threads that are free."""
        loop = asyncio.get_running_loop()
        while self._pending and self._free_threads:
            batch = self._take_batch()
            tasks = [task for task, _, _ in batch]
            self._free_threads -= 1
            ranking = loop.run_in_executor(self._pool, rank_tasks, tasks)
            ranking.add_done_callback(partial(self._finish_batch, batch))

    def _take_batch(self) -> list[PendingTask]:
        """Take the oldest task, and those after it that are of the same snapshot."""
        batch = [self._pending.popleft()]
        snapshot = batch[0][0].snapshot
        while self._pending and len(batch) < MAX_BATCH_TASKS:
            next_task, _, _ = self._pending[0]
            if next_task.snapshot is not snapshot:
                break
            batch.append(self._pending.popleft())
        return batch

    def _finish_batch(
        self, batch: list[PendingTask], ranking: asyncio.Future[list[RankingResult]]
    ) -> None:
        """Resolve the tasks of a batch, and start the next one."""
        self._free_threads += 1
        self._start_batches()
        now = time.perf_counter()
        error = ranking.exception()
        results: list[RankingResult | None] = [None] * len(batch)
        if error is None:
            results = [*ranking.result()]
        else:
            predictor_log.error("ranking failed", exc_info=error)
        for (_, future, submitted), result in zip(batch, results, strict=True):
            _resolve_future(future, result)
            self._metrics.report_fold_in(now - submitted)


def _resolve_future(future: RankingFuture, result: RankingResult | None) -> None:
    """Set the result, unless the caller no longer waits for it."""
    if not future.done():
        future.set_result(result)
