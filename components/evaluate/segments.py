"""Segments: the users among whom a model may be worse while it is better on the whole."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import BoolArray
from dawnlist.components.evaluate.arms import EvaluatedUsers

HISTORY_SEGMENTS: Final = {
    "history 1-4": (1, 4),
    "history 5-19": (5, 19),
    "history 20+": (20, np.inf),
}
"""By how many items a user met before the holdout."""
COLD_SEGMENT: Final = "cold users"
NEW_ITEMS_SEGMENT: Final = "new items"
ACTIVE_SEGMENT: Final = "active in the last week"
ACTIVE_DAYS: Final = 7.0


def assign_segments(judged: EvaluatedUsers) -> dict[str, BoolArray]:
    """Segment -> which of the judged users are in it; they overlap."""
    met = np.diff(judged.seen.indptr)
    found = {name: (met >= low) & (met <= high) for name, (low, high) in HISTORY_SEGMENTS.items()}
    return {**found, ACTIVE_SEGMENT: _days_since_last_event(judged) <= ACTIVE_DAYS}


def select_new_item_truth(judged: EvaluatedUsers) -> tuple[BoolArray, Any]:
    """Who met an item in the holdout that nobody had met before it, and those items as the truth of these users."""
    known = np.zeros(judged.truth.shape[1], dtype=bool)
    known[judged.history.weight.indices] = True
    truth = judged.truth.copy()
    truth.data = np.where(known[truth.indices], 0, truth.data)
    truth.eliminate_zeros()
    users = np.diff(truth.indptr) > 0
    return users, truth[users]


def _days_since_last_event(judged: EvaluatedUsers) -> npt.NDArray[np.float32]:
    """Days from each user's last event before the holdout to its start."""
    ages = np.append(
        judged.history.age, np.float32(np.inf)
    )  # so that every row's start is a place in it
    youngest = np.minimum.reduceat(ages, judged.history.weight.indptr[:-1])
    return np.asarray(youngest[judged.users])
