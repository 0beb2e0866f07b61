"""Find days of which the source has more rows than the lake took in: some arrived too late."""

from datetime import date, timedelta
from typing import Any

from dawnlist.components.fetch.sources import DataSource
from dawnlist.lake.ledger import Ledger


def find_late_days(
    source: DataSource,
    ledger: Ledger,
    first_day: date,
    check_days: int,
) -> list[dict[str, Any]]:
    """Find days, of the `check_days` before `first_day`, of which the source holds more rows.

    Returns `day` (ISO date), `source` and `lake` (rows) for each. Days of which the source holds
    fewer rows are left out, since sources delete what is old; so are days that the ledger does not
    know.
    """
    taken_rows = {}
    for number in range(check_days, 0, -1):
        day = first_day - timedelta(days=number)
        rows = ledger.day(day)
        if rows is not None:
            taken_rows[day] = rows
    if not taken_rows:
        return []
    source_rows = source.count_rows_by_day(list(taken_rows))
    late_days = []
    for day, rows in taken_rows.items():
        if source_rows.get(day, 0) > rows:
            late_days.append({"day": day.isoformat(), "source": source_rows[day], "lake": rows})
    return late_days
