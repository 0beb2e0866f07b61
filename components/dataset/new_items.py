"""What the items table says of the window's items, and which items that nobody met join them.

The items table has no dates. `items_seen/{as_of}.parquet` (item_id, first_seen) says which run saw each item first; a
run goes on from the newest one that is older than itself, so a rerun finds what its first run found.
"""

import io
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.cuts import MICROSECONDS_PER_DAY, format_stamp
from dawnlist.lake.lake import Lake
from dawnlist.model.content import ItemFeatures, build_content_vectors
from dawnlist.model.ids import IdMap
from dawnlist.model.splits import Splits

NEW_ITEM_DAYS: Final = 28
"""An item that nobody has met so long after it was first seen is no longer new: it stays out."""
ITEMS_SEEN_FOLDER: Final = "items_seen"
ITEMS_SEEN_SCHEMA: Final = pa.schema(
    [pa.field("item_id", pa.string()), pa.field("first_seen", pa.int64())]
)


def join_items_table(lake: Lake, splits: Splits) -> Splits:
    """The splits with what is known of their items, and with the new ones, which nobody met yet, as their last items.

    They are the same without an items table.
    """
    rows = lake.rows("items")
    if rows is None:
        return splits
    items = rows.to_table()
    listed = IdMap.of(items["item_id"])
    seen, since = record_first_seen(lake, listed, splits)
    young = seen > _convert_as_of_to_microseconds(splits) - NEW_ITEM_DAYS * MICROSECONDS_PER_DAY
    unmet = listed.subset(np.flatnonzero(young & (splits.item_ids.indices(listed.ids) < 0)))
    ids = IdMap(pa.concat_arrays([splits.item_ids.ids, unmet.ids]))
    content = build_content_vectors(items, ids)
    met = np.arange(len(ids)) < len(splits.item_ids)
    kept = np.flatnonzero(
        met | content.any(axis=1)
    )  # without a word in common with any, nothing is known of it
    dates = np.append(seen, 0)[listed.indices(ids.ids)]  # -1, the last, for one that is not listed
    stock = ItemFeatures(content[kept], dates[kept], since, len(kept) - int(met.sum()))
    return replace(splits, item_ids=ids.subset(kept), stock=stock)


def record_first_seen(
    lake: Lake, listed: IdMap, splits: Splits
) -> tuple[npt.NDArray[np.int64], int]:
    """When the items were first seen, shape (len(listed),), and when the first run looked; epoch microseconds.

    It leaves in the lake what the next day's run goes on from.
    """
    now, known = _convert_as_of_to_microseconds(splits), _read_earlier_sightings(lake, splits)
    places = IdMap(known["item_id"].combine_chunks()).indices(listed.ids)
    dates = np.append(known["first_seen"].to_numpy(), now)[places]
    new = pa.table({"item_id": listed.ids, "first_seen": dates}, schema=ITEMS_SEEN_SCHEMA).filter(
        pa.array(places < 0)
    )
    if new.num_rows:
        data = io.BytesIO()
        pq.write_table(pa.concat_tables([known, new]), data, compression="zstd")
        lake.write(data.getvalue(), ITEMS_SEEN_FOLDER, _build_file_name(splits))
    return dates, int(min(known["first_seen"].to_numpy(), default=now))


def _read_earlier_sightings(lake: Lake, splits: Splits) -> pa.Table:
    older = [name for name in lake.names(ITEMS_SEEN_FOLDER) if name < _build_file_name(splits)]
    data = lake.read(ITEMS_SEEN_FOLDER, older[-1]) if older else None
    return (
        ITEMS_SEEN_SCHEMA.empty_table()
        if data is None
        else pq.read_table(io.BytesIO(data), schema=ITEMS_SEEN_SCHEMA)
    )


def _build_file_name(splits: Splits) -> str:
    return f"{format_stamp(splits.cuts.as_of)}.parquet"


def _convert_as_of_to_microseconds(splits: Splits) -> int:
    return int(splits.cuts.as_of.timestamp() * 1_000_000)
