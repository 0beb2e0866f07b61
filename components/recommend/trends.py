"""Measure which items are met more often now than they usually are."""

from datetime import timedelta
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from dawnlist.arrays import Float32Array
from dawnlist.lake.interactions import filter_time_range
from dawnlist.lake.lake import Lake
from dawnlist.model.splits import Splits

RECENT_HALF_LIFE_DAYS: Final = 1.0
USUAL_HALF_LIFE_DAYS: Final = 14.0
TREND_PERIOD: Final = timedelta(days=70)
"""Older days count less than 1/32 of today in what is usual."""
PRIOR_PER_DAY: Final = 0.5
"""People a day that each item is taken to have besides: one visitor of an unknown item is no trend."""

# A person counts once a day for an item.
DECAYED_COUNTS_QUERY: Final = """
SELECT item_index,
       sum(pow(0.5, age / $recent)) AS recent, sum(pow(0.5, age / $usual)) AS usual
FROM (
    SELECT item_index, (epoch_us($end) - epoch_us(max(event_time))) / 86400e6 AS age
    FROM rows JOIN items USING (item_id) SEMI JOIN users USING (user_id)
    GROUP BY item_index, user_id, event_date
)
GROUP BY item_index
"""


def measure_trends(lake: Lake, splits: Splits) -> Float32Array:
    """Measure each item's trend at the end of the splits, shape (items,).

    Two exponentially decayed counts give the people a day lately and usually. The trend is their
    difference in standard deviations of what is usual (of Poisson counts): positive for an item
    that is met more often than it usually is, and 0 for one that nobody has met.
    """
    trends = np.zeros(splits.shape[1], np.float32)
    table = lake.rows("interactions", splits.about["interactions_version"])
    if table is None:
        return trends
    end = splits.cuts.as_of
    items = pa.table({"item_id": splits.item_ids.ids, "item_index": np.arange(splits.shape[1])})
    parameters = {"recent": RECENT_HALF_LIFE_DAYS, "usual": USUAL_HALF_LIFE_DAYS, "end": end}
    with duckdb.connect() as connection:
        connection.register("rows", filter_time_range(table, end - TREND_PERIOD, end))
        connection.register("items", items)
        connection.register("users", pa.table({"user_id": splits.user_ids.ids}))
        counts = connection.execute(DECAYED_COUNTS_QUERY, parameters).fetchnumpy()
    # A decayed count is a mean over half-life / ln 2 days.
    recent_days = RECENT_HALF_LIFE_DAYS / np.log(2)
    usual_days = USUAL_HALF_LIFE_DAYS / np.log(2)
    recent_rate = counts["recent"] / recent_days
    usual_rate = counts["usual"] / usual_days
    variance = (usual_rate + PRIOR_PER_DAY) / (2 * recent_days)
    trends[counts["item_index"]] = (recent_rate - usual_rate) / np.sqrt(variance)
    return trends
