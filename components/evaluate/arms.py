"""The arms: whose lists are judged, each as it would be served, and the users they are judged by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
"""The lists of a block of users, seen items left out; empty for a user that it does not know."""
EVALUATION_BLOCK_USERS: Final = 65_536
"""How many users' lists are held at once, for all arms."""


@dataclass(frozen=True)
class EvaluatedUsers:
    """What all arms share: users of the holdout, and what they did before and in it."""

    splits: Splits
    history: UserItems
    """Of all users, before the holdout."""
    users: npt.NDArray[np.int64]
    seen: Any
    """Shape (len(users), items): the weights of what they met before the holdout."""
    truth: Any
    """Shape (len(users), items): what they met in it and not before."""
    k: int

    @classmethod
    def of(cls, splits: Splits, k: int) -> "EvaluatedUsers":
        """The users with history before the holdout and something new in it."""
        history = splits.user_items("train")
        users = splits.judged("holdout")
        return cls(splits, history, users, history.weight[users], splits.truth("holdout")[users], k)

    @property
    def cold(self) -> "EvaluatedUsers":
        """The users of the holdout who did nothing before it."""
        truth = self.splits.truth("holdout")
        users = np.flatnonzero(
            (np.diff(truth.indptr) > 0) & (np.diff(self.history.weight.indptr) == 0)
        )
        return replace(self, users=users, seen=self.history.weight[users], truth=truth[users])

    def split_into_blocks(self) -> Iterator["EvaluatedUsers"]:
        """The same a few users at a time; one block, an empty one, where there are none."""
        for start in range(0, max(1, len(self.users)), EVALUATION_BLOCK_USERS):
            block = slice(start, start + EVALUATION_BLOCK_USERS)
            yield replace(
                self, users=self.users[block], seen=self.seen[block], truth=self.truth[block]
            )

    def recommend_with(self, model: FactorModel, fallback: Int64Array | None = None) -> Int64Array:
        """The lists of one model, seen items left out; a user that it does not know gets the fallback's list."""
        found = build_model_arm(self.splits, model)(self)
        return found if fallback is None else fill_empty_lists(found, fallback)


def fill_empty_lists(found: Int64Array, fallback: Int64Array) -> Int64Array:
    """What is shown: a user without a list gets the fallback's."""
    return np.where(found[:, :1] < 0, fallback, found)


def build_model_arm(splits: Splits, model: FactorModel) -> EvaluationArm:
    """A model of factors; items that it does not know are in no list."""
    aligned = model.align(splits.user_ids, splits.item_ids)
    return lambda judged: aligned.top_k(judged.users, judged.seen, judged.k)[0]


def build_item_knn_arm(history: csr_matrix) -> EvaluationArm:
    """Item-kNN on what everyone met before the holdout."""
    knn = ItemKNN.of(history)
    return lambda judged: knn.top_k(judged.seen, judged.k)


def build_popularity_arm(history: UserItems, window: str) -> EvaluationArm:
    """What most users met in the window before the holdout; everyone gets a list."""
    users, items = popularity.fit_popularity(history, window)
    aligned = AlignedModel(users, items, np.ones(len(users), dtype=bool), items[:, 0] > 0)
    return lambda judged: aligned.top_k(judged.users, judged.seen, judged.k)[0]


def compute_item_popularity(history: csr_matrix) -> npt.NDArray[np.float64]:
    """The share of users who met each item; one that nobody met counts as met by one."""
    users = int((np.diff(history.indptr) > 0).sum())
    return np.maximum(np.bincount(history.indices, minlength=history.shape[1]), 1) / max(1, users)
