"""Choose how many days validation and holdout have, so that enough known users can be judged."""

from datetime import datetime

import numpy as np
import pyarrow.dataset as pads

from dawnlist.arrays import Int64Array
from dawnlist.cuts import MAX_PERIOD_DAYS, Cuts
from dawnlist.machine import scratch_duckdb

# Days are whole 24 hours back from the end of the period: 0 is [end - 24 h, end).
MEETINGS_QUERY = """
WITH pairs AS (
    SELECT user_id,
           (epoch_us($end) - epoch_us(min(event_time)) - 1) // 86400000000 AS first_day,
           (epoch_us($end) - epoch_us(max(event_time)) - 1) // 86400000000 AS last_day
    FROM rows
    WHERE event_time < $end
    GROUP BY user_id, item_id
)
SELECT min({newest}) AS newest, max(first_day) AS oldest
FROM pairs
GROUP BY user_id
"""


def choose_cuts(rows: pads.Dataset, as_of: datetime, min_users: int, counts_repeats: bool) -> Cuts:
    """Choose the shortest holdout, and the shortest validation before it, with enough users.

    Each has the smallest number of whole days in which at least `min_users` users can be judged,
    see count_known_users. A period that can't have so many within MAX_PERIOD_DAYS has one day.
    """
    holdout_days = _choose_days(count_known_users(rows, as_of, counts_repeats), min_users)
    train_end = Cuts.from_as_of(as_of, holdout_days).train_end
    validation_days = _choose_days(count_known_users(rows, train_end, counts_repeats), min_users)
    return Cuts.from_as_of(as_of, holdout_days, validation_days)


def count_known_users(
    rows: pads.Dataset, end: datetime, counts_repeats: bool = False
) -> Int64Array:
    """Count the users that can be judged in periods of 1 to MAX_PERIOD_DAYS days before `end`.

    They have an event before the period, and meet an item in it: one that they had not met before,
    or any item if repeats count.

    Returns:
        Shape (MAX_PERIOD_DAYS,): the users of a period of one day, of two days, ...
    """
    connection = scratch_duckdb.open_scratch_database()
    connection.register("rows", rows)
    newest_column = "first_day"
    if counts_repeats:
        newest_column = "last_day"
    query = MEETINGS_QUERY.format(newest=newest_column)
    users = connection.sql(query, params={"end": end}).to_arrow_table()
    newest = users["newest"].to_numpy()
    oldest = users["oldest"].to_numpy()
    counts = []
    for days in range(1, MAX_PERIOD_DAYS + 1):
        has_truth = newest < days
        is_known = oldest >= days
        counts.append(int((has_truth & is_known).sum()))
    return np.array(counts, dtype=np.int64)


def _choose_days(user_counts: Int64Array, min_users: int) -> int:
    """Return the smallest number of days with enough users, or 1 if none has enough."""
    enough = np.flatnonzero(user_counts >= min_users)
    if not len(enough):
        return 1
    return int(enough[0]) + 1
