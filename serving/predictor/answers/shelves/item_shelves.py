"""Shelves about an item or about everybody. Each has rungs as the ladder has, and is never empty
while there is anything to show:

    similar           cosines of factors, else of content, else popular
    bought-together   associated items, else the rungs of similar
    trending          items that are met more often than usual, else popular
    popular           the list of the segment, else of everybody
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from dawnlist.arrays import BoolArray
from dawnlist.serving.predictor.answers.recommendation import Recommendation, ScoredItems
from dawnlist.serving.predictor.answers.shelves.shelf_question import (
    MAX_SHELF_ITEMS,
    ShelfKind,
    ShelfQuestion,
    Similarity,
)
from dawnlist.serving.predictor.answers.snapshot import Snapshot

SIMILAR_TIERS: Final = {
    Similarity.FACTORS: "similar",
    Similarity.CONTENT: "similar_content",
}
"""The rungs of similar items."""


def answer_item_shelf(snapshot: Snapshot, question: ShelfQuestion) -> Recommendation:
    """Answer with items of a shelf that is about no user.

    Raises:
        ExpressionError: the filter expression is wrong.
    """
    mask = _build_mask(snapshot, question)
    tier, (items, scores) = _find_shelf(snapshot, question, mask)
    return slice_shelf(tier, items, scores, question)


def slice_shelf(
    tier: str, items: Sequence[int], scores: Sequence[float], question: ShelfQuestion
) -> Recommendation:
    """Return the items of a shelf that a question asks for."""
    wanted = slice(question.offset, question.offset + question.k)
    return Recommendation(tier, list(items[wanted]), list(scores[wanted]))


def _build_mask(snapshot: Snapshot, question: ShelfQuestion) -> BoolArray | None:
    """Return which items the shelf may have, shape (items,); None if all."""
    mask = snapshot.servable
    if question.where:
        mask = snapshot.filters.compute_mask(question.where)
        if snapshot.servable is not None:
            mask = mask & snapshot.servable
    if not question.exclude:
        return mask
    own_mask = np.ones(len(snapshot.item_ids), dtype=bool)
    own_mask[list(snapshot.item_ids.find_rows(question.exclude))] = False
    if mask is not None:
        own_mask &= mask
    return own_mask


def _find_shelf(
    snapshot: Snapshot, question: ShelfQuestion, mask: BoolArray | None
) -> tuple[str, ScoredItems]:
    """Return the rung that has items, and the shelf from its beginning."""
    row = snapshot.item_ids.find_row(question.item_id)
    if question.kind is ShelfKind.TRENDING:
        shelf = "trending", _find_trending(snapshot, mask)
    elif question.kind is ShelfKind.BOUGHT_TOGETHER and row is not None:
        shelf = "associated", _find_associated(snapshot, row, mask)
        if not shelf[1][0]:
            shelf = _find_similar(snapshot, question, row, mask)
    elif question.kind is ShelfKind.SIMILAR and row is not None:
        shelf = _find_similar(snapshot, question, row, mask)
    else:
        shelf = _find_popular(snapshot, question, mask, row)
    if not shelf[1][0]:
        return _find_popular(snapshot, question, mask, row)
    return shelf


def _find_similar(
    snapshot: Snapshot, question: ShelfQuestion, row: int, mask: BoolArray | None
) -> tuple[str, ScoredItems]:
    similarity = question.similarity
    if similarity is None:
        similarity = snapshot.similar_items.choose_similarity(row)
    if similarity is None or not snapshot.similar_items.has_direction(row, similarity):
        return "similar", ([], [])
    return SIMILAR_TIERS[similarity], snapshot.similar_items.find_similar(row, similarity, mask)


def _find_associated(snapshot: Snapshot, row: int, mask: BoolArray | None) -> ScoredItems:
    if snapshot.relations is None:
        return [], []
    associations = snapshot.relations.associations
    pairs = slice(associations.indptr[row], associations.indptr[row + 1])
    items, scores = associations.items[pairs], associations.scores[pairs]
    if mask is not None:
        is_allowed = mask[items]
        items, scores = items[is_allowed], scores[is_allowed]
    return items.tolist(), scores.tolist()


def _find_trending(snapshot: Snapshot, mask: BoolArray | None) -> ScoredItems:
    if snapshot.relations is None:
        return [], []
    trend = snapshot.relations.trend
    rows = snapshot.trending_rows
    if mask is not None:
        rows = rows[mask[rows]]
    rows = rows[:MAX_SHELF_ITEMS]
    return rows.tolist(), trend[rows].tolist()


def _find_popular(
    snapshot: Snapshot, question: ShelfQuestion, mask: BoolArray | None, row: int | None
) -> tuple[str, ScoredItems]:
    """Return the popular list of the segment that fits best, or the one for everybody."""
    hidden = set() if row is None else {row}
    length = question.offset + question.k
    popular = snapshot.everybody.select_best(length, hidden, mask)
    segment = snapshot.find_segment(question.context)
    if segment is not None:
        segment_list = segment.select_best(length, hidden, mask)
        if segment_list[0]:
            return "segment", segment_list
    return "popular", popular
