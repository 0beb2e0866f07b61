"""Watermark: the time that the interactions table holds without a gap, kept in its own commits.

App transactions of the Delta table, in seconds since 1970: what was fetched and the rows themselves can't be apart.
"""

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltalake import DeltaTable

WATERMARK_APP_ID = "watermark"
"""App id of the end of what is held."""
EARLIEST_APP_ID = "earliest"
"""App id of its start."""

EXPIRED_APP_ID = "expired"
"""App id of the time before which rows were dropped for their age."""

TimeWindow = tuple[datetime, datetime]
"""[start, end), UTC."""


def read_covered_window(table: "DeltaTable | None") -> TimeWindow | None:
    """The time that the table holds whole; None when nothing was ever committed."""
    watermark = None if table is None else table.transaction_version(WATERMARK_APP_ID)
    if table is None or watermark is None:
        return None
    earliest = table.transaction_version(EARLIEST_APP_ID)
    # a watermark alone says nothing about what lies before it
    return _from_epoch_seconds(watermark if earliest is None else earliest), _from_epoch_seconds(
        watermark
    )


def read_expiry_cutoff(table: "DeltaTable | None") -> datetime | None:
    """Rows of before this were dropped for their age; None when none ever were."""
    seconds = None if table is None else table.transaction_version(EXPIRED_APP_ID)
    return None if seconds is None else _from_epoch_seconds(seconds)


def extend_window(known: TimeWindow | None, windows: list[TimeWindow]) -> TimeWindow | None:
    """What is held once the windows are, too; one that leaves a gap to what is held does not count."""
    for start, end in windows:
        start, end = (
            _from_epoch_seconds(math.ceil(start.timestamp())),
            _from_epoch_seconds(math.floor(end.timestamp())),
        )
        if known is None:
            known = start, end
        elif start <= known[1] and end >= known[0]:
            known = min(start, known[0]), max(end, known[1])
    return known


def build_window_transactions(known: TimeWindow) -> dict[str, int]:
    """App id -> version, as they go into a commit."""
    return {EARLIEST_APP_ID: int(known[0].timestamp()), WATERMARK_APP_ID: int(known[1].timestamp())}


def _from_epoch_seconds(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
