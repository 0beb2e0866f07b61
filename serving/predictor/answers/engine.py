"""The engine: answers questions from memory and one read of the store, by the ladder; knows no protocol."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dawnlist.cuts import parse_as_of
from dawnlist.machine import cpu_cores
from dawnlist.serving.predictor.answers.ladder import Ladder, Recommendation
from dawnlist.serving.predictor.answers.metrics import EngineMetrics, NoMetrics
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.ranking import Ranker
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.serving.predictor.answers.static_catalogue import StaticCatalogue
from dawnlist.serving.predictor.answers.user_state import validate_question
from dawnlist.serving.predictor.answers.version_follower import VersionFollower
from dawnlist.store.reader import READ_TIMEOUT_SECONDS, StoreReader

DEFAULT_K: Final = 20
MAX_K: Final = 100
QUESTIONS_PER_BLOCK: Final = 32
"""Questions of one call that are answered at a time: others get their turn in between."""
MAX_WAITING_QUESTIONS: Final = 64
NO_METRICS: Final = NoMetrics()


@dataclass(slots=True)
class Answer:
    """One user's items, best first; the lists are aligned."""

    tier: str
    """The rung it is from: fold_in, vector, list, content, segment, popular or static."""
    version: int
    """Of the lists; 0 for the static file."""
    as_of: str
    item_ids: list[str]
    titles: list[str]
    """A missing title is ""."""
    scores: list[float]
    because: list[list[tuple[str, float]]] | None
    """Only when asked for: the past items that speak for each item, the strongest first, and what each adds."""


class ServingEngine:
    """Belongs to one event loop. It follows the active version by itself from `start` to `stop`."""

    def __init__(
        self,
        redis: str,
        namespace: str,
        static: Path | None = None,
        metrics: EngineMetrics = NO_METRICS,
        timeout: float = READ_TIMEOUT_SECONDS,
        threads: int = 0,
        waiting: int = MAX_WAITING_QUESTIONS,
    ) -> None:
        """`timeout`: seconds a read of the store may take. `threads` rank (0: one less than there are cores), and at
        most `waiting` questions wait for them. ValueError for a URL, a namespace or a static file that can't be used.
        """
        self._url, self._namespace, self._metrics, self._timeout = (
            redis,
            namespace,
            metrics,
            timeout,
        )
        self._threads, self._waiting = threads or max(1, cpu_cores.count_cores() - 1), waiting
        self._static = StaticCatalogue.load(static)
        self._tried = asyncio.Event()
        self._follower = VersionFollower(redis, namespace, metrics, self._heard)
        self._reader = StoreReader(redis, metrics, timeout)

    async def start(self) -> None:
        """Begin to follow the active version; returns when the first one is loaded, or when there is none to load."""
        self._loop = asyncio.get_running_loop()
        self._ranker = Ranker(self._threads, self._waiting, self._metrics)
        self._ladder = Ladder(
            self._namespace, self._reader, self._ranker, self._metrics, self._follower.hurry
        )
        self._follower.start()
        await self._tried.wait()
        await self._reader.warm_up()

    async def stop(self) -> None:
        """Let go of the store and the threads."""
        await asyncio.to_thread(self._follower.stop)
        self._ranker.close()
        self._reader.close()

    async def find(
        self, questions: Sequence[Question]
    ) -> tuple[Snapshot | StaticCatalogue, list[Recommendation]]:
        """One for each question in its order, as rows of the one catalogue that all are from.

        ValueError for what the caller did wrong (k, an attribute that items do not have); never another error.
        """
        snapshot = self._follower.snapshot
        for question in questions:
            if question.k is not None and not 0 < question.k <= MAX_K:
                raise ValueError(f'"k" is {question.k}: give a whole number from 1 to {MAX_K}')
            if snapshot is not None and (question.filters or question.recent):
                validate_question(snapshot, question)
        if snapshot is None:
            return self._static, [self._fixed(question) for question in questions]
        if len(questions) <= QUESTIONS_PER_BLOCK:
            return snapshot, await self._ladder.climb(snapshot, questions, DEFAULT_K)
        found: list[Recommendation] = []
        for begin in range(0, len(questions), QUESTIONS_PER_BLOCK):
            found += await self._ladder.climb(
                snapshot, questions[begin : begin + QUESTIONS_PER_BLOCK], DEFAULT_K
            )
        return snapshot, found

    async def answer_questions(self, questions: Sequence[Question]) -> list[Answer]:
        """The same with ids and titles."""
        catalogue, found = await self.find(questions)
        return [_resolve_ids(catalogue, one) for one in found]

    @property
    def ready(self) -> bool:
        """Whether a version is loaded and the kernels are compiled."""
        return self._follower.snapshot is not None

    @property
    def version(self) -> int | None:
        """That new questions are answered from; None while nothing is loaded."""
        snapshot = self._follower.snapshot
        return None if snapshot is None else snapshot.version

    @property
    def as_of(self) -> datetime | None:
        """Of that version."""
        snapshot = self._follower.snapshot
        return None if snapshot is None else parse_as_of(snapshot.as_of)

    @property
    def loaded_at(self) -> float | None:
        """When that version was loaded, seconds since 1970."""
        return self._follower.loaded_at

    @property
    def redis_ok(self) -> bool:
        """Whether the last read of the store was answered."""
        return self._reader.ok

    def _heard(self) -> None:
        """The follower's thread has looked for the first time, or again."""
        if not self._tried.is_set():
            self._loop.call_soon_threadsafe(self._tried.set)

    def _fixed(self, question: Question) -> Recommendation:
        """From the static file."""
        excluded = {*question.exclude, *(event.item_id for event in question.recent)}
        kept = [row for row, item_id in enumerate(self._static.item_ids) if item_id not in excluded]
        kept = kept[: question.k or DEFAULT_K]
        return Recommendation(
            "static", kept, [0.0] * len(kept), [[] for _ in kept] if question.explain else None
        )


def _resolve_ids(catalogue: Snapshot | StaticCatalogue, found: Recommendation) -> Answer:
    ids, because = catalogue.item_ids, None
    if found.because is not None:
        because = [[(ids[row], added) for row, added in reasons] for reasons in found.because]
    items, titles = ids.take(found.items), catalogue.titles.take(found.items)
    return Answer(
        found.tier, catalogue.version, catalogue.as_of, items, titles, found.scores, because
    )
