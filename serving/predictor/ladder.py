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

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from components import recent, store_histories
from components.fold_in import NO_PAIRS, Pairs
from components.store_layout import Keys
from components.store_reader import Failure, Reader, Value, body_of
from components.store_rows import address
from serving.predictor.metrics import Metrics
from serving.predictor.question import Event, Question
from serving.predictor.ranking import Ranker, Task
from serving.predictor.snapshot import Snapshot

DAY = 86_400.0
Lists = tuple[list[int], list[float]]


@dataclass(slots=True)
class Found:
    """An answer as item indices."""

    tier: str
    items: list[int]
    scores: list[float]
    because: list[list[tuple[int, float]]] | None = None


@dataclass(slots=True)
class Asker:
    """A question with what the store says of its user."""

    question: Question
    k: int
    bucket: int
    fingerprint: bytes
    value: bytes = b""
    """The bucket."""
    at: int = -1
    """Where the user's record begins in it; -1: unknown."""
    hidden: set[int] = field(default_factory=set)
    events: Pairs = NO_PAIRS
    """What counts beside the history, aged at the cut."""
    days: float = 0.0
    """From as_of to the cut."""
    history: Pairs | None = NO_PAIRS
    """None where it could not be read."""
    met: int = 0
    is_cut: bool = False
    """Whether the history has items without weights."""


class Ladder:
    """Answers from a snapshot, the store and the threads."""

    def __init__(
        self, namespace: str, reader: Reader, ranker: Ranker, metrics: Metrics, gone: Callable[[], None]
    ) -> None:
        """`gone` is told that a value of the version is not there any more."""
        self._namespace, self._keys, self._gone = namespace, Keys(namespace), gone
        self._reader, self._ranker, self._metrics = reader, ranker, metrics

    async def climb(self, snapshot: Snapshot, questions: Sequence[Question], longest: int) -> list[Found]:
        """One for each question; `longest` is how many items they get who do not say."""
        askers = [self._asker(snapshot, question, longest) for question in questions]
        await self._read(snapshot, askers)
        answers = [_quick(snapshot, asker) for asker in askers]
        left = [at for at, answer in enumerate(answers) if answer is None]
        if left:
            waiting = [askers[at] for at in left]
            await self._read_histories(snapshot, [asker for asker in waiting if asker.at >= 0])
            for at, answer in zip(left, await self._ranked(snapshot, waiting), strict=True):
                answers[at] = answer
        return [answer or _stored(snapshot, asker) for answer, asker in zip(answers, askers, strict=True)]

    def _asker(self, snapshot: Snapshot, question: Question, longest: int) -> Asker:
        bucket, fingerprint = address(question.user_id, snapshot.salt, snapshot.buckets)
        return Asker(question, question.k or min(longest, snapshot.k), bucket, fingerprint)

    async def _read(self, snapshot: Snapshot, askers: Sequence[Asker]) -> None:
        """Records and recorded events, in one read."""
        names: list[str] = []
        for asker in askers:
            names.append(self._keys.users(snapshot.token, asker.bucket))
            if not asker.question.recent:
                names.append(recent.key(self._namespace, asker.question.user_id))
        values = iter(await self._reader.read(names))
        for asker in askers:
            bucket = next(values)
            recorded = b"" if asker.question.recent else next(values)
            self._understand(snapshot, asker, bucket, recorded)

    def _understand(self, snapshot: Snapshot, asker: Asker, bucket: Value, recorded: Value) -> None:
        if body_of(bucket) is Failure.CORRUPT:
            bucket = Failure.CORRUPT
        if isinstance(bucket, Failure):
            self._failed("bucket", bucket)
        else:
            asker.value, asker.at = bucket, snapshot.records.find(bucket, asker.fingerprint)
        question = asker.question
        if question.recent:
            _take(snapshot, asker, question.recent)
        elif isinstance(recorded, bytes) and recorded:
            try:
                _take(snapshot, asker, recent.parse(recorded))
            except (ValueError, TypeError, RecursionError):  # of another kind, or nested without an end
                self._metrics.corrupt("recent")
        if question.exclude:
            asker.hidden |= snapshot.item_ids.rows(question.exclude)

    def _failed(self, what: str, failure: Failure) -> None:
        if failure is Failure.UNREACHABLE:
            self._metrics.degraded("store")
        else:
            if failure is Failure.MISSING:
                self._gone()
            self._metrics.corrupt(what)
            self._metrics.degraded("corrupt" if failure is Failure.CORRUPT else "gone")

    async def _read_histories(self, snapshot: Snapshot, askers: Sequence[Asker]) -> None:
        values = await self._reader.read([self._keys.histories(snapshot.token, asker.bucket) for asker in askers])
        for asker, value in zip(askers, values, strict=True):
            body = body_of(value)
            if isinstance(body, Failure):
                self._failed("history", body)
                asker.history = None
                continue
            found = store_histories.find(body, asker.fingerprint)
            if found is not None:
                _remember(asker, found)

    async def _ranked(self, snapshot: Snapshot, askers: Sequence[Asker]) -> list[Found | None]:
        """None for whom the threads could do nothing."""
        tasks = [None if asker.history is None else _task(snapshot, asker, asker.history) for asker in askers]
        futures = [None if task is None else self._ranker.rank(task) for task in tasks]
        found: list[Found | None] = []
        for asker, task, future in zip(askers, tasks, futures, strict=True):
            ranked = await future if future else None
            if ranked is None or task is None:
                if task is not None:
                    self._metrics.degraded("overload")
                found.append(None)
                continue
            tier = "list" if task.listed else "vector" if not task.fold else _tier(snapshot, asker)
            found.append(Found(tier, ranked.items, ranked.scores, ranked.because))
        return found


