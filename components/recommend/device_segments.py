"""Rank what people on phones, tablets and desktops have met lately."""

from datetime import timedelta
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from dawnlist.arrays import BoolArray, PopularItems
from dawnlist.lake.interactions import filter_time_range
from dawnlist.lake.lake import Lake
from dawnlist.model.splits import Splits
from dawnlist.rows.device_kinds import DESKTOP_AGENTS, MOBILE_AGENTS, TABLET_AGENTS

SEGMENT_PERIOD: Final = timedelta(days=28)
_PATTERNS: Final = {
    "tablet": TABLET_AGENTS,
    "mobile": MOBILE_AGENTS,
    "desktop": DESKTOP_AGENTS,
}

# Google says of its browser: an Android without "Mobile" in its user agent is a tablet.
DEVICE_POPULARITY_QUERY: Final = """
SELECT device, item_index, count(DISTINCT user_id)::FLOAT AS users
FROM (
    SELECT user_id, item_id,
           CASE WHEN regexp_matches(agent, $tablet) OR (contains(agent, 'android') AND NOT contains(agent, 'mobile'))
                THEN 'tablet'
                WHEN regexp_matches(agent, $mobile) THEN 'mobile'
                WHEN regexp_matches(agent, $desktop) THEN 'desktop' END AS device
    FROM (SELECT user_id, item_id, lower(user_agent) AS agent FROM rows WHERE user_agent IS NOT NULL)
)
JOIN items USING (item_id) SEMI JOIN users USING (user_id)
WHERE device IS NOT NULL
GROUP BY device, item_index
ORDER BY device, users DESC, item_index
"""


def rank_items_by_device(
    lake: Lake,
    splits: Splits,
    k: int,
    is_withdrawn: BoolArray,
) -> dict[str, PopularItems]:
    """Rank the k items that most users of each kind of device met in the last 28 days.

    Only the users of the splits count, so bots that were dropped do not. Withdrawn items, a mask of
    shape (items,), are left out.

    Returns a segment, such as `device=mobile`, -> item indices and numbers of users, most first.
    It is empty when no row has a user agent.
    """
    table = lake.rows("interactions", splits.about["interactions_version"])
    if table is None:
        return {}
    as_of = splits.cuts.as_of
    rows = filter_time_range(table, as_of - SEGMENT_PERIOD, as_of)
    item_indices = pa.array(np.arange(splits.shape[1]))
    items = pa.table({"item_id": splits.item_ids.ids, "item_index": item_indices})
    items = items.filter(pa.array(~is_withdrawn))
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        connection.register("items", items)
        connection.register("users", pa.table({"user_id": splits.user_ids.ids}))
        result = connection.execute(DEVICE_POPULARITY_QUERY, _PATTERNS).fetchnumpy()
    segments: dict[str, PopularItems] = {}
    for device in dict.fromkeys(result["device"].tolist()):
        is_device = result["device"] == device
        best_items = result["item_index"][is_device][:k].astype(np.uint32)
        segments[f"device={device}"] = best_items, result["users"][is_device][:k]
    return segments
