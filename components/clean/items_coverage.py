"""Refuse an items table that is damaged: one that covers far less of what people use than before.

What people use are the events of the last 28 days. An upload that was cut off, or whose ids are of
another kind, would take most items out of all lists; so would a column that says of nearly all
items that they are not available.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.lake.interactions import filter_time_range
from dawnlist.lake.lake import Lake
from dawnlist.machine import scratch_duckdb

USE_PERIOD: Final = timedelta(days=28)
USE_QUERY: Final = "SELECT item_id, count(*) AS events FROM rows GROUP BY item_id"


@dataclass(frozen=True)
class JudgedItems:
    """An items table after the checks."""

    rows: pa.Table | None
    """The rows to store; None if the table of before has to stay."""
    problem: str = ""
    """What is wrong, in one line; empty if nothing is."""


def judge_items_table(
    lake: Lake, rows: pa.Table, max_coverage_fall: float, as_of: datetime
) -> JudgedItems:
    """Compare a new items table with the lake's one, by what people used before `as_of`.

    Args:
        lake: The lake, whose interactions are up to date.
        rows: The new table, with the columns of ITEMS_SCHEMA.
        max_coverage_fall: The setting items.max_coverage_fall.
        as_of: The end of the days whose events count.
    """
    earlier_ids = _read_item_ids(lake)
    is_offered = pc.fill_null(rows["available"], True)
    lost_ids = earlier_ids.filter(pc.invert(pc.is_in(earlier_ids, rows["item_id"])))
    if not len(lost_ids) and pc.all(is_offered).as_py():
        return JudgedItems(rows)
    use = _count_use(lake, as_of)
    total = int(pc.sum(use["events"]).as_py() or 0)
    if not total:
        return JudgedItems(rows)
    least_share = 1 - max_coverage_fall
    before = _count_covered(use, earlier_ids)
    listed = _count_covered(use, rows["item_id"])
    if listed < least_share * before:
        return JudgedItems(None, _describe_damaged_table(listed / total, before / total))
    offered = _count_covered(use, rows["item_id"].filter(is_offered))
    if offered < least_share * listed:
        unknown = pa.nulls(rows.num_rows, pa.bool_())
        index = rows.schema.get_field_index("available")
        accepted = rows.set_column(index, "available", unknown)
        return JudgedItems(accepted, _describe_damaged_column(offered / total, listed / total))
    return JudgedItems(rows)


def _describe_damaged_table(listed: float, before: float) -> str:
    return (
        f"the items table covers {listed:.0%} of what people used in the last 28 days, the one "
        f"before covered {before:.0%}: it seems to be damaged, so the one before is kept; if it is "
        "right, set items.max_coverage_fall to 1"
    )


def _describe_damaged_column(offered: float, listed: float) -> str:
    return (
        f"available items are {offered:.0%} of what people used in the last 28 days, listed ones "
        f"{listed:.0%}: the source's column of availability seems to be wrong, so it is ignored; "
        "if it is right, set items.max_coverage_fall to 1"
    )


def _read_item_ids(lake: Lake) -> pa.ChunkedArray:
    """Read the ids of the lake's items table; none if there is no table."""
    rows = lake.rows("items")
    if rows is None:
        return pa.chunked_array([], pa.string())
    return rows.to_table(columns=["item_id"])["item_id"].cast(pa.string())


def _count_use(lake: Lake, as_of: datetime) -> pa.Table:
    """Count the events of each item in the days before `as_of`: item_id, events."""
    table = lake.rows("interactions")
    if table is None:
        return pa.table({"item_id": pa.array([], pa.string()), "events": pa.array([], pa.int64())})
    connection = scratch_duckdb.open_scratch_database()
    connection.register("rows", filter_time_range(table, as_of - USE_PERIOD, as_of))
    return connection.sql(USE_QUERY).to_arrow_table()


def _count_covered(use: pa.Table, item_ids: pa.ChunkedArray) -> int:
    """Count the events on the given items."""
    is_covered = pc.is_in(use["item_id"], value_set=item_ids.cast(use["item_id"].type))
    return int(use["events"].to_numpy()[np.asarray(is_covered)].sum())
