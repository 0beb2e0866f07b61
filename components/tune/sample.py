"""The users that trials are judged on: a seeded permutation, of which each rung asks as many as it needs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from components.metrics import METRICS, score
from components.model import Factors
from components.splits import Splits
from components.topk import top_k
from components.user_items import UserItems

SEED = 7
Values = npt.NDArray[np.float32]
"""Shape (METRICS, users): float32, as they are kept, so that a resumed search computes with the same numbers."""


@dataclass(frozen=True)
class Sample:
    """Validation users in random order, with what they did in it and before."""

    user_items: UserItems
    """What the trials are fitted on."""
    users: npt.NDArray[np.int64]
    truth: csr_matrix
    """Shape (users, items), in their order."""
    k: int
    device: str = "cpu"

    @classmethod
    def of(cls, splits: Splits, user_items: UserItems, k: int, device: str = "cpu") -> "Sample":
        """Of the users with history before the validation cut and something new after it."""
        users = np.random.default_rng(SEED).permutation(splits.judged("validation"))
        return cls(user_items, users, splits.truth("validation")[users], k, device)

    @cached_property
    def known_items(self) -> npt.NDArray[np.bool_]:
        """Which items a fit knows: those that somebody met."""
        weight = self.user_items.weight
        return np.bincount(weight.indices, minlength=weight.shape[1]) > 0

    def values(self, factors: tuple[Factors, Factors], first: int, last: int) -> Values:
        """The metrics of the users from place `first` to before `last`."""
        users = self.users[first:last]
        seen = self.user_items.weight[users]
        lists, _ = top_k(factors[0][users], factors[1], self.k, seen, self.known_items, self.device)
        scores = score(lists, self.truth[first:last])
        return np.stack([getattr(scores, name) for name in METRICS]).astype(np.float32)
