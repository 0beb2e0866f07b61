"""Which items the items table has ever listed, and which run saw each of them first.

The items table has no dates, and each run replaces it. `items_seen/{as_of}.parquet` (item_id,
first_seen) remembers. A run continues the newest of these files that is older than the run itself,
so a rerun finds what its first run found.
"""

import io
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.cuts import format_stamp
from dawnlist.lake.lake import Lake

ITEMS_SEEN_FOLDER: Final = "items_seen"
ITEMS_SEEN_SCHEMA: Final = pa.schema(
    [pa.field("item_id", pa.string()), pa.field("first_seen", pa.int64())]
)
"""first_seen: the as_of of the run, in epoch microseconds."""


def read_items_seen_before(lake: Lake, as_of: datetime) -> pa.Table:
    """Read which items were listed by the time of an earlier run; empty when there is none."""
    own_name = _build_file_name(as_of)
    return _read_newest(lake, [name for name in _list_files(lake) if name < own_name])


def read_items_seen(lake: Lake, as_of: datetime) -> pa.Table:
    """Read which items were listed by the time of a run; empty when there was no items table."""
    own_name = _build_file_name(as_of)
    return _read_newest(lake, [name for name in _list_files(lake) if name <= own_name])


def write_items_seen(lake: Lake, as_of: datetime, items: pa.Table) -> None:
    """Write which items have been listed by the time of a run."""
    buffer = io.BytesIO()
    pq.write_table(items.cast(ITEMS_SEEN_SCHEMA), buffer, compression="zstd")
    lake.write(buffer.getvalue(), ITEMS_SEEN_FOLDER, _build_file_name(as_of))


def _read_newest(lake: Lake, names: list[str]) -> pa.Table:
    data = None
    if names:
        data = lake.read(ITEMS_SEEN_FOLDER, names[-1])
    if data is None:
        return ITEMS_SEEN_SCHEMA.empty_table()
    return pq.read_table(io.BytesIO(data), schema=ITEMS_SEEN_SCHEMA)


def _list_files(lake: Lake) -> list[str]:
    return lake.names(ITEMS_SEEN_FOLDER)


def _build_file_name(as_of: datetime) -> str:
    return f"{format_stamp(as_of)}.parquet"
