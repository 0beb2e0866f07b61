"""Measure after how many days people of a shop meet an item again."""

import math
from datetime import datetime
from typing import Final

import pyarrow.dataset as pads

from dawnlist.machine import scratch_duckdb
from dawnlist.model.repeats import DEFAULT_GAP

MAX_PAIRS: Final = 2_000_000
"""With more pairs than this, only a sample of the users is measured."""
GAP_QUERY: Final = """
SELECT median(day - previous_day) FROM (
    SELECT day, lag(day) OVER (PARTITION BY user_id, item_id ORDER BY day) AS previous_day
    FROM (
        SELECT DISTINCT user_id, item_id, epoch_us(event_time) // 86400000000 AS day
        FROM rows
        WHERE event_time < $end AND hash(user_id) % $modulus = 0
    )
)
WHERE previous_day IS NOT NULL
"""


def measure_repeat_gap(rows: pads.Dataset, end: datetime, pair_count: int) -> float:
    """Return the median number of days between two days on which a user met the same item.

    Args:
        rows: The interactions of people.
        end: Only rows before this moment count.
        pair_count: The number of pairs of a user and an item among the rows.

    Returns:
        DEFAULT_GAP when nobody met an item on two days.
    """
    # One user in so many is measured; with MAX_PAIRS pairs or fewer it is each of them.
    modulus = max(1, math.ceil(pair_count / MAX_PAIRS))
    connection = scratch_duckdb.open_scratch_database()
    connection.register("rows", rows)
    result = connection.execute(GAP_QUERY, {"end": end, "modulus": modulus}).fetchone()
    if result is None or result[0] is None:
        return DEFAULT_GAP
    return float(result[0])