def check(snapshot: Snapshot, question: Question) -> None:
    """ValueError for what a question may not ask of this version."""
    for name, _ in question.filters:
        if name not in snapshot.attributes:
            known = ", ".join(sorted(snapshot.attributes)) or "none"
            raise ValueError(f"items have no attribute {name[:50]!r} to filter by: there is {known}")
    for event in question.recent:
        if event.event_type not in snapshot.event_weights:
            known = ", ".join(sorted(snapshot.event_weights))
            raise ValueError(f"event type {event.event_type[:50]!r} is unknown: give one of {known}")


def _take(snapshot: Snapshot, asker: Asker, events: Sequence[Event | recent.Event]) -> None:
    """Hide the events' items, and add up what counts: of a known user what the history can't have, since as_of."""
    newest = max(time.time(), snapshot.day)
    since = snapshot.day if asker.at >= 0 else 0.0
    pairs: dict[int, tuple[float, float]] = {}
    hidden: set[int] = set()
    for event in events:
        row = snapshot.item_ids.row(event.item_id)
        if row is None:
            continue
        hidden.add(row)
        moment = newest if event.time is None else min(newest, event.time)
        weight = snapshot.event_weights.get(event.event_type, 0.0)
        if weight and moment >= since:
            before, last = pairs.get(row, (0.0, moment))
            pairs[row] = before + weight, max(last, moment)
    asker.hidden |= hidden
    if pairs and snapshot.can_fold:
        weights, times = np.array(list(pairs.values())).T
        cut = max(snapshot.day, float(times.max()))
        asker.events = Pairs(np.array(list(pairs), dtype=np.int64), weights, (cut - times) / DAY)
        asker.days = (cut - snapshot.day) / DAY
        asker.met = len(pairs)


def _remember(asker: Asker, found: store_histories.History) -> None:
    index = found.item_index.astype(np.int64)
    asker.history = Pairs(index, found.weight.astype(np.float64), found.age.astype(np.float64))
    asker.is_cut = bool(len(found.older))
    met = {*index.tolist(), *found.older.tolist()}
    asker.hidden |= met
    asker.met = len(met.union(asker.events.index.tolist()))


def _quick(snapshot: Snapshot, asker: Asker) -> Found | None:
    """What needs neither a history nor a thread; None for the rest."""
    question = asker.question
    if len(asker.events) and (asker.at >= 0 or _knows(snapshot, asker)):
        return None
    if asker.at < 0:
        return _stored(snapshot, asker)
    if question.filters or question.explain:
        return None
    items, scores = snapshot.records.entries(asker.value, asker.at)
    whole = len(items) < snapshot.k  # a list that is not full has all there is
    if asker.hidden:
        items, scores = _shown(items, scores, asker.hidden)
    if len(items) < asker.k and not whole:
        return None
    return Found("list", items[: asker.k], scores[: asker.k])


def _shown(items: list[int], scores: list[float], hidden: set[int]) -> Lists:
    kept = [at for at, item in enumerate(items) if item not in hidden]
    return [items[at] for at in kept], [scores[at] for at in kept]


def _stored(snapshot: Snapshot, asker: Asker) -> Found:
    """The user's list, or the popular one that fits, minus what is hidden: from what has been read already."""
    mask = snapshot.mask(asker.question.filters)
    if asker.at >= 0:
        items, scores = _shown(*snapshot.records.entries(asker.value, asker.at), asker.hidden)
        if mask is not None:
            items, scores = _shown(items, scores, {item for item in items if not mask[item]})
        tier, items, scores = "list", items[: asker.k], scores[: asker.k]
    else:
        tier, (items, scores) = "popular", snapshot.everybody.best(asker.k, asker.hidden, mask)
        segment = snapshot.segment(asker.question.context)
        if segment is not None:
            found = segment.best(asker.k, asker.hidden, mask)
            if len(found[0]) >= len(items):
                tier, (items, scores) = "segment", found
    return Found(tier, items, scores, [[] for _ in items] if asker.question.explain else None)


def _knows(snapshot: Snapshot, asker: Asker) -> bool:
    """Whether the model can tell anything from the events."""
    return bool(snapshot.coarse.vectors[asker.events.index].any())


def _tier(snapshot: Snapshot, asker: Asker) -> str:
    if asker.at >= 0 or snapshot.coarse.vectors[asker.events.index, : snapshot.factors].any():
        return "fold_in"
    return "content"


def _task(snapshot: Snapshot, asker: Asker, history: Pairs) -> Task:
    question, fold = asker.question, bool(len(asker.events))
    known = asker.at >= 0
    mask, listed = snapshot.mask(question.filters), None
    if known and not fold and mask is None:
        items, scores = _shown(*snapshot.records.entries(asker.value, asker.at), asker.hidden)
        if question.explain and (len(items) >= asker.k or snapshot.k > len(items) + len(asker.hidden)):
            listed = items[: asker.k], scores[: asker.k]
    stored = known and (asker.is_cut or not fold)
    return Task(
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
