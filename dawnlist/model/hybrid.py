"""The hybrid score: factors, a share of popularity, and a content part that counts less the longer a history is.

    score(u, i) = x_u . y_i + popularity_share * popularity_i + w(n_u) p_u . z_i
    w(n) = content_share * content_pairs / (content_pairs + n)

z_i is what an item's words say of it (dawnlist.model.content), p_u the normalised sum of c_ui z_i over
what the user met,
n_u how many items that are. As columns of one factor model: [x | 1 | w(n) p] for users and [y | share * popularity | z]
for items, so that nothing that ranks asks for them. Columns that have no share are not there. An item that nobody met
has the factors of those that its words are most like. docs/HYBRID.md.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Float32Array
from dawnlist.model import popularity
from dawnlist.model.config import ALSConfig
from dawnlist.model.content import normalise_rows
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.splits import Splits, Stage
from dawnlist.model.user_items import UserItems

CONTENT_NEIGHBOURS: Final = 20
"""Of a new item, the most alike among those that were met."""
SHRINKAGE: Final = np.float32(1.0)
"""Weight of a vector of zeros beside the neighbours': an item that is like nothing is predicted nothing."""
Counts = npt.NDArray[np.int32] | npt.NDArray[np.int64]


@dataclass(frozen=True)
class Hybrid:
    """What makes served factors of fitted ones at one stage."""

    user_items: UserItems
    """Over all items, of what lies before the stage's cut."""
    fitted: UserItems
    """The same over the items that somebody met in the window: what a model is fitted on."""
    content: Float32Array
    """Shape (items, d)."""
    new: BoolArray
    """Shape (items,): see Splits.new_items."""

    @classmethod
    def of(cls, splits: Splits, stage: Stage) -> "Hybrid":
        """Of what is known at the stage's cut."""
        user_items, met = splits.user_items(stage), splits.drop_unmet_items().user_items(stage)
        return cls(user_items, met, splits.content, splits.new_items(stage))

    @property
    def known_items(self) -> BoolArray:
        """Which items a model knows: those that somebody met, and new ones."""
        return self.met | self.new

    def factors(
        self, fitted: tuple[Float32Array, Float32Array], config: ALSConfig
    ) -> tuple[Float32Array, Float32Array]:
        """User and item factors as they are served, of what was fitted on `fitted`."""
        met = np.diff(self.user_items.weight.indptr)
        profiles = (
            self.profiles(self.user_items.decay_weights(config.half_life))
            if config.content_share
            else None
        )
        return self.compose_factors(fitted, profiles, met, config)

    def compose_factors(
        self,
        fitted: tuple[Float32Array, Float32Array],
        profiles: Float32Array | None,
        met: Counts,
        config: ALSConfig,
    ) -> tuple[Float32Array, Float32Array]:
        """The same for any users, of whom are given: fitted vectors, profiles (p), and how many items they met.

        profiles: (users, d), not asked for without a share of content; met: (users,).
        """
        users, items = fitted
        items = np.vstack(
            [items, np.zeros((len(self.new) - len(items), items.shape[1]), np.float32)]
        )
        if self.new.any():
            items[self.new] = self.prediction @ items
        share, half_life = config.popularity_share, config.popularity_half_life
        users, items = popularity.blend_popularity(
            (users, items), self.user_items, share, half_life
        )
        if not config.content_share or profiles is None:
            return users, items
        weights = (
            config.content_share * config.content_pairs / (config.content_pairs + met)
        ).astype(np.float32)
        return np.column_stack([users, weights[:, None] * profiles]), np.column_stack(
            [items, self.content]
        )

    def profiles(self, weights: csr_matrix) -> Float32Array:
        """p, shape (users, d), of users' weights (users, items): of unit length, or 0 where words are known of none."""
        return normalise_rows(weights @ self.content)

    @cached_property
    def met(self) -> BoolArray:
        """Which items somebody met."""
        weight = self.user_items.weight
        return np.bincount(weight.indices, minlength=weight.shape[1]) > 0

    @cached_property
    def prediction(self) -> csr_matrix:
        """Shape (new items, items): times the items' factors, what is predicted of the new ones.

        y_i = sum of s_ij y_j over i's neighbours j, divided by DOUBT + sum of s_ij; s is the cosine, 0 at least.
        """
        from dawnlist.ranking.topk import (
            top_k,
        )  # brings numba, a second that who only asks for parts need not wait

        candidates, wanted = (
            np.flatnonzero(self.met & self.content.any(axis=1)),
            np.flatnonzero(self.new),
        )
        nothing = csr_matrix((len(wanted), len(candidates)), dtype=np.float32)
        places, cosines = top_k(
            self.content[wanted], self.content[candidates], CONTENT_NEIGHBOURS, nothing
        )
        alike = np.where(places >= 0, np.maximum(cosines, 0), np.float32(0))
        alike /= SHRINKAGE + alike.sum(axis=1, keepdims=True)
        rows, ranks = np.nonzero(alike)
        columns = candidates[places[rows, ranks]]
        return csr_matrix((alike[rows, ranks], (rows, columns)), shape=(len(wanted), len(self.new)))


@dataclass(frozen=True)
class ModelColumns:
    """A served model's columns by what they are, for who computes a user's own anew."""

    vectors: Float32Array
    """x, shape (users, factors)."""
    item_factors: Float32Array
    """y, shape (items, factors)."""
    item_bias: Float32Array
    """Shape (items,): the share of popularity, 0 without one."""
    item_content: Float32Array
    """z, shape (items, d), of unit length or 0; d is 0 without a content part."""


def split_columns(model: FactorModel) -> ModelColumns:
    """The columns of a model as `train` and `refit` leave it; one of popularity is all bias (no factors)."""
    users, items, config = model.user_factors, model.item_factors, model.config
    factors = config.get("factors", 0)
    popular = config["engine"] == "popularity" or bool(config.get("popularity_share"))
    bias = items[:, factors] if popular else np.zeros(len(items), np.float32)
    return ModelColumns(users[:, :factors], items[:, :factors], bias, items[:, factors + popular :])
