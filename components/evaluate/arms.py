"""Define the arms, whose lists are scored as they would be served, and the evaluated users."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.arrays import Int64Array
from dawnlist.components.evaluate.item_knn import ItemKNN
from dawnlist.model import popularity
from dawnlist.model.factor_model import AlignedModel, FactorModel
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems

EvaluationArm = Callable[["EvaluatedUsers"], Int64Array]
"""Returns the lists of a block of users, shape (users, k), as they would be served.

The list of a user whom the arm does not know is empty: all -1.
"""
EVALUATION_BLOCK_USERS: Final = 65_536
"""The lists of this many users are in memory at once, for all arms."""
OWN_ITEMS_HALF_LIFE: Final = 90.0
OWN_ITEMS_SHARE: Final = 1e6
"""Own items come before all others, because their share is so much larger than any popularity."""


@dataclass(frozen=True)
class EvaluatedUsers:
    """Users of the holdout, and what they met before and in it. All arms share them."""

    splits: Splits
    history: UserItems
    """What all users met before the holdout."""
    users: npt.NDArray[np.int64]
    seen: Any
    """Shape (len(users), items): the weights of what they met before the holdout."""
    truth: Any
    """Shape (len(users), items): what they met in it, see Splits.truth."""
    k: int

    @classmethod
    def from_splits(cls, splits: Splits, k: int) -> "EvaluatedUsers":
        """Take the users who met items before the holdout, and have truth in it."""
        history = splits.user_items("train")
        users = splits.judged("holdout")
        truth = splits.truth("holdout")
        return cls(splits, history, users, history.weight[users], truth[users], k)

    @cached_property
    def own_history(self) -> UserItems:
        """What these users met before the holdout, shape (len(users), items)."""
        return self.history.select_users(self.users)

    @property
    def cold_users(self) -> "EvaluatedUsers":
        """The users of the holdout who met nothing before it."""
        truth = self.splits.truth("holdout")
        has_truth = np.diff(truth.indptr) > 0
        has_no_history = np.diff(self.history.weight.indptr) == 0
        users = np.flatnonzero(has_truth & has_no_history)
        return replace(self, users=users, seen=self.history.weight[users], truth=truth[users])

    def split_into_blocks(self) -> Iterator["EvaluatedUsers"]:
        """Yield the users in blocks. Without users there is one block, which is empty."""
        for start in range(0, max(1, len(self.users)), EVALUATION_BLOCK_USERS):
            block = slice(start, start + EVALUATION_BLOCK_USERS)
            yield replace(
                self,
                users=self.users[block],
                seen=self.seen[block],
                truth=self.truth[block],
            )

    def recommend_with(self, model: FactorModel) -> Int64Array:
        """Return the model's lists, shape (users, k), as they would be served."""
        return build_model_arm(self.splits, model)(self)


def fill_empty_lists(lists: Int64Array, fallback: Int64Array) -> Int64Array:
    """Return the lists that are served: a user without one gets the list of the fallback."""
    return np.where(lists[:, :1] < 0, fallback, lists)


def build_model_arm(splits: Splits, model: FactorModel) -> EvaluationArm:
    """Build the arm of a model of factors. Items that it does not know are in no list."""
    aligned = model.align(splits.user_ids, splits.item_ids)
    return lambda block: aligned.rank(block.users, block.own_history, block.k)[0]


def build_own_items_arm(history: UserItems, repeat_gap: float) -> EvaluationArm:
    """Build the arm of a user's own items by decayed frequency, then popular items."""
    users, items = popularity.fit_popularity(history, "7d")
    config = {
        "repeat_share": OWN_ITEMS_SHARE * float(items.max(initial=1.0)),
        "repeat_half_life": OWN_ITEMS_HALF_LIFE,
        "repeat_gap": repeat_gap,
    }
    is_known_user = np.ones(len(users), dtype=bool)
    # An own item counts however long ago anybody met it.
    is_known_item = np.bincount(history.weight.indices, minlength=len(items)) > 0
    aligned = AlignedModel(users, items, is_known_user, is_known_item, config)
    return lambda block: aligned.rank(block.users, block.own_history, block.k)[0]


def build_item_knn_arm(history: csr_matrix) -> EvaluationArm:
    """Build the arm of item-kNN on what all users met before the holdout."""
    knn = ItemKNN.from_interactions(history)
    return lambda block: knn.top_k(block.seen, block.k)


def build_popularity_arm(history: UserItems, window: str) -> EvaluationArm:
    """Build the arm of the items that most users met in the window before the holdout.

    Every user gets a list.
    """
    users, items = popularity.fit_popularity(history, window)
    aligned = AlignedModel(users, items, np.ones(len(users), dtype=bool), items[:, 0] > 0)
    return lambda block: aligned.top_k(block.users, block.seen, block.k)[0]


def compute_item_popularity(history: csr_matrix) -> npt.NDArray[np.float64]:
    """Compute the share of users who met each item, as if at least one user had met it."""
    active_users = int((np.diff(history.indptr) > 0).sum())
    user_counts = np.bincount(history.indices, minlength=history.shape[1])
    return np.maximum(user_counts, 1) / max(1, active_users)
