"""Rows of the interactions table by time, read lazily and only from the days they touch."""

from datetime import datetime
from typing import TYPE_CHECKING

from dawnlist.cuts import compute_window
from dawnlist.lake.lake import Lake

if TYPE_CHECKING:  # brings pandas along
    import pyarrow.dataset as pads


def scan_interactions(
    lake: Lake, version: int, as_of: datetime, window_days: int
) -> "pads.Dataset":
    """The interactions of the window. ValueError when there is no such table."""
    rows = lake.rows("interactions", version)
    if rows is None:
        raise ValueError(f"there is no interactions table in {lake.uri}: run the clean step first")
    return filter_time_range(rows, *compute_window(as_of, window_days))


def filter_time_range(rows: "pads.Dataset", start: datetime, end: datetime) -> "pads.Dataset":
    """Those of [start, end)."""
    import pyarrow.dataset as pads

    days = (pads.field("event_date") >= start.date()) & (pads.field("event_date") <= end.date())
    return rows.filter(
        days & (pads.field("event_time") >= start) & (pads.field("event_time") < end)
    )
