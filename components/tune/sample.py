"""The users that trials are judged on: a seeded permutation, of which each rung asks as many as it needs."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.arrays import Float32Array
from dawnlist.components.tune.newcomers import MAX_NEWCOMER_HISTORY, Newcomers
from dawnlist.model.config import ALSConfig
from dawnlist.model.hybrid import Hybrid
from dawnlist.model.metrics import METRICS, score_lists
from dawnlist.model.splits import Splits
from dawnlist.ranking.topk import top_k

SAMPLE_SEED = 7


@dataclass(frozen=True)
class Sample:
    """Validation users in random order, with what they did in it and before."""

    hybrid: Hybrid
    """What they did before, and what is known of the items."""
    users: npt.NDArray[np.int64]
    truth: csr_matrix
    """Shape (users, items), in their order."""
    k: int
    device: str = "cpu"
    clicks: int = 0
    """How many items newcomers met; 0: one, two and three in turns."""

    @classmethod
    def of(cls, splits: Splits, hybrid: Hybrid, k: int, device: str = "cpu") -> "Sample":
        """Of the users with history before the validation cut and something new after it."""
        users = np.random.default_rng(SAMPLE_SEED).permutation(splits.judged("validation"))
        return cls(hybrid, users, splits.truth("validation")[users], k, device)

    @cached_property
    def short_history_sample(self) -> "Sample":
        """Those who met little."""
        some = np.flatnonzero(
            np.diff(self.hybrid.user_items.weight.indptr)[self.users] <= MAX_NEWCOMER_HISTORY
        )
        return replace(self, users=self.users[some], truth=self.truth[some])

    @cached_property
    def newcomers(self) -> Newcomers:
        """The users as if they had just met one to three items."""
        return Newcomers.of(self.hybrid.user_items, self.users, self.clicks)

    def values(
        self, fitted: tuple[Float32Array, Float32Array], config: ALSConfig, first: int, last: int
    ) -> Float32Array:
        """The metrics of the users from place `first` to before `last`, served with these fitted factors."""
        users, hybrid = self.users[first:last], self.hybrid
        profiles = (
            hybrid.profiles(hybrid.user_items.decay_weights(config.half_life)[users])
            if config.content_share
            else None
        )
        met = np.diff(hybrid.user_items.weight.indptr)[users]
        return self._scored(
            hybrid.compose_factors((fitted[0][users], fitted[1]), profiles, met, config),
            first,
            last,
        )

    def score_newcomers(
        self, fitted: tuple[Float32Array, Float32Array], config: ALSConfig, first: int, last: int
    ) -> Float32Array:
        """The same of the newcomers that they might be, whose vectors are given instead of the users'."""
        some, hybrid = self.newcomers.between(first, last), self.hybrid
        profiles = (
            hybrid.profiles(some.weights(hybrid.content.shape[0])) if config.content_share else None
        )
        return self._scored(
            hybrid.compose_factors((fitted[0][first:last], fitted[1]), profiles, some.met, config),
            first,
            last,
        )

    def _scored(
        self, served: tuple[Float32Array, Float32Array], first: int, last: int
    ) -> Float32Array:
        seen: Any = self.hybrid.user_items.weight[self.users[first:last]]
        lists, _ = top_k(*served, self.k, seen, self.hybrid.known_items, self.device)
        scores = score_lists(lists, self.truth[first:last])
        return np.stack([getattr(scores, name) for name in METRICS]).astype(np.float32)
