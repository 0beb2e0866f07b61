"""Popularity: as a model with one factor, and as a share of another model's scores.

The popularity model is the baseline that each challenger must beat.
"""

from typing import Final

import numpy as np

from dawnlist.arrays import FactorPair, Float32Array
from dawnlist.model.user_items import UserItems

POPULARITY_WINDOWS: Final[dict[str, float]] = {"whole": 0.0, "7d": 7.0, "24h": 1.0}
"""How many days before the cut each window covers; 0 means all."""
NORMALISED_ITEMS: Final = 20
"""Decayed popularity is divided by the mean of this many of its highest values."""


def fit_popularity(user_items: UserItems, window: str) -> FactorPair:
    """Count how many users met each item in the window.

    Users are counted, not events, so that one user's many events make no item popular. Items
    outside the window keep a small share of their popularity in the whole matrix, which breaks ties
    and fills short lists.

    Returns:
        User factors (users, 1), all 1, and item factors (items, 1), the counts.
    """
    users, items = user_items.weight.shape
    indices = user_items.weight.indices
    counts = np.bincount(indices, minlength=items).astype(np.float32)
    days = POPULARITY_WINDOWS[window]
    if days:
        recent = np.bincount(indices[user_items.age <= days], minlength=items)
        counts = recent + counts / np.float32(max(1, users) + 1)
    return np.ones((users, 1), dtype=np.float32), counts.astype(np.float32)[:, None]


def compute_popularity(user_items: UserItems, half_life: float) -> Float32Array:
    """Compute the decayed popularity of each item, shape (items,).

    Each user counts once for an item, halved every `half_life` days since their last event with it.
    The mean of the NORMALISED_ITEMS most popular items is 1.
    """
    items = user_items.weight.shape[1]
    decay = np.exp2(-user_items.age / half_life)
    counts = np.bincount(user_items.weight.indices, weights=decay, minlength=items)
    highest = np.sort(counts)[-NORMALISED_ITEMS:].mean() if items else 0.0
    return np.asarray(counts / max(highest, np.finfo(np.float64).tiny), dtype=np.float32)


def blend_popularity(
    factors: FactorPair,
    user_items: UserItems,
    share: float,
    half_life: float,
    scales: Float32Array,
) -> FactorPair:
    """Add `share` times decayed popularity to the scores, which are multiplied by `scales`.

    The factors get one more column, the last: the scale of each user, and share * popularity of
    each item. A score is thus s_u times what docs/HYBRID.md defines, and ranks items alike.

    Args:
        factors: Of users and items.
        user_items: What the users met before the cut.
        share: The share of popularity; with 0 the items' column is 0.
        half_life: Days after which an interaction counts half.
        scales: s_u, shape (users,), see dawnlist.model.score_scales.
    """
    users, items = factors
    popularity = np.zeros(len(items), dtype=np.float32)
    if share:
        popularity = np.float32(share) * compute_popularity(user_items, half_life)
    return np.column_stack([users, scales]), np.column_stack([items, popularity])
