"""The ladder: the best answer that can be had for a question right now, and there always is one.

    fold_in   all items ranked by a vector computed now, from the stored history and the recent events
    vector    all items ranked by the stored vector: filters, a longer list, or too much excluded
    list      the stored list
    content   an unknown user with recent events of items that only their content is known of
    segment   the popular list of the user's context
    popular   the popular list
    static    a file, while no version could be loaded

What is hidden from an answer: what the user has met, recent events and what the caller excludes. A rung that can't be
reached (the store is silent, a value is broken, the threads are busy) costs quality and never the answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dawnlist.ranking.fold_in import UserPairs
from dawnlist.serving.predictor.answers.metrics import EngineMetrics
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.ranking import Ranker, RankingTask
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.serving.predictor.answers.user_state import UserState, apply_events, apply_history
from dawnlist.store import history as store_history
from dawnlist.store import recent
from dawnlist.store.layout import StoreKeys
from dawnlist.store.nodes import ReadFailure, ReadResult
from dawnlist.store.reader import StoreReader, extract_body
from dawnlist.store.user_buckets import locate_user

ScoredItems = tuple[list[int], list[float]]


@dataclass(slots=True)
class Recommendation:
    """An answer as item indices."""

    tier: str
    items: list[int]
    scores: list[float]
    because: list[list[tuple[int, float]]] | None = None


class Ladder:
    """Answers from a snapshot, the store and the threads."""

    def __init__(
        self,
        namespace: str,
        reader: StoreReader,
        ranker: Ranker,
        metrics: EngineMetrics,
        gone: Callable[[], None],
    ) -> None:
        """`gone` is told that a value of the version is not there any more."""
        self._namespace, self._keys, self._gone = namespace, StoreKeys(namespace), gone
        self._reader, self._ranker, self._metrics = reader, ranker, metrics

    async def climb(
        self, snapshot: Snapshot, questions: Sequence[Question], longest: int
    ) -> list[Recommendation]:
        """One for each question; `longest` is how many items they get who do not say."""
        askers = [self._asker(snapshot, question, longest) for question in questions]
        await self._read(snapshot, askers)
        answers = [_answer_without_ranking(snapshot, asker) for asker in askers]
        left = [at for at, answer in enumerate(answers) if answer is None]
        if left:
            waiting = [askers[at] for at in left]
            await self._read_histories(snapshot, [asker for asker in waiting if asker.at >= 0])
            for at, answer in zip(left, await self._ranked(snapshot, waiting), strict=True):
                answers[at] = answer
        return [
            answer or _answer_from_stored_lists(snapshot, asker)
            for answer, asker in zip(answers, askers, strict=True)
        ]

    def _asker(self, snapshot: Snapshot, question: Question, longest: int) -> UserState:
        bucket, fingerprint = locate_user(question.user_id, snapshot.salt, snapshot.buckets)
        return UserState(question, question.k or min(longest, snapshot.k), bucket, fingerprint)

    async def _read(self, snapshot: Snapshot, askers: Sequence[UserState]) -> None:
        """Records and recorded events, in one read."""
        names: list[str] = []
        for asker in askers:
            names.append(self._keys.users(snapshot.token, asker.bucket))
            if not asker.question.recent:
                names.append(recent.build_recent_key(self._namespace, asker.question.user_id))
        values = iter(await self._reader.read(names))
        for asker in askers:
            bucket = next(values)
            recorded = b"" if asker.question.recent else next(values)
            self._understand(snapshot, asker, bucket, recorded)

    def _understand(
        self, snapshot: Snapshot, asker: UserState, bucket: ReadResult, recorded: ReadResult
    ) -> None:
        if extract_body(bucket) is ReadFailure.CORRUPT:
            bucket = ReadFailure.CORRUPT
        if isinstance(bucket, ReadFailure):
            self._failed("bucket", bucket)
        else:
            asker.value, asker.at = bucket, snapshot.records.find(bucket, asker.fingerprint)
        question = asker.question
        if question.recent:
            apply_events(snapshot, asker, question.recent)
        elif isinstance(recorded, bytes) and recorded:
            try:
                apply_events(snapshot, asker, recent.parse_recent_events(recorded))
            except (
                ValueError,
                TypeError,
                RecursionError,
            ):  # of another kind, or nested without an end
                self._metrics.report_corruption("recent")
        if question.exclude:
            asker.hidden |= snapshot.item_ids.find_rows(question.exclude)

    def _failed(self, what: str, failure: ReadFailure) -> None:
        if failure is ReadFailure.UNREACHABLE:
            self._metrics.report_degradation("store")
        else:
            if failure is ReadFailure.MISSING:
                self._gone()
            self._metrics.report_corruption(what)
            self._metrics.report_degradation(
                "corrupt" if failure is ReadFailure.CORRUPT else "gone"
            )

    async def _read_histories(self, snapshot: Snapshot, askers: Sequence[UserState]) -> None:
        values = await self._reader.read(
            [self._keys.histories(snapshot.token, asker.bucket) for asker in askers]
        )
        for asker, value in zip(askers, values, strict=True):
            body = extract_body(value)
            if isinstance(body, ReadFailure):
                self._failed("history", body)
                asker.history = None
                continue
            found = store_history.find_history(body, asker.fingerprint)
            if found is not None:
                apply_history(asker, found)

    async def _ranked(
        self, snapshot: Snapshot, askers: Sequence[UserState]
    ) -> list[Recommendation | None]:
        """None for whom the threads could do nothing."""
        tasks = [
            None if asker.history is None else _build_task(snapshot, asker, asker.history)
            for asker in askers
        ]
        futures = [None if task is None else self._ranker.rank(task) for task in tasks]
        found: list[Recommendation | None] = []
        for asker, task, future in zip(askers, tasks, futures, strict=True):
            ranked = await future if future else None
            if ranked is None or task is None:
                if task is not None:
                    self._metrics.report_degradation("overload")
                found.append(None)
                continue
            tier = (
                "list"
                if task.listed
                else "vector"
                if not task.fold
                else _choose_fold_in_tier(snapshot, asker)
            )
            found.append(Recommendation(tier, ranked.items, ranked.scores, ranked.because))
        return found


def _answer_without_ranking(snapshot: Snapshot, asker: UserState) -> Recommendation | None:
    """What needs neither a history nor a thread; None for the rest."""
    question = asker.question
    if len(asker.events) and (asker.at >= 0 or _has_informative_events(snapshot, asker)):
        return None
    if asker.at < 0:
        return _answer_from_stored_lists(snapshot, asker)
    if question.filters or question.explain:
        return None
    items, scores = snapshot.records.read_list(asker.value, asker.at)
    whole = len(items) < snapshot.k  # a list that is not full has all there is
    if asker.hidden:
        items, scores = _remove_hidden(items, scores, asker.hidden)
    if len(items) < asker.k and not whole:
        return None
    return Recommendation("list", items[: asker.k], scores[: asker.k])


def _remove_hidden(items: list[int], scores: list[float], hidden: set[int]) -> ScoredItems:
    kept = [at for at, item in enumerate(items) if item not in hidden]
    return [items[at] for at in kept], [scores[at] for at in kept]


def _answer_from_stored_lists(snapshot: Snapshot, asker: UserState) -> Recommendation:
    """The user's list, or the popular one that fits, minus what is hidden: from what has been read already."""
    mask = snapshot.mask(asker.question.filters)
    if asker.at >= 0:
        items, scores = _remove_hidden(
            *snapshot.records.read_list(asker.value, asker.at), asker.hidden
        )
        if mask is not None:
            items, scores = _remove_hidden(
                items, scores, {item for item in items if not mask[item]}
            )
        tier, items, scores = "list", items[: asker.k], scores[: asker.k]
    else:
        tier, (items, scores) = (
            "popular",
            snapshot.everybody.select_best(asker.k, asker.hidden, mask),
        )
        segment = snapshot.segment(asker.question.context)
        if segment is not None:
            found = segment.select_best(asker.k, asker.hidden, mask)
            if len(found[0]) >= len(items):
                tier, (items, scores) = "segment", found
    return Recommendation(
        tier, items, scores, [[] for _ in items] if asker.question.explain else None
    )


