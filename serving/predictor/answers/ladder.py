"""The ladder: the best answer that is possible for a question now. There always is one.

    fold_in   all items ranked by a vector computed now, from the stored history and recent events
    vector    all items ranked by the stored vector: for filters, a longer list, or many exclusions
    list      the stored list
    content   for an unknown user whose recent events are on items with content but no factors
    segment   the popular list of the user's context
    popular   the popular list
    static    the list from a file, while no version could be loaded
    none      nothing, for an unknown user without recent events who asks for own items alone

Items that the caller excludes are hidden from every answer, and so are withdrawn items
(dawnlist/store/withdrawals.py). Own items, which are those that the user has met and those of recent
events, are hidden too, unless the version or the question wants them (own_items.py). If a rung
can't be reached (the store does not answer, a value is damaged, the threads are busy), the next one
answers.
"""

from collections.abc import Callable, Sequence

from dawnlist.ranking.fold_in import UserPairs
from dawnlist.serving.predictor.answers.metrics import EngineMetrics
from dawnlist.serving.predictor.answers.own_items import OwnItemsUse, choose_own_items_use
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.ranker import Ranker, RankingFuture
from dawnlist.serving.predictor.answers.ranking_task import RankingTask
from dawnlist.serving.predictor.answers.recommendation import Recommendation, ScoredItems
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.serving.predictor.answers.stored_lists import (
    answer_from_stored_lists,
    answer_without_own_items,
    answer_without_ranking,
    read_visible_list,
)
from dawnlist.serving.predictor.answers.user_state import UserState, apply_events, apply_history
from dawnlist.store import recent
from dawnlist.store.histories import find_history
from dawnlist.store.layout import StoreKeys
from dawnlist.store.nodes import ReadFailure, ReadResult
from dawnlist.store.reader import StoreReader, extract_body
from dawnlist.store.user_buckets import locate_user


class Ladder:
    """Answers questions from a snapshot, the store and the ranking threads."""

    def __init__(
        self,
        namespace: str,
        reader: StoreReader,
        ranker: Ranker,
        metrics: EngineMetrics,
        on_missing: Callable[[], None],
    ) -> None:
        """`on_missing` is called when a value of the version is no longer in the store."""
        self._namespace = namespace
        self._keys = StoreKeys(namespace)
        self._reader = reader
        self._ranker = ranker
        self._metrics = metrics
        self._on_missing = on_missing

    async def climb(
        self, snapshot: Snapshot, questions: Sequence[Question], default_k: int
    ) -> list[Recommendation]:
        """Answer each question, in order, from the highest rung that can be reached.

        `default_k` is the number of items for questions without a `k`.
        """
        states = [_build_state(snapshot, question, default_k) for question in questions]
        await self._read_users(snapshot, states)
        answers = [answer_without_ranking(snapshot, state) for state in states]
        unanswered = [position for position, answer in enumerate(answers) if answer is None]
        if unanswered:
            ranked = await self._rank(snapshot, [states[position] for position in unanswered])
            for position, answer in zip(unanswered, ranked, strict=True):
                answers[position] = answer
        recommendations = []
        for state, answer in zip(states, answers, strict=True):
            if answer is None:
                answer = answer_from_stored_lists(snapshot, state)
            recommendations.append(answer.pass_over(state.question.offset))
        return recommendations

    async def read_members(
        self, snapshot: Snapshot, questions: Sequence[Question]
    ) -> list[tuple[UserState, RankingTask | None]]:
        """Read what the store knows of each user, and build the task of ranking all items for them.

        There is no task for a user whose history could not be read.
        """
        states = [_build_state(snapshot, question, default_k=1) for question in questions]
        await self._read_users(snapshot, states)
        await self._read_histories(snapshot, [state for state in states if state.is_known])
        return [(state, _build_task(snapshot, state)) for state in states]

    async def _read_users(self, snapshot: Snapshot, states: Sequence[UserState]) -> None:
        """Read the users' buckets and recorded events, all at once.

        A question that has recent events of its own needs no recorded ones.
        """
        keys: list[str] = []
        for state in states:
            keys.append(self._keys.users(snapshot.token, state.bucket))
            if not state.question.recent:
                keys.append(recent.build_recent_key(self._namespace, state.question.user_id))
        values = iter(await self._reader.read(keys))
        for state in states:
            bucket_value = next(values)
            recorded: ReadResult = b""
            if not state.question.recent:
                recorded = next(values)
            self._apply_bucket(snapshot, state, bucket_value)
            self._apply_recent(snapshot, state, recorded)
            if state.question.exclude:
                state.hidden |= snapshot.item_ids.find_rows(state.question.exclude)

    def _apply_bucket(self, snapshot: Snapshot, state: UserState, value: ReadResult) -> None:
        """Find the user's record in the bucket, or report why there is no bucket."""
        if extract_body(value) is ReadFailure.CORRUPT:
            value = ReadFailure.CORRUPT
        if isinstance(value, ReadFailure):
            self._report_failure("bucket", value)
            return
        state.bucket_value = value
        state.record_offset = snapshot.records.find_offset(value, state.fingerprint)

    def _apply_recent(self, snapshot: Snapshot, state: UserState, recorded: ReadResult) -> None:
        """Apply the question's own events or, if it has none, the recorded ones."""
        if state.question.recent:
            apply_events(snapshot, state, state.question.recent)
            return
        if not recorded or isinstance(recorded, ReadFailure):
            return
        try:
            apply_events(snapshot, state, recent.parse_recent_events(recorded))
        except (ValueError, TypeError, RecursionError):
            # The value is not a list of events, or is nested too deeply to be parsed.
            self._metrics.report_corruption("recent")

    def _report_failure(self, what: str, failure: ReadFailure) -> None:
        """Report why a bucket or a history could not be used."""
        if failure is ReadFailure.UNREACHABLE:
            self._metrics.report_degradation("store")
            return
        if failure is ReadFailure.MISSING:
            self._on_missing()
        self._metrics.report_corruption(what)
        reason = "corrupt" if failure is ReadFailure.CORRUPT else "gone"
        self._metrics.report_degradation(reason)

    async def _rank(
        self, snapshot: Snapshot, states: Sequence[UserState]
    ) -> list[Recommendation | None]:
        """Rank all items for each user; None where that was not possible."""
        await self._read_histories(snapshot, [state for state in states if state.is_known])
        answers = [answer_without_own_items(snapshot, state) for state in states]
        tasks: list[RankingTask | None] = []
        for state, answer in zip(states, answers, strict=True):
            tasks.append(None if answer is not None else _build_task(snapshot, state))
        # All tasks are submitted before the first is awaited, so that they are ranked together.
        futures = [None if task is None else self._ranker.rank(task) for task in tasks]
        for position, (state, task, future) in enumerate(zip(states, tasks, futures, strict=True)):
            if task is not None:
                answers[position] = await self._await_ranking(state, task, future)
        return answers

    async def _read_histories(self, snapshot: Snapshot, states: Sequence[UserState]) -> None:
        """Read and apply the histories of known users."""
        keys = [self._keys.histories(snapshot.token, state.bucket) for state in states]
        values = await self._reader.read(keys)
        for state, value in zip(states, values, strict=True):
            body = extract_body(value)
            if isinstance(body, ReadFailure):
                self._report_failure("history", body)
                state.history = None
                continue
            history = find_history(body, state.fingerprint)
            if history is not None:
                apply_history(state, history)

    async def _await_ranking(
        self,
        state: UserState,
        task: RankingTask,
        future: RankingFuture | None,
    ) -> Recommendation | None:
        """Wait for a ranking; None if there were too many, or the thread failed."""
        result = None
        if future is not None:
            result = await future
        if result is None:
            self._metrics.report_degradation("overload")
            return None
        tier = _choose_ranking_tier(task, state)
        return Recommendation(tier, result.items, result.scores, result.because)


