"""Log what answers showed: entries of a stream, each with many answers, written after they are sent.

An answer waits for nothing: it only adds to a queue in memory. What does not fit into the queue is
dropped and counted. The firehose lands the stream in the lake's table `shown`.
"""

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

import orjson
import redis.exceptions

from dawnlist.events.stream_keys import ENTRY_FIELD, EventKeys
from dawnlist.serving.predictor.answers.group.group_question import GroupQuestion
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.answers.shelves.shelf_question import ShelfQuestion
from dawnlist.serving.predictor.protocols.encoding import ServedCatalogue
from dawnlist.serving.predictor.watch import logs
from dawnlist.serving.predictor.watch.counts import PredictorMetrics
from dawnlist.store.client import open_async_client

MAX_QUEUE_ANSWERS: Final = 10_000
"""Answers that wait to be written; a few seconds of the fastest predictor."""
WRITE_ANSWERS: Final = 500
"""Answers in one entry of the stream. An entry each would cost the predictor three times as much."""
WRITE_SECONDS: Final = 0.1
MAX_STREAM_BYTES: Final = 256 << 20
"""A stream that has more has no firehose: answers are dropped and counted."""
STORE_TIMEOUT_SECONDS: Final = 2.0
CLUSTER_ADVICE: Final = "answers can't be logged there, so leave out --log-answers"

AnsweredQuestion = Question | ShelfQuestion | GroupQuestion
"""What was asked; a group, and a shelf that is about no user, have an empty user_id."""
QueueEntry = tuple[str, float, AnsweredQuestion, ServedCatalogue, Recommendation]
"""The id of an answer, its time in seconds since 1970, and what it was made of."""


class ShownLog:
    """Writes what answers showed. It belongs to one event loop."""

    def __init__(self, url: str, namespace: str, metrics: PredictorMetrics) -> None:
        """Prepare the log; `run` connects it.

        Raises:
            ValueError: the URL or the namespace can't be used, or the store is a cluster.
        """
        self._stream = EventKeys(namespace).shown
        self._metrics = metrics
        self._queue: list[QueueEntry] = []
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._is_failing = False
        self._client: Any = open_async_client(url, STORE_TIMEOUT_SECONDS, CLUSTER_ADVICE)

    def add(
        self,
        questions: Sequence[AnsweredQuestion],
        catalogue: ServedCatalogue,
        recommendations: Sequence[Recommendation],
    ) -> None:
        """Give each answer an id, and queue it."""
        now = time.time()
        for question, recommendation in zip(questions, recommendations, strict=True):
            recommendation.id = f"{self._prefix}-{next(self._numbers):x}"
            if len(self._queue) >= MAX_QUEUE_ANSWERS:
                self._metrics.count_shown("dropped", 1)
            else:
                entry = (recommendation.id, now, question, catalogue, recommendation)
                self._queue.append(entry)

    async def run(self) -> None:
        """Write the queue, until the task is cancelled."""
        try:
            while True:
                await asyncio.sleep(WRITE_SECONDS)
                while self._queue:
                    await self.write_once()
        finally:
            await self._client.aclose()

    async def write_once(self) -> None:
        """Write the oldest answers of the queue. What the store does not take is dropped."""
        answers = self._queue[:WRITE_ANSWERS]
        del self._queue[:WRITE_ANSWERS]
        try:
            if (await self._client.memory_usage(self._stream) or 0) >= MAX_STREAM_BYTES:
                self._metrics.count_shown("dropped", len(answers))
                return
            await self._client.xadd(self._stream, {ENTRY_FIELD: _encode_answers(answers)})
        except (redis.exceptions.RedisError, OSError) as error:
            self._metrics.count_shown("dropped", len(answers))
            if not self._is_failing:  # once for an outage, not ten times a second
                logs.log_event(logging.WARNING, "answers not logged", reason=str(error))
            self._is_failing = True
            return
        self._is_failing = False
        self._metrics.count_shown("written", len(answers))


def _encode_answers(answers: Sequence[QueueEntry]) -> bytes:
    """Return what the answers showed as a JSON list."""
    records = []
    for answer_id, seconds, question, catalogue, recommendation in answers:
        record = {
            "id": answer_id,
            "time": seconds,
            "user": question.user_id,
            "items": catalogue.item_ids.take(recommendation.items),
            "tier": recommendation.tier,
            "token": catalogue.token,
        }
        records.append(record)
    return orjson.dumps(records)
