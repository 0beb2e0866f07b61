"""Popularity as a model of one factor: the arm that any challenger must beat."""

from typing import Final

import numpy as np

from components.model import Factors
from components.user_items import UserItems

WINDOWS: Final[dict[str, float]] = {"whole": 0.0, "7d": 7.0, "24h": 1.0}
"""Name -> days before the cut that count; 0 means all."""


def fit(user_items: UserItems, window: str) -> tuple[Factors, Factors]:
    """User factors (users, 1), all 1, and item factors (items, 1): how many users met the item in the window.

    Users, not events, so that one user's frenzy makes no item popular. Items outside the window keep a small share
    of the whole window's popularity, which breaks ties and fills short lists.
    """
    users, items = user_items.weight.shape
    counts = np.bincount(user_items.weight.indices, minlength=items).astype(np.float32)
    days = WINDOWS[window]
    if days:
        recent = user_items.weight.indices[user_items.age <= days]
        counts = np.bincount(recent, minlength=items) + counts / np.float32(max(1, users) + 1)
    return np.ones((users, 1), dtype=np.float32), counts.astype(np.float32)[:, None]