def _build_state(snapshot: Snapshot, question: Question, default_k: int) -> UserState:
    """Locate the user, and choose how many items to return."""
    bucket, fingerprint = locate_user(question.user_id, snapshot.salt, snapshot.buckets)
    k = (question.k or min(default_k, snapshot.k)) + question.offset
    own_items = choose_own_items_use(snapshot.repeats, question)
    return UserState(question, k, own_items, bucket, fingerprint)


def _choose_ranking_tier(task: RankingTask, state: UserState) -> str:
    """Return the rung that a ranking stands for."""
    if task.stored_list is not None:
        return "list"
    if not task.fold:
        return "vector"
    if state.is_known or state.own_items is OwnItemsUse.ALONE:
        return "fold_in"
    snapshot = task.snapshot
    event_vectors = snapshot.coarse.vectors[state.events.index]
    if event_vectors[:, : snapshot.factors].any():
        return "fold_in"
    return "content" if event_vectors.any() else "popular"


def _build_task(snapshot: Snapshot, state: UserState) -> RankingTask | None:
    """Build the task of ranking all items; None if the user's history could not be read."""
    history: UserPairs | None = state.history
    if history is None:
        return None
    fold = len(state.events) > 0
    mask = snapshot.build_servable_mask(state.question)
    stored_list = None
    needs_list = state.question.explain and state.own_items is not OwnItemsUse.ALONE
    if needs_list and state.is_known and not fold and not state.question.is_filtered:
        stored_list = _read_sufficient_list(snapshot, state)
    vector = None
    if state.is_known and (state.is_history_truncated or not fold):
        vector = snapshot.records.read_vector(state.bucket_value, state.record_offset)
    return RankingTask(
        snapshot=snapshot,
        k=state.k,
        hidden=state.hidden,
        own_items=state.own_items,
        mask=mask,
        history=history,
        items_met=state.items_met,
        events=state.events,
        days_since_as_of=state.days_since_as_of,
        vector=vector,
        fold=fold,
        explain=state.question.explain,
        stored_list=stored_list,
    )


def _read_sufficient_list(snapshot: Snapshot, state: UserState) -> ScoredItems | None:
    """Return the user's stored list, unless it is too short for what the question asks for."""
    stored_items, _ = snapshot.records.read_list(state.bucket_value, state.record_offset)
    items, scores = read_visible_list(snapshot, state)
    # A list that is stored with fewer items than the others contains all there are.
    is_complete = len(stored_items) < snapshot.k
    if len(items) < state.k and not is_complete:
        return None
    return items[: state.k], scores[: state.k]
