"""The users that trials are scored on, in random order. Each rung takes as many as it needs."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.arrays import Float32Array
from dawnlist.components.tune.newcomers import MAX_NEWCOMER_HISTORY, Newcomers
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import AlignedModel
from dawnlist.model.hybrid import Hybrid
from dawnlist.model.metric_names import METRICS
from dawnlist.model.metrics import score_lists
from dawnlist.model.splits import Splits

SAMPLE_SEED = 7


@dataclass(frozen=True)
class Sample:
    """Users of the validation window in random order, with what they met in it and before it."""

    hybrid: Hybrid
    """What all users met before the window, and the content of the items."""
    users: npt.NDArray[np.int64]
    truth: csr_matrix
    """Shape (users, items): what the users, in their order, met in the window."""
    k: int
    device: str = "cpu"
    clicks: int = 0
    """Number of items that newcomers met; 0: one, two or three in turn."""

    @classmethod
    def from_splits(cls, splits: Splits, hybrid: Hybrid, k: int, device: str = "cpu") -> "Sample":
        """Take the users who met items before the validation cut, and new ones after it."""
        users = np.random.default_rng(SAMPLE_SEED).permutation(splits.judged("validation"))
        return cls(hybrid, users, splits.truth("validation")[users], k, device)

    @cached_property
    def short_history_sample(self) -> "Sample":
        """The users who met at most MAX_NEWCOMER_HISTORY items."""
        item_counts = np.diff(self.hybrid.user_items.weight.indptr)
        rows = np.flatnonzero(item_counts[self.users] <= MAX_NEWCOMER_HISTORY)
        return replace(self, users=self.users[rows], truth=self.truth[rows])

    @cached_property
    def newcomers(self) -> Newcomers:
        """The users as if they had just met one to three items."""
        return Newcomers.from_users(self.hybrid.user_items, self.users, self.clicks)

    def values(
        self, fitted: tuple[Float32Array, Float32Array], config: ALSConfig, first: int, last: int
    ) -> Float32Array:
        """Return the metrics of the users from number `first` to before number `last`.

        Args:
            fitted: The fitted factors of all users, and of the items.

        Returns:
            Shape (METRICS, users).
        """
        hybrid = self.hybrid
        users = self.users[first:last]
        profiles = None
        if config.content_share:
            weights = hybrid.user_items.decay_weights(config.half_life)[users]
            profiles = hybrid.profiles(weights)
        met = np.diff(hybrid.user_items.weight.indptr)[users]
        factors = (fitted[0][users], fitted[1])
        served = hybrid.compose_factors(factors, profiles, met, config)
        return self._score_factors(served, config, first, last)

    def score_newcomers(
        self, fitted: tuple[Float32Array, Float32Array], config: ALSConfig, first: int, last: int
    ) -> Float32Array:
        """Return the metrics of the same users as newcomers, who get none of their own items.

        Args:
            fitted: The vectors of the newcomers, see Newcomers.vectors, and of the items.

        Returns:
            Shape (METRICS, users).
        """
        hybrid = self.hybrid
        newcomers = self.newcomers.slice(first, last)
        profiles = None
        if config.content_share:
            profiles = hybrid.profiles(newcomers.weights(hybrid.content.shape[0]))
        factors = (fitted[0][first:last], fitted[1])
        served = hybrid.compose_factors(factors, profiles, newcomers.met, config)
        return self._score_factors(served, replace(config, repeat_share=0.0), first, last)

    def _score_factors(
        self,
        served: tuple[Float32Array, Float32Array],
        config: ALSConfig,
        first: int,
        last: int,
    ) -> Float32Array:
        """Score the lists that the factors of users and items give."""
        history = self.hybrid.user_items.select_users(self.users[first:last])
        is_known = np.ones(len(served[0]), dtype=bool)
        model_config = self.hybrid.build_model_config(config)
        model = AlignedModel(*served, is_known, self.hybrid.known_items, model_config)
        lists, _ = model.rank(np.arange(len(served[0])), history, self.k, self.device)
        scores = score_lists(lists, self.truth[first:last])
        return np.stack([getattr(scores, name) for name in METRICS]).astype(np.float32)
