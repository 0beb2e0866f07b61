"""Add what the items table says to splits, and append new items that nobody has met yet.

The items table has no dates; `dawnlist/lake/items_seen.py` remembers which run saw each item first.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from dawnlist.arrays import Int64Array
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.lake.items_seen import (
    ITEMS_SEEN_SCHEMA,
    read_items_seen_before,
    write_items_seen,
)
from dawnlist.lake.lake import Lake
from dawnlist.model.content import ItemFeatures, build_content_vectors
from dawnlist.model.ids import IdMap
from dawnlist.model.splits import Splits

NEW_ITEM_DAYS: Final = 28
"""For how many days after it was first seen an item that nobody has met counts as new."""


def join_items_table(lake: Lake, splits: Splits) -> Splits:
    """Add features of items to the splits, and append new items that nobody has met.

    Without an items table, the splits are returned as they are.
    """
    rows = lake.rows("items")
    if rows is None:
        return splits
    items = rows.to_table()
    listed_ids = IdMap.of(items["item_id"])
    first_seen, first_look = record_first_seen(lake, listed_ids, splits)
    ids = _append_new_items(splits, listed_ids, first_seen)
    content = build_content_vectors(items, ids)
    is_met = np.arange(len(ids)) < len(splits.item_ids)
    # A new item without content is left out: nothing is known about it.
    used = np.flatnonzero(is_met | content.any(axis=1))
    # An item that is not listed has the index -1, which is the appended 0.
    dates = np.append(first_seen, 0)[listed_ids.indices(ids.ids)]
    unmet_count = len(used) - int(is_met.sum())
    features = ItemFeatures(content[used], dates[used], first_look, unmet_count)
    return replace(splits, item_ids=ids.subset(used), stock=features)


def _append_new_items(
    splits: Splits,
    listed_ids: IdMap,
    first_seen: Int64Array,
) -> IdMap:
    """Append listed items that were first seen lately and that nobody has met."""
    oldest = _convert_as_of_to_microseconds(splits) - NEW_ITEM_DAYS * MICROSECONDS_PER_DAY
    is_unmet = splits.item_ids.indices(listed_ids.ids) < 0
    new_ids = listed_ids.subset(np.flatnonzero((first_seen > oldest) & is_unmet))
    return IdMap(pa.concat_arrays([splits.item_ids.ids, new_ids.ids]))


def record_first_seen(
    lake: Lake,
    listed_ids: IdMap,
    splits: Splits,
) -> tuple[Int64Array, int]:
    """Look up when the items were first seen, and record those that no earlier run has seen.

    Returns the time of each item, shape (len(listed_ids),), and the time of the first run that
    recorded items, all in epoch microseconds.
    """
    now = _convert_as_of_to_microseconds(splits)
    earlier = read_items_seen_before(lake, splits.cuts.as_of)
    earlier_dates = earlier["first_seen"].to_numpy()
    indices = IdMap(earlier["item_id"].combine_chunks()).indices(listed_ids.ids)
    # An item that no earlier run has seen has the index -1, which is the appended `now`.
    dates = np.append(earlier_dates, now)[indices]
    listed = pa.table({"item_id": listed_ids.ids, "first_seen": dates}, schema=ITEMS_SEEN_SCHEMA)
    new = listed.filter(pa.array(indices < 0))
    if new.num_rows:
        write_items_seen(lake, splits.cuts.as_of, pa.concat_tables([earlier, new]))
    return dates, int(min(earlier_dates, default=now))


def _convert_as_of_to_microseconds(splits: Splits) -> int:
    return int(splits.cuts.as_of.timestamp() * 1_000_000)
