"""The covered window: the time that the interactions table holds without a gap.

Its start and end are app transactions of the Delta table, in seconds since 1970. They are written
in the same commits as the rows, so rows and window always agree.
"""

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltalake import DeltaTable

WATERMARK_APP_ID = "watermark"
"""App id of the end of the covered window."""
EARLIEST_APP_ID = "earliest"
"""App id of the start of the covered window."""

EXPIRED_APP_ID = "expired"
"""App id of the expiry cutoff: older rows were dropped because of their age."""

TimeWindow = tuple[datetime, datetime]
"""[start, end), UTC."""


def read_covered_window(table: "DeltaTable | None") -> TimeWindow | None:
    """Read the time that the table holds without a gap; None when nothing was ever committed."""
    if table is None:
        return None
    end = table.transaction_version(WATERMARK_APP_ID)
    if end is None:
        return None
    start = table.transaction_version(EARLIEST_APP_ID)
    if start is None:
        # a watermark alone says nothing about the time before it, so the window is empty
        start = end
    return _from_epoch_seconds(start), _from_epoch_seconds(end)


def read_expiry_cutoff(table: "DeltaTable | None") -> datetime | None:
    """Read the time before which rows were dropped for their age; None when none ever were."""
    if table is None:
        return None
    seconds = table.transaction_version(EXPIRED_APP_ID)
    return None if seconds is None else _from_epoch_seconds(seconds)


def extend_window(covered: TimeWindow | None, windows: list[TimeWindow]) -> TimeWindow | None:
    """Extend the covered window by the given windows, in their order.

    A window that would leave a gap to the covered one is ignored. Windows are cut to whole seconds.
    """
    for window in windows:
        start, end = _round_inwards(window)
        if covered is None:
            covered = start, end
        elif start <= covered[1] and end >= covered[0]:
            covered = min(start, covered[0]), max(end, covered[1])
    return covered


def build_window_transactions(window: TimeWindow) -> dict[str, int]:
    """Build the app transactions (app id -> version) that store the covered window in a commit."""
    start, end = window
    return {
        EARLIEST_APP_ID: int(start.timestamp()),
        WATERMARK_APP_ID: int(end.timestamp()),
    }


def _round_inwards(window: TimeWindow) -> TimeWindow:
    start, end = window
    first_second = math.ceil(start.timestamp())
    last_second = math.floor(end.timestamp())
    return _from_epoch_seconds(first_second), _from_epoch_seconds(last_second)


def _from_epoch_seconds(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
