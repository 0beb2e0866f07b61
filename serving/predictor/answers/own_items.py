"""A user's own items: those that they have met. What becomes of them, and how they are scored."""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

import numpy as np

from dawnlist.arrays import Float32Array, Float64Array, Int64Array
from dawnlist.model.repeats import RepeatSettings, mark_newest
from dawnlist.ranking.coarse import QuantisedIndex
from dawnlist.ranking.fold_in import UserPairs
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.recommendation import ScoredItems


class OwnItemsUse(Enum):
    """What an answer does with the items that its user has met."""

    HIDDEN = auto()
    """It has none of them."""
    AMONG_OTHERS = auto()
    """They are ranked together with all other items."""
    ALONE = auto()
    """It has no other items."""


@dataclass(frozen=True)
class OwnItems:
    """The items that one user may get again, in any order."""

    rows: Int64Array
    """Item rows, shape (items,)."""
    scores: Float64Array
    """own(u, i) of each, see dawnlist.model.repeats."""

    def __len__(self) -> int:
        return len(self.rows)


NO_OWN_ITEMS: Final = OwnItems(np.zeros(0, np.int64), np.zeros(0))
"""The own items of an answer that has none."""


def choose_own_items_use(repeats: RepeatSettings, question: Question) -> OwnItemsUse:
    """Choose what the answer to a question does with own items.

    A question that does not say it gets them if the version's lists have them.
    """
    if question.repeats == "only":
        return OwnItemsUse.ALONE
    if question.repeats is None and repeats.share > 0:
        return OwnItemsUse.AMONG_OTHERS
    return OwnItemsUse.HIDDEN


def score_own_items(repeats: RepeatSettings, pairs: UserPairs) -> OwnItems:
    """Score the newest of a user's pairs; the others can't be repeated.

    In a version without repeats the share is 1, so that own items can be ranked among themselves.
    """
    if repeats.share <= 0:
        repeats = replace(repeats, share=1.0)
    # Of equal ages the smaller row comes first, as in the lists of the night.
    order = np.argsort(pairs.index)
    nobody_else = np.zeros(len(order), dtype=np.int64)
    newest = order[mark_newest(nobody_else, pairs.age[order].astype(np.float32))]
    scores = repeats.score_own_items(pairs.weight[newest], pairs.age[newest])
    return OwnItems(pairs.index[newest], scores)


def add_vector_scores(coarse: QuantisedIndex, vector: Float32Array, own: OwnItems) -> OwnItems:
    """Return own items with their whole scores: own(u, i), the bias, and the vectors' product."""
    vectors = coarse.vectors[own.rows].astype(np.float64)
    scores = own.scores + coarse.bias[own.rows] + vectors @ vector.astype(np.float64)
    return OwnItems(own.rows, scores)


def merge_lists(ranked: ScoredItems, own: OwnItems, k: int) -> ScoredItems:
    """Return the k best items of a ranked list and of own items with their whole scores.

    Of equal scores the smaller row comes first.
    """
    rows = np.concatenate([np.array(ranked[0], dtype=np.int64), own.rows])
    scores = np.concatenate([ranked[1], own.scores]).astype(np.float32)
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].tolist(), scores[order].tolist()