def _has_informative_events(snapshot: Snapshot, asker: UserState) -> bool:
    """Whether the model can tell anything from the events."""
    return bool(snapshot.coarse.vectors[asker.events.index].any())


def _choose_fold_in_tier(snapshot: Snapshot, asker: UserState) -> str:
    if asker.at >= 0 or snapshot.coarse.vectors[asker.events.index, : snapshot.factors].any():
        return "fold_in"
    return "content"


def _build_task(snapshot: Snapshot, asker: UserState, history: UserPairs) -> RankingTask:
    question, fold = asker.question, bool(len(asker.events))
    known = asker.at >= 0
    mask, listed = snapshot.mask(question.filters), None
    if known and not fold and mask is None:
        items, scores = _remove_hidden(
            *snapshot.records.read_list(asker.value, asker.at), asker.hidden
        )
        if question.explain and (
            len(items) >= asker.k or snapshot.k > len(items) + len(asker.hidden)
        ):
            listed = items[: asker.k], scores[: asker.k]
    stored = known and (asker.is_cut or not fold)
    return RankingTask(
        snapshot=snapshot,
        k=asker.k,
        hidden=asker.hidden,
        mask=mask,
        history=history,
        met=asker.met,
        events=asker.events,
        days=asker.days,
        vector=snapshot.records.vector(asker.value, asker.at) if stored else None,
        fold=fold,
        explain=question.explain,
        listed=listed,
    )
