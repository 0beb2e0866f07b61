"""Popular lists of segments: what people on phones, tablets and desktops have met lately."""

from datetime import timedelta
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from dawnlist.arrays import PopularItems
from dawnlist.lake.interactions import filter_time_range
from dawnlist.lake.lake import Lake
from dawnlist.model.splits import Splits

SEGMENT_PERIOD: Final = timedelta(days=28)
TABLET_AGENTS: Final = r"ipad|tablet|kindle|silk/|playbook"
MOBILE_AGENTS: Final = r"mobi|iphone|ipod|windows phone|opera mini"
DESKTOP_AGENTS: Final = r"windows nt|macintosh|x11|cros "

# An Android without "Mobile" in its agent is a tablet, says Google of its browser's.
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


def rank_items_by_device(lake: Lake, splits: Splits, k: int) -> dict[str, PopularItems]:
    """The k items that most users of each kind of device met in the last 28 days, by segment such as `device=mobile`.

    Of the users that the splits have, so that what was filtered out has no say. Empty when no row has a user agent.
    """
    table, as_of = (
        lake.rows("interactions", splits.about["interactions_version"]),
        splits.cuts.as_of,
    )
    if table is None:
        return {}
    rows = filter_time_range(table, as_of - SEGMENT_PERIOD, as_of)
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        items = pa.table(
            {"item_id": splits.item_ids.ids, "item_index": pa.array(np.arange(splits.shape[1]))}
        )
        connection.register("items", items)
        connection.register("users", pa.table({"user_id": splits.user_ids.ids}))
        patterns = {"tablet": TABLET_AGENTS, "mobile": MOBILE_AGENTS, "desktop": DESKTOP_AGENTS}
        device, index, users = (
            connection.execute(DEVICE_POPULARITY_QUERY, patterns).fetchnumpy().values()
        )
    kinds = dict.fromkeys(device.tolist())
    return {
        f"device={kind}": (index[device == kind][:k].astype(np.uint32), users[device == kind][:k])
        for kind in kinds
    }
