"""Rank all items for a few users, and explain the scores. Runs in a thread, off the event loop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from dawnlist.ranking.coarse import NO_MASKS
from dawnlist.ranking.fold_in import NO_START, UserEquation, UserPairs
from dawnlist.serving.predictor.answers.recommendation import ItemReasons, ScoredItems
from dawnlist.serving.predictor.answers.snapshot import Snapshot

MAX_REASONS: Final = 5
"""Past items that an explanation names for each item."""


@dataclass(slots=True)
class RankingTask:
    """One user for whom all items are to be ranked."""

    snapshot: Snapshot
    """The version to rank."""
    k: int
    """How many items to return."""
    hidden: set[int]
    """Rows of items that must not be returned."""
    mask: BoolArray | None
    """Items that are not withdrawn and that the filters allow, shape (items,); None allows all."""
    history: UserPairs
    """The stored history."""
    items_met: int
    """How many items the user has met, n in the weight w(n) of content."""
    events: UserPairs
    """Recent events that the history does not contain."""
    days_since_as_of: float
    """Days from as_of to the cut from which the events' ages are counted."""
    vector: Float32Array | None
    """The stored vector, for a ranking without events or a history that is truncated; else None."""
    fold: bool
    """Whether the vector is to be computed from the history and the events."""
    explain: bool
    """Whether to name the reasons for each score."""
    stored_list: ScoredItems | None = None
    """A list that only has to be explained; None if all items are to be ranked."""


@dataclass(slots=True)
class RankingResult:
    """The ranked items of one user."""

    items: list[int]
    """Item rows, best first."""
    scores: list[float]
    """A score for each item."""
    because: list[ItemReasons] | None
    """The reasons for each item; None unless the task asked for them."""


def rank_tasks(tasks: Sequence[RankingTask]) -> list[RankingResult]:
    """Rank the items for each task. All tasks must be of the same snapshot."""
    equations = [_build_equation(task) for task in tasks]
    results = []
    for task, equation, (items, scores) in zip(
        tasks, equations, _choose_lists(tasks, equations), strict=True
    ):
        because = None
        if task.explain:
            because = _explain_items(task.snapshot, equation, task.items_met, items)
        results.append(RankingResult(items, scores, because))
    return results


def _build_equation(task: RankingTask) -> UserEquation:
    """Build the equation whose solution is the user's vector."""
    start = NO_START
    if task.vector is not None and task.fold:
        start = task.vector.astype(np.float64)
    fold_in = task.snapshot.fold_in
    return fold_in.build_equation(task.history, task.events, task.days_since_as_of, start)


def _choose_lists(
    tasks: Sequence[RankingTask], equations: Sequence[UserEquation]
) -> list[ScoredItems]:
    """Return the stored list of each task that has one, and rank the others together."""
    lists: list[ScoredItems] = [task.stored_list or ([], []) for task in tasks]
    unranked = [position for position, task in enumerate(tasks) if task.stored_list is None]
    if unranked:
        ranked = _rank_all_items(
            [tasks[position] for position in unranked],
            [equations[position] for position in unranked],
        )
        for position, ranked_list in zip(unranked, ranked, strict=True):
            lists[position] = ranked_list
    return lists


def _rank_all_items(
    tasks: Sequence[RankingTask], equations: Sequence[UserEquation]
) -> list[ScoredItems]:
    """Rank all items for all tasks in one pass over the item vectors."""
    coarse = tasks[0].snapshot.coarse
    users = _build_user_vectors(tasks, equations)
    longest = max(task.k for task in tasks)
    hidden = [_sort_hidden_rows(task) for task in tasks]
    hidden_lengths = [len(rows) for rows in hidden]
    hidden_begins = np.concatenate([[0], np.cumsum(hidden_lengths)])
    masks, mask_numbers = _stack_masks(tasks)
    all_items, all_scores = coarse.best(
        users, longest, hidden_begins, np.concatenate(hidden), masks, mask_numbers
    )
    lists = []
    for task, items, scores in zip(tasks, all_items, all_scores, strict=True):
        length = min(task.k, int((items >= 0).sum()))
        lists.append((items[:length].tolist(), scores[:length].tolist()))
    return lists


