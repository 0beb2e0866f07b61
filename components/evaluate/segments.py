"""Assign users to segments, in which a model may be worse although it is better on the whole."""

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
"""The least and the greatest number of items that a user met before the holdout."""
COLD_SEGMENT: Final = "cold users"
NEW_ITEMS_SEGMENT: Final = "new items"
ACTIVE_SEGMENT: Final = "active in the last week"
ACTIVE_DAYS: Final = 7.0


def assign_segments(evaluated: EvaluatedUsers) -> dict[str, BoolArray]:
    """Return for each segment which of the users are in it. The segments overlap."""
    item_counts = np.diff(evaluated.seen.indptr)
    members = {}
    for name, (low, high) in HISTORY_SEGMENTS.items():
        is_long_enough = item_counts >= low
        is_short_enough = item_counts <= high
        members[name] = is_long_enough & is_short_enough
    members[ACTIVE_SEGMENT] = _days_since_last_event(evaluated) <= ACTIVE_DAYS
    return members


def select_new_item_truth(evaluated: EvaluatedUsers) -> tuple[BoolArray, Any]:
    """Select the users who met an item in the holdout that nobody had met before it.

    Returns:
        Which users these are, and their truth, which has such items only.
    """
    is_known_item = np.zeros(evaluated.truth.shape[1], dtype=bool)
    is_known_item[evaluated.history.weight.indices] = True
    truth = evaluated.truth.copy()
    truth.data = np.where(is_known_item[truth.indices], 0, truth.data)
    truth.eliminate_zeros()
    has_new_items = np.diff(truth.indptr) > 0
    return has_new_items, truth[has_new_items]


def _days_since_last_event(evaluated: EvaluatedUsers) -> npt.NDArray[np.float32]:
    """Return the days from each user's last event before the holdout to its start."""
    # reduceat needs each row's start to be an index, also that of an empty last row.
    ages = np.append(evaluated.history.age, np.float32(np.inf))
    youngest = np.minimum.reduceat(ages, evaluated.history.weight.indptr[:-1])
    return np.asarray(youngest[evaluated.users])
