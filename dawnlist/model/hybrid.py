"""The hybrid score: factors, plus popularity, plus content that counts less for longer histories.

    score(u, i) = x_u . y_i / s_u + popularity_share * popularity_i + w(n_u) p_u . z_i
    w(n) = content_share * content_pairs / (content_pairs + n)

s_u is the scale of the user's factor scores (dawnlist.model.score_scales), z_i the content vector
of an item (dawnlist.model.content), p_u the normalised sum of c_ui z_i over the items that the user
met, and n_u their number. s_u times the score is written as one factor model, with the columns
[x | s | s w(n) p] for users and [y | share * popularity | z] for items, so that the code that ranks
need not know about it. Without a share of content the last part has no columns. An item that nobody
met gets its factors from the items with the most similar words. See docs/HYBRID.md. A user's own
items get more, which is no inner product: see dawnlist.model.repeats.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, FactorPair, Float32Array, Int32Array, Int64Array
from dawnlist.model.config import ALSConfig
from dawnlist.model.content import normalise_rows
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.popularity import blend_popularity
from dawnlist.model.repeats import DEFAULT_GAP
from dawnlist.model.score_scales import SCORE_ITEMS, compute_score_scales
from dawnlist.model.splits import Splits, Stage
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.normal_equations import compute_gram

CONTENT_NEIGHBOURS: Final = 20
"""How many of the most similar items predict the factors of a new item."""
SHRINKAGE: Final = np.float32(1.0)
"""Weight of a zero vector among the neighbours, so that an item similar to none gets no factors."""


@dataclass(frozen=True)
class Hybrid:
    """The data of one stage from which the parts of the score are computed."""

    user_items: UserItems
    """Interactions before the stage's cut, over all items."""
    fitted: UserItems
    """The same over the items that somebody met in the window. A model is fitted on these."""
    content: Float32Array
    """Content vectors, shape (items, d)."""
    new: BoolArray
    """Which items are new at the cut, shape (items,), see Splits.new_items."""
    repeat_gap: float = DEFAULT_GAP
    """Days after which people of this shop usually meet an item again."""

    @classmethod
    def of(cls, splits: Splits, stage: Stage) -> "Hybrid":
        """Collect what is known at the stage's cut."""
        return cls(
            user_items=splits.user_items(stage),
            fitted=splits.drop_unmet_items().user_items(stage),
            content=splits.content,
            new=splits.new_items(stage),
            repeat_gap=splits.repeat_gap,
        )

    def build_model_config(self, config: ALSConfig) -> dict[str, Any]:
        """Build the config of a model whose columns are those of `compose_factors`."""
        return config.as_dict() | {"score_scale": SCORE_ITEMS, "repeat_gap": self.repeat_gap}

    @property
    def known_items(self) -> BoolArray:
        """Which items a model knows: those that somebody met, and new ones. Shape (items,)."""
        return self.met | self.new

    def factors(self, fitted: FactorPair, config: ALSConfig) -> FactorPair:
        """Compute the user and item factors to serve from those fitted on `fitted`."""
        history_lengths = np.diff(self.user_items.weight.indptr)
        profiles = None
        if config.content_share:
            profiles = self.profiles(self.user_items.decay_weights(config.half_life))
        return self.compose_factors(fitted, profiles, history_lengths, config)

    def compose_factors(
        self,
        fitted: FactorPair,
        profiles: Float32Array | None,
        history_lengths: Int32Array | Int64Array,
        config: ALSConfig,
    ) -> FactorPair:
        """Compute the factors to serve for any users.

        Args:
            fitted: The users' and items' fitted factors.
            profiles: p of each user, shape (users, d); None without a share of content.
            history_lengths: How many items each user met, shape (users,).
            config: The shares and their parameters.
        """
        users, items = fitted
        scales = compute_score_scales(users, compute_gram(items))
        items = self._add_new_items(items)
        users, items = blend_popularity(
            (users, items),
            self.user_items,
            config.popularity_share,
            config.popularity_half_life,
            scales,
        )
        if not config.content_share or profiles is None:
            return users, items
        weights = (
            config.content_share * config.content_pairs / (config.content_pairs + history_lengths)
        ).astype(np.float32)
        return (
            np.column_stack([users, (scales * weights)[:, None] * profiles]),
            np.column_stack([items, self.content]),
        )

    def _add_new_items(self, items: Float32Array) -> Float32Array:
        """Append the items that nobody met, and predict the factors of the new ones."""
        padding = np.zeros((len(self.new) - len(items), items.shape[1]), np.float32)
        items = np.vstack([items, padding])
        if self.new.any():
            items[self.new] = self.prediction @ items
        return items

    def profiles(self, weights: csr_matrix) -> Float32Array:
        """Compute p, shape (users, d), from users' weights, shape (users, items).

        It has unit length, or is 0 for a user whose items have no words.
        """
        return normalise_rows(weights @ self.content)

    @cached_property
    def met(self) -> BoolArray:
        """Which items somebody met, shape (items,)."""
        weight = self.user_items.weight
        return np.bincount(weight.indices, minlength=weight.shape[1]) > 0

    @cached_property
    def prediction(self) -> csr_matrix:
        """The matrix (new items, items) that predicts new items' factors from all items' factors.

        y_i is the sum of s_ij y_j over i's neighbours j, divided by SHRINKAGE + the sum of s_ij. s
        is the cosine of the content vectors, or 0 where that is negative.
        """
        # This import brings numba, a second that a program which never predicts can save.
        from dawnlist.ranking.topk import top_k

        new_items = np.flatnonzero(self.new)
        candidates = np.flatnonzero(self.met & self.content.any(axis=1))
        nothing_seen = csr_matrix((len(new_items), len(candidates)), dtype=np.float32)
        neighbours, cosines = top_k(
            self.content[new_items], self.content[candidates], CONTENT_NEIGHBOURS, nothing_seen
        )
        similarity = np.where(neighbours >= 0, np.maximum(cosines, 0), np.float32(0))
        similarity /= SHRINKAGE + similarity.sum(axis=1, keepdims=True)
        rows, ranks = np.nonzero(similarity)
        columns = candidates[neighbours[rows, ranks]]
        shape = (len(new_items), len(self.new))
        return csr_matrix((similarity[rows, ranks], (rows, columns)), shape=shape)


def blend_fitted_popularity(
    factors: FactorPair, user_items: UserItems, config: ALSConfig
) -> FactorPair:
    """Add popularity to the factors of a fit, all of whose items were fitted.

    Without a share of popularity the factors stay as they are.
    """
    if not config.popularity_share:
        return factors
    users, items = factors
    scales = compute_score_scales(users, compute_gram(items))
    return blend_popularity(
        factors, user_items, config.popularity_share, config.popularity_half_life, scales
    )


@dataclass(frozen=True)
class ModelColumns:
    """The columns of a served model, separated by their meaning.

    With them a reader can recompute a user's own columns.
    """

    vectors: Float32Array
    """x, shape (users, factors)."""
    item_factors: Float32Array
    """y, shape (items, factors)."""
    item_bias: Float32Array
    """Shape (items,): the share of popularity, 0 without one."""
    item_content: Float32Array
    """z, shape (items, d), of unit length or 0; d is 0 without a content part."""


def split_columns(model: FactorModel) -> ModelColumns:
    """Separate the columns of a model of `train` or `refit`. A popularity model is all bias."""
    users, items, config = model.user_factors, model.item_factors, model.config
    factors = config.get("factors", 0)
    # The column of popularity follows the factors.
    bias = items[:, factors]
    return ModelColumns(users[:, :factors], items[:, :factors], bias, items[:, factors + 1 :])
