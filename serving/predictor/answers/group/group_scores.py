"""Find the best items of a group, exactly, and each member's own score of them.

The score of an item for a member is what the predictor's ranking computes, to the last bit. To score
all items so for 200 members would take a second. So a matrix product in single precision first
estimates the group's scores; its rounding errors are bounded, and only the items that may be among
the best, a few dozen, are scored exactly.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from dawnlist.ranking.coarse import QuantisedIndex
from dawnlist.serving.predictor.answers.group.group_members import MemberTaste

ITEMS_PER_ESTIMATE: Final = 4_096
"""Items whose scores for all members are estimated at a time: 3 MB for 200 members."""
ITEMS_PER_SCORING: Final = 256
"""Items that are scored exactly at a time."""
ROUNDING_ERROR: Final = 2.0**-23
"""Twice the largest relative error of one operation in single precision."""
NOTHING_HIDDEN: Final = np.zeros(0, np.int32)


def find_best_items(
    coarse: QuantisedIndex,
    tastes: Sequence[MemberTaste],
    mean_weight: float,
    k: int,
    allowed: BoolArray,
) -> tuple[Int64Array, Float32Array, Float32Array]:
    """Find the k items with the best scores for a group, from the scores of at least one member.

    Args:
        coarse: The vectors and the biases of all items.
        tastes: What the items are scored by for each member.
        mean_weight: The weight of the mean in the group's score; the lowest score has the rest.
        k: How many items to return.
        allowed: The items that may be returned, shape (items,).

    Returns:
        Item rows and the group's scores, best first, and the members' scores, shape (members,
        rows). Of equal scores the smaller row comes first.
    """
    rows = _find_candidates(coarse, tastes, mean_weight, k, allowed)
    member_scores = score_items(coarse, tastes, rows)
    scores = combine_scores(member_scores, mean_weight).astype(np.float32)
    order = np.lexsort((rows, -scores))
    order = order[np.isfinite(scores[order])][:k]
    return rows[order], scores[order], member_scores[:, order]


def combine_scores(member_scores: Float32Array, mean_weight: float) -> Float64Array:
    """Compute the group's score of each item from the members' scores, shape (members, items)."""
    mean = member_scores.mean(axis=0, dtype=np.float64)
    lowest = member_scores.min(axis=0).astype(np.float64)
    combined: Float64Array = mean_weight * mean + (1.0 - mean_weight) * lowest
    return combined


def score_items(
    coarse: QuantisedIndex, tastes: Sequence[MemberTaste], rows: Int64Array
) -> Float32Array:
    """Compute the exact scores of items for each member, shape (members, rows).

    Args:
        coarse: The vectors and the biases of all items.
        tastes: What the items are scored by for each member.
        rows: Item rows, ascending.

    Returns:
        The scores. A score that is not finite is NaN.
    """
    scores = np.full((len(tastes), len(rows)), np.nan, dtype=np.float32)
    for begin in range(0, len(rows), ITEMS_PER_SCORING):
        block = rows[begin : begin + ITEMS_PER_SCORING]
        for taste, member_scores in zip(tastes, scores, strict=True):
            items, exact = coarse.best_of_rows(taste.vector, len(block), block, NOTHING_HIDDEN)
            length = int((items >= 0).sum())
            positions = begin + np.searchsorted(block, items[:length])
            member_scores[positions] = exact[:length]
    for taste, member_scores in zip(tastes, scores, strict=True):
        is_scored = np.isin(taste.own.rows, rows)
        positions = np.searchsorted(rows, taste.own.rows[is_scored])
        member_scores[positions] = taste.own.scores[is_scored].astype(np.float32)
    return scores


def _find_candidates(
    coarse: QuantisedIndex,
    tastes: Sequence[MemberTaste],
    mean_weight: float,
    k: int,
    allowed: BoolArray,
) -> Int64Array:
    """Find the rows that may be among the k best, ascending.

    Items that a member may have again are always among them, as the estimates know vectors alone.
    """
    own_rows = np.unique(np.concatenate([taste.own.rows for taste in tastes]))
    own_rows = own_rows[allowed[own_rows]]
    is_estimated = allowed.copy()
    is_estimated[own_rows] = False
    rows = np.flatnonzero(is_estimated)
    vectors = np.stack([taste.vector for taste in tastes])
    estimates = _estimate_scores(coarse, vectors, mean_weight)[rows]
    margins = _bound_errors(coarse, vectors)[rows]
    selected = _select_possible(estimates, margins, k)
    return np.sort(np.concatenate([own_rows, rows[selected]]))


def _estimate_scores(
    coarse: QuantisedIndex, vectors: Float32Array, mean_weight: float
) -> Float64Array:
    """Estimate the group's score of each item from the members' vectors, shape (members, width)."""
    mean = coarse.vectors @ vectors.mean(axis=0) + coarse.bias
    if mean_weight == 1.0:
        return np.asarray(mean, dtype=np.float64)
    lowest = np.empty(len(coarse.bias), dtype=np.float32)
    for begin in range(0, len(lowest), ITEMS_PER_ESTIMATE):
        block = slice(begin, begin + ITEMS_PER_ESTIMATE)
        products = vectors @ coarse.vectors[block].T
        lowest[block] = products.min(axis=0) + coarse.bias[block]
    mixed: Float64Array = mean_weight * mean.astype(np.float64) + (1.0 - mean_weight) * lowest
    return mixed


def _bound_errors(coarse: QuantisedIndex, vectors: Float32Array) -> Float64Array:
    """Bound what the estimate of each item's score may be wrong by, shape (items,).

    Each of an estimate's operations adds at most ROUNDING_ERROR of the longest user's length times
    the item's length (Cauchy and Schwarz), or of the bias.
    """
    operations = vectors.shape[1] + len(vectors) + 8
    longest = float(np.linalg.norm(vectors.astype(np.float64), axis=1).max())
    lengths = coarse.length.astype(np.float64) + coarse.error
    magnitudes = longest * lengths + np.abs(coarse.bias)
    return np.asarray(operations * ROUNDING_ERROR * magnitudes)


def _select_possible(
    estimates: Float64Array, margins: Float64Array, k: int
) -> npt.NDArray[np.int64]:
    """Return the positions of the estimates that may be among the k best, ascending."""
    is_finite = np.isfinite(estimates)
    lowest_values = np.where(is_finite, estimates - margins, -np.inf)
    limit = -np.inf
    if len(estimates) > k:
        limit = np.partition(lowest_values, -k)[-k]
    highest_values = estimates + margins
    is_possible = is_finite & (highest_values >= limit)
    # Thousands of items may have no vector and no bias: their scores are 0, without an error. Of
    # equal scores the smaller rows come first, so that k of them are enough.
    exact_ties = np.flatnonzero(is_possible & (margins == 0.0) & (estimates == limit))
    is_possible[exact_ties[k:]] = False
    return np.flatnonzero(is_possible)
