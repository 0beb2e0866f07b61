"""What the items of one task are ranked by: the user's vector and their own items."""

import math
from dataclasses import dataclass

import numpy as np

from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.model.score_scales import SCORE_ITEMS, compute_score_scales
from dawnlist.ranking.fold_in import NO_START, UserEquation, merge_pairs
from dawnlist.serving.predictor.answers.own_items import (
    NO_OWN_ITEMS,
    OwnItems,
    OwnItemsUse,
    score_own_items,
)
from dawnlist.serving.predictor.answers.ranking_task import RankingTask
from dawnlist.serving.predictor.answers.snapshot import Snapshot


@dataclass(slots=True)
class RankedUser:
    """What the items of one task are ranked by."""

    equation: UserEquation
    """The equation whose solution is the user's vector x."""
    scale: float
    """What factor scores are divided by."""
    vector: Float32Array
    """[x / scale | w(n) p] of the hybrid score, shape (factors + d,)."""
    own: OwnItems
    """The user's own items, unless they are hidden."""


def describe_user(task: RankingTask) -> RankedUser:
    """Compute what the task's items are ranked by."""
    snapshot = task.snapshot
    equation = _build_equation(task)
    x: Float32Array | Float64Array
    if not snapshot.factors:
        x = np.zeros(0)
    elif task.fold or task.vector is None:
        x = snapshot.fold_in.vector(equation)
    else:
        x = task.vector
    scale = _compute_scale(snapshot, x)
    vector = np.zeros(snapshot.width, dtype=np.float32)
    vector[: snapshot.factors] = x / scale
    vector[snapshot.factors :] = _compute_content_vector(snapshot, equation, task.items_met)
    own = NO_OWN_ITEMS
    if task.own_items is not OwnItemsUse.HIDDEN:
        merged = merge_pairs(task.history, task.events, task.days_since_as_of)
        own = score_own_items(snapshot.repeats, merged.pairs)
    return RankedUser(equation, scale, vector, own)


def _compute_scale(snapshot: Snapshot, x: Float32Array | Float64Array) -> float:
    """Compute what the factor scores of a user with the vector x are divided by."""
    if not snapshot.score_items:
        return 1.0
    [scale] = compute_score_scales(x[None], snapshot.fold_in.gram)
    # The version may be of a release with another number of items.
    return float(scale) * math.sqrt(SCORE_ITEMS / snapshot.score_items)


def _build_equation(task: RankingTask) -> UserEquation:
    """Build the equation whose solution is the user's vector."""
    start = NO_START
    if task.vector is not None and task.fold:
        start = task.vector.astype(np.float64)
    fold_in = task.snapshot.fold_in
    return fold_in.build_equation(task.history, task.events, task.days_since_as_of, start)


def compute_content_weight(snapshot: Snapshot, items_met: int) -> float:
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
        factor = compute_content_weight(snapshot, items_met) / length
    return np.asarray(content_sum * factor)
