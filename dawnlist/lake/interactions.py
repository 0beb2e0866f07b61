"""Scan the interactions table by time, lazily, reading only the days that are needed."""

from datetime import datetime
from typing import TYPE_CHECKING

from dawnlist.cuts import compute_window
from dawnlist.lake.lake import Lake

if TYPE_CHECKING:  # it imports pandas, which is slow
    import pyarrow.dataset as pads


def scan_interactions(
    lake: Lake, version: int, as_of: datetime, window_days: int
) -> "pads.Dataset":
    """Scan the interactions of the `window_days` days before `as_of`, at a version of the table.

    Raises:
        ValueError: There is no interactions table.
    """
    rows = lake.rows("interactions", version)
    if rows is None:
        raise ValueError(f"there is no interactions table in {lake.uri}: run the clean step first")
    start, end = compute_window(as_of, window_days)
    return filter_time_range(rows, start, end)


def filter_time_range(rows: "pads.Dataset", start: datetime, end: datetime) -> "pads.Dataset":
    """Keep the rows with an event_time in [start, end), UTC; files of other days are not read."""
    import pyarrow.dataset as pads

    day = pads.field("event_date")
    moment = pads.field("event_time")
    within_days = (day >= start.date()) & (day <= end.date())
    return rows.filter(within_days & (moment >= start) & (moment < end))
