"""The engine answers questions from memory and one read of the store. It knows no protocol."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dawnlist.machine import cpu_cores
from dawnlist.serving.predictor.answers.group.group_answer import (
    GroupAnswer,
    answer_group,
    answer_group_without_version,
)
from dawnlist.serving.predictor.answers.group.group_members import MemberState
from dawnlist.serving.predictor.answers.group.group_question import GroupQuestion
from dawnlist.serving.predictor.answers.ladder import Ladder
from dawnlist.serving.predictor.answers.metrics import EngineMetrics, NoMetrics
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.ranker import Ranker
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.answers.shelves.item_shelves import answer_item_shelf
from dawnlist.serving.predictor.answers.shelves.seen_items import answer_seen_items
from dawnlist.serving.predictor.answers.shelves.shelf_question import ShelfKind, ShelfQuestion
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.serving.predictor.answers.static_catalogue import StaticCatalogue
from dawnlist.serving.predictor.answers.user_state import validate_question
from dawnlist.serving.predictor.answers.version_follower import VersionFollower
from dawnlist.store.reader import READ_TIMEOUT_SECONDS, StoreReader

DEFAULT_K: Final = 20
MAX_K: Final = 100
MAX_OFFSET: Final = 400
"""Items of a list that can be passed over: with MAX_K more, 500 can be reached."""
QUESTIONS_PER_BLOCK: Final = 32
"""Questions of one call that are answered at a time; other calls get their turn in between."""
MAX_WAITING_QUESTIONS: Final = 64
"""Questions that may wait for a ranking thread."""
NO_METRICS: Final = NoMetrics()


@dataclass(slots=True)
class Answer:
    """One user's items, best first; the lists are aligned."""

    tier: str
    """The rung that answered: fold_in, vector, list, content, segment, popular, static or none."""
    version: int
    """The version that answered; 0 for the static file."""
    as_of: datetime | None
    """The end of the version's data, in UTC; None without a version and a static file."""
    item_ids: list[str]
    """The items' ids."""
    titles: list[str]
    """The items' titles; a missing title is ""."""
    scores: list[float]
    """The items' scores, comparable within one list only."""
    because: list[list[tuple[str, float]]] | None
    """For each item the past items that contributed to its score, the largest contribution first.
    None unless the question asked for it."""