def _sort_hidden_rows(task: RankingTask) -> npt.NDArray[np.int32]:
    """Return the rows of the task's hidden items, ascending."""
    rows = np.fromiter(task.hidden, np.int32, len(task.hidden))
    return np.sort(rows)


def _build_user_vectors(
    tasks: Sequence[RankingTask], equations: Sequence[UserEquation]
) -> Float32Array:
    """Return the users' vectors [factors | content], shape (tasks, factors + d)."""
    snapshot = tasks[0].snapshot
    users = np.zeros((len(tasks), snapshot.width), dtype=np.float32)
    for user, task, equation in zip(users, tasks, equations, strict=True):
        if task.fold or task.vector is None:
            user[: snapshot.factors] = snapshot.fold_in.vector(equation)
        else:
            user[: snapshot.factors] = task.vector
        user[snapshot.factors :] = _compute_content_vector(snapshot, equation, task.items_met)
    return users


def _stack_masks(tasks: Sequence[RankingTask]) -> tuple[BoolArray, Int64Array]:
    """Return the masks, shape (masks, items), and each task's mask by number, -1 for none."""
    masks: dict[int, BoolArray] = {}
    for task in tasks:
        if task.mask is not None:
            masks[id(task.mask)] = task.mask  # tasks without filters share one mask
    numbers = np.full(len(tasks), -1, dtype=np.int64)
    if not masks:
        return NO_MASKS, numbers
    positions = {mask_id: position for position, mask_id in enumerate(masks)}
    for number, task in enumerate(tasks):
        if task.mask is not None:
            numbers[number] = positions[id(task.mask)]
    return np.stack(list(masks.values())), numbers


def _compute_content_weight(snapshot: Snapshot, items_met: int) -> float:
    """Compute w(n) of the hybrid score."""
    share = snapshot.content_share
    pairs = snapshot.content_pairs
    if not share or not pairs:
        return 0.0
    return share * pairs / (pairs + items_met)


def _compute_content_vector(
    snapshot: Snapshot, equation: UserEquation, items_met: int
) -> Float64Array:
    """Compute w(n) p of the hybrid score, shape (d,)."""
    content_sum = equation.confidence @ snapshot.content[equation.index].astype(np.float64)
    length = float(np.linalg.norm(content_sum))
    factor = 0.0
    if length:
        factor = _compute_content_weight(snapshot, items_met) / length
    return np.asarray(content_sum * factor)


def _explain_items(
    snapshot: Snapshot, equation: UserEquation, items_met: int, items: list[int]
) -> list[ItemReasons]:
    """Return what the user's past items add to each item's score, if that is more than 0.

    Past items that are withdrawn are not named.
    """
    if not items:  # filters and exclusions may leave none
        return []
    rows = np.array(items, dtype=np.int64)
    contributions = _compute_contributions(snapshot, equation, items_met, rows)
    if snapshot.servable is not None:
        contributions[:, ~snapshot.servable[equation.index]] = 0.0
    order = np.argsort(-contributions, axis=1, kind="stable")[:, :MAX_REASONS]
    because = []
    for item_contributions, positions in zip(contributions, order, strict=True):
        reasons = []
        for position in positions:
            if item_contributions[position] > 0:
                past_item = int(equation.index[position])
                reasons.append((past_item, float(item_contributions[position])))
        because.append(reasons)
    return because


def _compute_contributions(
    snapshot: Snapshot, equation: UserEquation, items_met: int, rows: Int64Array
) -> Float64Array:
    """Compute what each past item adds to each score by factors and content, (items, past items).

    The whole score is explained by the pairs, also where the user's vector began with a stored one.
    """
    pull = equation.confidence + snapshot.fold_in.alpha0
    whole = UserEquation(equation.index, equation.confidence, pull, equation.ridge, NO_START)
    contributions = snapshot.fold_in.explain_scores(whole, rows)
    if not snapshot.content.shape[1] or not len(whole.index):
        return contributions
    past_content = snapshot.content[whole.index].astype(np.float64)
    past_content *= whole.confidence[:, None]
    length = float(np.linalg.norm(past_content.sum(axis=0)))
    factor = 0.0
    if length:
        factor = _compute_content_weight(snapshot, items_met) / length
    by_content = snapshot.content[rows].astype(np.float64) @ past_content.T
    return np.asarray(contributions + factor * by_content)
