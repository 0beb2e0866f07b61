"""Rank all items for a few users. Runs in a thread, off the event loop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import BoolArray, Int64Array
from dawnlist.ranking.coarse import NO_MASKS
from dawnlist.serving.predictor.answers.explanation import explain_items
from dawnlist.serving.predictor.answers.own_items import (
    OwnItems,
    OwnItemsUse,
    add_vector_scores,
    merge_lists,
)
from dawnlist.serving.predictor.answers.ranked_user import RankedUser, describe_user
from dawnlist.serving.predictor.answers.ranking_task import RankingTask
from dawnlist.serving.predictor.answers.recommendation import ItemReasons, ScoredItems

SPARSE_SHARE: Final = 0.1
"""A mask that leaves at most this share of the items is sparse: its items are ranked one by one."""


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
    users = [describe_user(task) for task in tasks]
    results = []
    for task, user, (items, scores) in zip(tasks, users, _choose_lists(tasks, users), strict=True):
        because = None
        if task.explain:
            because = explain_items(task, user, items)
        results.append(RankingResult(items, scores, because))
    return results


def _choose_lists(tasks: Sequence[RankingTask], users: Sequence[RankedUser]) -> list[ScoredItems]:
    """Return each task's list: the stored one, own items alone, or the best of all items."""
    lists: list[ScoredItems] = []
    unranked = []
    sparse = _find_sparse_masks(tasks)
    for position, (task, user) in enumerate(zip(tasks, users, strict=True)):
        ranked: ScoredItems = ([], [])
        if task.stored_list is not None:
            ranked = task.stored_list
        elif task.own_items is OwnItemsUse.ALONE:
            ranked = merge_lists(ranked, _score_allowed_own_items(task, user), task.k)
        elif id(task.mask) in sparse:
            ranked = _rank_few_items(task, user, sparse[id(task.mask)])
        else:
            unranked.append(position)
        lists.append(ranked)
    if unranked:
        ranked_lists = _rank_all_items(
            [tasks[position] for position in unranked],
            [users[position] for position in unranked],
        )
        for position, ranked in zip(unranked, ranked_lists, strict=True):
            lists[position] = ranked
    return lists


def _find_sparse_masks(tasks: Sequence[RankingTask]) -> dict[int, Int64Array]:
    """Return the rows that a mask leaves, by the mask's id, for masks that leave few items."""
    sparse = {}
    for task in tasks:
        if task.mask is None or id(task.mask) in sparse:
            continue
        if np.count_nonzero(task.mask) <= len(task.mask) * SPARSE_SHARE:
            sparse[id(task.mask)] = np.flatnonzero(task.mask)
    return sparse


def _rank_few_items(task: RankingTask, user: RankedUser, rows: Int64Array) -> ScoredItems:
    """Rank the items that a mask leaves, one by one. The list is that of `_rank_all_items`."""
    hidden = _sort_hidden_rows(task, user)
    items, scores = task.snapshot.coarse.best_of_rows(user.vector, task.k, rows, hidden)
    length = int((items >= 0).sum())
    ranked = items[:length].tolist(), scores[:length].tolist()
    if len(user.own):
        ranked = merge_lists(ranked, _score_allowed_own_items(task, user), task.k)
    return ranked


def _rank_all_items(tasks: Sequence[RankingTask], users: Sequence[RankedUser]) -> list[ScoredItems]:
    """Rank all items for all tasks in one pass over the item vectors.

    The items that a user met are left out of the pass. Own items, which are those that may come
    back, are then merged into the list.
    """
    coarse = tasks[0].snapshot.coarse
    longest = max(task.k for task in tasks)
    hidden = [_sort_hidden_rows(task, user) for task, user in zip(tasks, users, strict=True)]
    hidden_lengths = [len(rows) for rows in hidden]
    hidden_begins = np.concatenate([[0], np.cumsum(hidden_lengths)])
    masks, mask_numbers = _stack_masks(tasks)
    vectors = np.stack([user.vector for user in users])
    all_items, all_scores = coarse.best(
        vectors, longest, hidden_begins, np.concatenate(hidden), masks, mask_numbers
    )
    lists = []
    for task, user, items, scores in zip(tasks, users, all_items, all_scores, strict=True):
        length = min(task.k, int((items >= 0).sum()))
        ranked = items[:length].tolist(), scores[:length].tolist()
        if len(user.own):
            ranked = merge_lists(ranked, _score_allowed_own_items(task, user), task.k)
        lists.append(ranked)
    return lists


def _sort_hidden_rows(task: RankingTask, user: RankedUser) -> npt.NDArray[np.int32]:
    """Return the rows of the task's hidden items and of all that the user met, ascending."""
    hidden = task.hidden.union(user.equation.index.tolist())
    rows = np.fromiter(hidden, np.int32, len(hidden))
    return np.sort(rows)


def _score_allowed_own_items(task: RankingTask, user: RankedUser) -> OwnItems:
    """Return the own items that the task may return, with their whole scores.

    In a version without repeats the whole score is own(u, i) alone.
    """
    snapshot = task.snapshot
    is_allowed = [row not in task.hidden for row in user.own.rows.tolist()]
    positions = np.flatnonzero(is_allowed)
    rows, scores = user.own.rows[positions], user.own.scores[positions]
    if task.mask is not None:
        is_in_mask = task.mask[rows]
        rows, scores = rows[is_in_mask], scores[is_in_mask]
    own = OwnItems(rows, scores)
    if snapshot.repeats.share > 0:
        return add_vector_scores(snapshot.coarse, user.vector, own)
    return own


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
