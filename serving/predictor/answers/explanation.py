"""Explain scores: how much each past item of the user adds to them. Runs in a ranking thread."""

from typing import Final

import numpy as np

from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.ranking.fold_in import NO_START, UserEquation
from dawnlist.serving.predictor.answers.own_items import OwnItemsUse
from dawnlist.serving.predictor.answers.ranked_user import RankedUser, compute_content_weight
from dawnlist.serving.predictor.answers.ranking_task import RankingTask
from dawnlist.serving.predictor.answers.recommendation import ItemReasons

MAX_REASONS: Final = 5
"""Past items that an explanation names for each item."""


def explain_items(task: RankingTask, user: RankedUser, items: list[int]) -> list[ItemReasons]:
    """Return what the user's past items add to each item's score, if that is more than 0.

    Past items that are withdrawn are not named.
    """
    if not items:  # filters and exclusions may leave none
        return []
    rows = np.array(items, dtype=np.int64)
    equation = user.equation
    contributions = np.zeros((len(rows), len(equation.index)))
    if task.own_items is not OwnItemsUse.ALONE or task.snapshot.repeats.share > 0:
        contributions += _compute_contributions(task, user, rows)
    _add_own_scores(contributions, rows, user)
    if task.snapshot.servable is not None:
        contributions[:, ~task.snapshot.servable[equation.index]] = 0.0
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


def _add_own_scores(contributions: Float64Array, rows: Int64Array, user: RankedUser) -> None:
    """Add own(u, i) of each own item in `rows` to what the item contributes to itself."""
    past_items = user.equation.index.tolist()
    position_of_item = {item: position for position, item in enumerate(past_items)}
    own_scores = dict(zip(user.own.rows.tolist(), user.own.scores.tolist(), strict=True))
    for line, item in enumerate(rows.tolist()):
        if item in own_scores:
            contributions[line, position_of_item[item]] += own_scores[item]


def _compute_contributions(task: RankingTask, user: RankedUser, rows: Int64Array) -> Float64Array:
    """Compute what each past item adds to each score by factors and content, (items, past items).

    The whole score is explained by the pairs, also where the user's vector began with a stored one.
    """
    snapshot, equation = task.snapshot, user.equation
    pull = equation.confidence + snapshot.fold_in.alpha0
    whole = UserEquation(equation.index, equation.confidence, pull, equation.ridge, NO_START)
    contributions = snapshot.fold_in.explain_scores(whole, rows) / user.scale
    if not snapshot.content.shape[1] or not len(whole.index):
        return np.asarray(contributions)
    past_content = snapshot.content[whole.index].astype(np.float64)
    past_content *= whole.confidence[:, None]
    length = float(np.linalg.norm(past_content.sum(axis=0)))
    factor = 0.0
    if length:
        factor = compute_content_weight(snapshot, task.items_met) / length
    by_content = snapshot.content[rows].astype(np.float64) @ past_content.T
    return np.asarray(contributions + factor * by_content)
