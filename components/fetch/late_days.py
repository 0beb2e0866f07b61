"""Rows that arrived later than the overlap: days whose rows the source has more of than the lake took in."""

from datetime import datetime, timedelta
from typing import Any

from dawnlist.components.fetch.sources import DataSource
from dawnlist.lake.ledger import Ledger


def find_late_days(
    source: DataSource, ledger: Ledger, start: datetime, check_days: int
) -> list[dict[str, Any]]:
    """Days before the one of `start`: `day` (ISO), `source` and `lake` (rows), where the source holds more rows.

    Fewer are no matter: sources delete what is old. Days that are not on record are left out.
    """
    before = (start.date() - timedelta(days=number) for number in range(check_days, 0, -1))
    taken = {day: rows for day in before if (rows := ledger.day(day)) is not None}
    counts = source.count_rows_by_day(list(taken)) if taken else {}
    return [
        {"day": day.isoformat(), "source": counts[day], "lake": rows}
        for day, rows in taken.items()
        if counts.get(day, 0) > rows
    ]