class ServingEngine:
    """Answers questions from the active version, which it follows from `start` to `stop`.

    It belongs to one event loop.
    """

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
        """Prepare an engine; `start` connects it.

        Args:
            redis: The store's URL.
            namespace: The namespace whose active version answers.
            static: A file with items to return while no version could be loaded.
            metrics: Receives the engine's reports.
            timeout: Seconds that a read of the store may take.
            threads: Threads that rank items; 0 means one less than there are cores.
            waiting: How many questions may wait for a thread; others get a stored list.

        Raises:
            ValueError: the URL, the namespace or the static file can't be used.
        """
        self._namespace = namespace
        self._metrics = metrics
        self._threads = threads or max(1, cpu_cores.count_cores() - 1)
        self._max_waiting = waiting
        self._static = StaticCatalogue.load(static)
        self._first_poll = asyncio.Event()
        self._follower = VersionFollower(redis, namespace, metrics, self._report_poll)
        self._reader = StoreReader(redis, metrics, timeout)
        self._group_turns = asyncio.Semaphore(self._threads)

    async def start(self) -> None:
        """Start to follow the active version.

        Returns when the first version is loaded, or when there is none that can be loaded.
        """
        self._loop = asyncio.get_running_loop()
        self._ranker = Ranker(self._threads, self._max_waiting, self._metrics)
        self._ladder = Ladder(
            self._namespace, self._reader, self._ranker, self._metrics, self._follower.poll_now
        )
        self._follower.start()
        await self._first_poll.wait()
        await self._reader.warm_up()

    async def stop(self) -> None:
        """Stop following, and close the threads and the connections to the store."""
        await asyncio.to_thread(self._follower.stop)
        self._ranker.close()
        self._reader.close()

    async def recommend(
        self, questions: Sequence[Question]
    ) -> tuple[Snapshot | StaticCatalogue, list[Recommendation]]:
        """Answer each question, in order, with rows of the catalogue that is returned.

        Raises:
            ValueError: a question asks for what is not allowed (`k`, an attribute that the items
                do not have, an unknown event type). It raises no other error.
        """
        snapshot = self._follower.snapshot
        for question in questions:
            if question.k is not None and not 0 < question.k <= MAX_K:
                raise ValueError(f'"k" is {question.k}: give a whole number from 1 to {MAX_K}')
            if not 0 <= question.offset <= MAX_OFFSET:
                raise ValueError(
                    f'"offset" is {question.offset}: give a whole number from 0 to {MAX_OFFSET}'
                )
            if snapshot is not None and (question.is_filtered or question.recent):
                validate_question(snapshot, question)
        if snapshot is None:
            return self._static, [self._answer_from_file(question) for question in questions]
        if len(questions) <= QUESTIONS_PER_BLOCK:
            return snapshot, await self._ladder.climb(snapshot, questions, DEFAULT_K)
        recommendations: list[Recommendation] = []
        for begin in range(0, len(questions), QUESTIONS_PER_BLOCK):
            block = questions[begin : begin + QUESTIONS_PER_BLOCK]
            recommendations += await self._ladder.climb(snapshot, block, DEFAULT_K)
        return snapshot, recommendations

    async def answer_questions(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer each question, in order, with item ids and titles: for scripts and benchmarks.

        Raises:
            ValueError: as in `recommend`.
        """
        catalogue, recommendations = await self.recommend(questions)
        return [_resolve_ids(catalogue, recommendation) for recommendation in recommendations]

    async def answer_shelf(
        self, question: ShelfQuestion
    ) -> tuple[Snapshot | StaticCatalogue, Recommendation]:
        """Answer with a shelf, as rows of the catalogue that is returned.

        Raises:
            ValueError: the filter expression is wrong. It raises no other error.
        """
        snapshot = self._follower.snapshot
        if snapshot is None:
            return self._static, self._answer_shelf_from_file(question)
        if question.where:
            snapshot.filters.compute_mask(question.where)
        if question.kind is ShelfKind.CONTINUE:
            answer = answer_seen_items(snapshot, self._reader, self._namespace, question)
            return snapshot, await answer
        return snapshot, await asyncio.to_thread(answer_item_shelf, snapshot, question)

    async def answer_group(
        self, question: GroupQuestion
    ) -> tuple[Snapshot | StaticCatalogue, GroupAnswer]:
        """Answer with a group's list, as rows of the catalogue that is returned.

        Raises:
            ValueError: the filter expression is wrong. It raises no other error.
        """
        snapshot = self._follower.snapshot
        if snapshot is None:
            plain = Question("", question.k, question.exclude, where=question.where)
            answer = answer_group_without_version(question, self._answer_from_file(plain))
            return self._static, answer
        if question.where:
            snapshot.filters.compute_mask(question.where)
        states: list[MemberState] = []
        for begin in range(0, len(question.members), QUESTIONS_PER_BLOCK):
            block = question.members[begin : begin + QUESTIONS_PER_BLOCK]
            states += await self._ladder.read_members(snapshot, block)
        # As many groups as there are ranking threads: more would take the cores from single users.
        async with self._group_turns:
            return snapshot, await asyncio.to_thread(answer_group, snapshot, question, states)

    @property
    def ready(self) -> bool:
        """Whether a version is loaded and the kernels are compiled."""
        return self._follower.snapshot is not None

    @property
    def version(self) -> int | None:
        """The version that answers new questions; None while no version is loaded."""
        snapshot = self._follower.snapshot
        return None if snapshot is None else snapshot.version

    @property
    def as_of(self) -> datetime | None:
        """The end of that version's data, in UTC; None while no version is loaded."""
        snapshot = self._follower.snapshot
        return None if snapshot is None else snapshot.as_of

    @property
    def loaded_at(self) -> float | None:
        """When that version was loaded, in seconds since 1970; None while no version is loaded."""
        return self._follower.loaded_at

    @property
    def redis_ok(self) -> bool:
        """Whether the store answered the last read."""
        return self._reader.ok

    def _report_poll(self) -> None:
        """Let `start` return; called from the follower's thread after each poll."""
        if not self._first_poll.is_set():
            self._loop.call_soon_threadsafe(self._first_poll.set)

    def _answer_shelf_from_file(self, question: ShelfQuestion) -> Recommendation:
        """Answer with the items of the static file; nobody's own shelf is in it."""
        if question.kind is ShelfKind.CONTINUE:
            return Recommendation("none", [], [])
        exclude = (*question.exclude, question.item_id)
        plain = Question("", question.k, exclude, where=question.where, offset=question.offset)
        return self._answer_from_file(plain)

    def _answer_from_file(self, question: Question) -> Recommendation:
        """Answer with the items of the static file."""
        excluded = {*question.exclude, *(event.item_id for event in question.recent)}
        withdrawn = self._follower.withdrawn_ids
        rows = []
        for row, item_id in enumerate(self._static.item_ids):
            if item_id not in excluded and item_id not in withdrawn:
                rows.append(row)
        rows = rows[question.offset :][: question.k or DEFAULT_K]
        if question.repeats == "only" or question.is_filtered:  # the file has no attributes
            rows = []
        scores = [0.0] * len(rows)
        if question.explain:
            return Recommendation("static", rows, scores, [[] for _ in rows])
        return Recommendation("static", rows, scores)


def _resolve_ids(catalogue: Snapshot | StaticCatalogue, recommendation: Recommendation) -> Answer:
    """Replace rows by item ids and titles."""
    item_ids = catalogue.item_ids
    because: list[list[tuple[str, float]]] | None = None
    if recommendation.because is not None:
        because = []
        for reasons in recommendation.because:
            because.append([(item_ids[row], contribution) for row, contribution in reasons])
    return Answer(
        tier=recommendation.tier,
        version=catalogue.version,
        as_of=catalogue.as_of,
        item_ids=item_ids.take(recommendation.items),
        titles=catalogue.titles.take(recommendation.items),
        scores=recommendation.scores,
        because=because,
    )
