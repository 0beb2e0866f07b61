"""Segments: the users among whom a model may be worse while it is better on the whole."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dawnlist.components.evaluate.arms import Judged

Users = npt.NDArray[np.bool_]
HISTORY: Final = {"history 1-4": (1, 4), "history 5-19": (5, 19), "history 20+": (20, np.inf)}
"""By how many items a user met before the holdout."""
COLD: Final = "cold users"
NEW_ITEMS: Final = "new items"
ACTIVE: Final = "active in the last week"
ACTIVE_DAYS: Final = 7.0


def of_users(judged: Judged) -> dict[str, Users]:
    """Segment -> which of the judged users are in it; they overlap."""
    met = np.diff(judged.seen.indptr)
    found = {name: (met >= low) & (met <= high) for name, (low, high) in HISTORY.items()}
    return {**found, ACTIVE: _last_seen(judged) <= ACTIVE_DAYS}


def with_new_items(judged: Judged) -> tuple[Users, Any]:
    """Who met an item in the holdout that nobody had met before it, and those items as the truth of these users."""
    known = np.zeros(judged.truth.shape[1], dtype=bool)
    known[judged.history.weight.indices] = True
    truth = judged.truth.copy()
    truth.data = np.where(known[truth.indices], 0, truth.data)
    truth.eliminate_zeros()
    users = np.diff(truth.indptr) > 0
    return users, truth[users]


def _last_seen(judged: Judged) -> npt.NDArray[np.float32]:
    """Days from each user's last event before the holdout to its start."""
    ages = np.append(judged.history.age, np.float32(np.inf))  # so that every row's start is a place in it
    youngest = np.minimum.reduceat(ages, judged.history.weight.indptr[:-1])
    return np.asarray(youngest[judged.users])
