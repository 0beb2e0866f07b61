"""Watermark: the time that the interactions table holds without a gap, kept in its own commits.

App transactions of the Delta table, in seconds since 1970: what was fetched and the rows themselves can't be apart.
"""

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltalake import DeltaTable

WATERMARK = "watermark"
"""App id of the end of what is held."""
EARLIEST = "earliest"
"""App id of its start."""

EXPIRED = "expired"
"""App id of the time before which rows were dropped for their age."""

Window = tuple[datetime, datetime]
"""[start, end), UTC."""


def held(table: "DeltaTable | None") -> Window | None:
    """The time that the table holds whole; None when nothing was ever committed."""
    watermark = None if table is None else table.transaction_version(WATERMARK)
    if table is None or watermark is None:
        return None
    earliest = table.transaction_version(EARLIEST)
    # a watermark alone says nothing about what lies before it
    return _utc(watermark if earliest is None else earliest), _utc(watermark)


def expired(table: "DeltaTable | None") -> datetime | None:
    """Rows of before this were dropped for their age; None when none ever were."""
    seconds = None if table is None else table.transaction_version(EXPIRED)
    return None if seconds is None else _utc(seconds)


def extended(known: Window | None, windows: list[Window]) -> Window | None:
    """What is held once the windows are, too; one that leaves a gap to what is held does not count."""
    for start, end in windows:
        start, end = _utc(math.ceil(start.timestamp())), _utc(math.floor(end.timestamp()))
        if known is None:
            known = start, end
        elif start <= known[1] and end >= known[0]:
            known = min(start, known[0]), max(end, known[1])
    return known


def transactions(known: Window) -> dict[str, int]:
    """App id -> version, as they go into a commit."""
    return {EARLIEST: int(known[0].timestamp()), WATERMARK: int(known[1].timestamp())}


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
