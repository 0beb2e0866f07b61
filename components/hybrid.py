"""The hybrid score: factors, a share of popularity, and a content part that counts less the longer a history is.

    score(u, i) = x_u . y_i + popularity_share * popularity_i + w(n_u) p_u . z_i

As columns of one factor model: [x | 1 | w(n) p] for users and [y | share * popularity | z] for items, so that nothing
that ranks asks for them. Columns that have no share are not there.
"""

from dataclasses import dataclass

import numpy as np

from components.model import FactorModel, Factors


@dataclass(frozen=True)
class Parts:
    """A served model's columns by what they are, for who computes a user's own anew."""

    vectors: Factors
    """x, shape (users, factors)."""
    item_factors: Factors
    """y, shape (items, factors)."""
    item_bias: Factors
    """Shape (items,): the share of popularity, 0 without one."""
    item_content: Factors
    """z, shape (items, d), of unit length or 0; d is 0 without a content part."""


def parts(model: FactorModel) -> Parts:
    """The columns of a model as `train` and `refit` leave it; one of popularity is all bias (no factors)."""
    users, items, config = model.user_factors, model.item_factors, model.config
    factors = config.get("factors", 0)
    popular = config["engine"] == "popularity" or bool(config.get("popularity_share"))
    bias = items[:, factors] if popular else np.zeros(len(items), np.float32)
    return Parts(users[:, :factors], items[:, :factors], bias, items[:, factors + popular :])
