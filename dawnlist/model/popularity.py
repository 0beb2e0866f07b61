"""Popularity: as a model of one factor, the arm that any challenger must beat, and as a share of a model's scores."""

from typing import Final

import numpy as np

from dawnlist.arrays import Float32Array
from dawnlist.model.user_items import UserItems

POPULARITY_WINDOWS: Final[dict[str, float]] = {"whole": 0.0, "7d": 7.0, "24h": 1.0}
"""Name -> days before the cut that count; 0 means all."""


def fit_popularity(user_items: UserItems, window: str) -> tuple[Float32Array, Float32Array]:
    """User factors (users, 1), all 1, and item factors (items, 1): how many users met the item in the window.

    Users, not events, so that one user's frenzy makes no item popular. Items outside the window keep a small share
    of the whole window's popularity, which breaks ties and fills short lists.
    """
    users, items = user_items.weight.shape
    counts = np.bincount(user_items.weight.indices, minlength=items).astype(np.float32)
    days = POPULARITY_WINDOWS[window]
    if days:
        recent = user_items.weight.indices[user_items.age <= days]
        counts = np.bincount(recent, minlength=items) + counts / np.float32(max(1, users) + 1)
    return np.ones((users, 1), dtype=np.float32), counts.astype(np.float32)[:, None]


def compute_popularity(user_items: UserItems, half_life: float) -> Float32Array:
    """How popular each item is, shape (items,), the most popular 1: its users, halved every `half_life` days.

    A user counts by the age of the last time they met the item; one user's many events count once.
    """
    indices, items = user_items.weight.indices, user_items.weight.shape[1]
    counts = np.bincount(indices, weights=np.exp2(-user_items.age / half_life), minlength=items)
    return np.asarray(
        counts / max(counts.max(initial=0.0), np.finfo(np.float64).tiny), dtype=np.float32
    )


def blend_popularity(
    factors: tuple[Float32Array, Float32Array],
    user_items: UserItems,
    share: float,
    half_life: float,
) -> tuple[Float32Array, Float32Array]:
    """User and item factors whose scores are those of `factors` plus `share` times decayed popularity.

    That is one factor more, the last: 1 for each user, share * popularity for each item. A share of 0 adds none.
    """
    if not share:
        return factors
    users, items = factors
    popular = np.float32(share) * compute_popularity(user_items, half_life)
    return np.column_stack([users, np.ones(len(users), np.float32)]), np.column_stack(
        [items, popular]
    )
