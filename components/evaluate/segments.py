"""Assign users to segments, in which a model may be worse although it is better on the whole."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import BoolArray
from dawnlist.components.evaluate.arms import EvaluatedUsers

TruthPart = tuple[BoolArray, Any]
"""Which users have truth in a part, shape (users,), and that truth, a row for each of them."""
HISTORY_SEGMENTS: Final = {
    "history 1-4": (1, 4),
    "history 5-19": (5, 19),
    "history 20+": (20, np.inf),
}
"""The least and the greatest number of items that a user met before the holdout."""
COLD_SEGMENT: Final = "cold users"
NEW_ITEMS_SEGMENT: Final = "new items"
FIRST_MEETINGS_SEGMENT: Final = "items new to the user"
REPEATS_SEGMENT: Final = "items met again"
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


def divide_truth(evaluated: EvaluatedUsers) -> dict[str, TruthPart]:
    """Divide the truth into parts that are scored by themselves.

    These are the items that nobody had met before the holdout and, if the lists may hold items that
    the user has met, the items that are new to the user and those met again.
    """
    is_known_item = np.zeros(evaluated.truth.shape[1], dtype=bool)
    is_known_item[evaluated.history.weight.indices] = True
    is_known = is_known_item[evaluated.truth.indices]
    parts = {NEW_ITEMS_SEGMENT: _select_truth(evaluated.truth, ~is_known)}
    if evaluated.splits.counts_repeats:
        is_own = _is_own_item(evaluated)
        parts[FIRST_MEETINGS_SEGMENT] = _select_truth(evaluated.truth, ~is_own)
        parts[REPEATS_SEGMENT] = _select_truth(evaluated.truth, is_own)
    return parts


def _is_own_item(evaluated: EvaluatedUsers) -> BoolArray:
    """Say of each entry of the truth whether the user met the item before the holdout."""
    truth, seen = evaluated.truth, evaluated.seen
    width = truth.shape[1]
    truth_rows = np.repeat(np.arange(truth.shape[0]), np.diff(truth.indptr))
    seen_rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
    truth_keys = truth_rows.astype(np.int64) * width + truth.indices
    seen_keys = seen_rows.astype(np.int64) * width + seen.indices
    return np.isin(truth_keys, seen_keys)


def _select_truth(truth: Any, is_selected: BoolArray) -> TruthPart:
    part = truth.copy()
    part.data = np.where(is_selected, part.data, 0)
    part.eliminate_zeros()
    has_truth = np.diff(part.indptr) > 0
    return has_truth, part[has_truth]


def _days_since_last_event(evaluated: EvaluatedUsers) -> npt.NDArray[np.float32]:
    """Return the days from each user's last event before the holdout to its start."""
    # reduceat needs each row's start to be an index, also that of an empty last row.
    ages = np.append(evaluated.history.age, np.float32(np.inf))
    youngest = np.minimum.reduceat(ages, evaluated.history.weight.indptr[:-1])
    return np.asarray(youngest[evaluated.users])
