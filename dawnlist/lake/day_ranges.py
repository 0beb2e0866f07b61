"""Skip the files of other days by a condition on event_time alone.

event_date is the UTC day of event_time, so the day of a file bounds its times. No ranges stand in the
commits: delta-rs takes statistics of some columns for bounds of NULL on all others, and a condition
on these finds no rows.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # it imports pandas, which is slow
    import pyarrow.dataset as pads

TIME_COLUMN: Final = "event_time"
DAY_COLUMN: Final = "event_date"
"""The UTC day of TIME_COLUMN."""


def add_day_ranges(rows: "pads.FileSystemDataset") -> "pads.FileSystemDataset":
    """Let the scanner know which times the files of a table can hold, and nothing else.

    What the commits say of other columns is left out: after somebody's delete by delta-rs the file
    has string views, with which the scanner can't compare the bounds of texts.
    """
    import pyarrow.dataset as pads

    has_times = {TIME_COLUMN, DAY_COLUMN} <= set(rows.schema.names)
    fragments = []
    for fragment in rows.get_fragments():
        keys = pads.get_partition_keys(fragment.partition_expression)
        expression = pads.scalar(True)
        for name, value in keys.items():
            expression = expression & (pads.field(name) == pads.scalar(value))
        if has_times and keys.get(DAY_COLUMN) is not None:
            expression = expression & _build_day_range(keys[DAY_COLUMN])
        fragments.append(rows.format.make_fragment(fragment.path, fragment.filesystem, expression))
    return pads.FileSystemDataset(fragments, rows.schema, rows.format, rows.filesystem)


def _build_day_range(day: date) -> "pads.Expression":
    import pyarrow.dataset as pads

    start = datetime.combine(day, time(), UTC)
    moment = pads.field(TIME_COLUMN)
    last_microsecond = start + timedelta(days=1) - timedelta(microseconds=1)
    return (moment >= start) & (moment <= last_microsecond)
