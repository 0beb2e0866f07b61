"""Rows that arrived later than the overlap: days whose rows the source has more of than the lake took in."""

from datetime import date, datetime, timedelta
from typing import Any

from components.fetch.sources import Source
from components.ledger import Ledger


def late(source: Source, ledger: Ledger, start: datetime, check_days: int) -> list[dict[str, Any]]:
    """Days before the one of `start`: `day` (ISO), `source` and `lake` (rows), where the source holds more rows.

    Fewer are no matter: sources delete what is old. Days that are not on record are left out.
    """
    before = (start.date() - timedelta(days=number) for number in range(check_days, 0, -1))
    return more(source, {day: rows for day in before if (rows := ledger.day(day)) is not None})


def more(source: Source, taken: dict[date, int]) -> list[dict[str, Any]]:
    """The days of `taken` (rows that the lake took in) for which the source holds more."""
    counts = source.counts(sorted(taken)) if taken else {}
    return [
        {"day": day.isoformat(), "source": counts[day], "lake": rows}
        for day, rows in sorted(taken.items())
        if counts.get(day, 0) > rows
    ]
