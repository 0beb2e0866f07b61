"""The ledger: how many of the source's rows the interactions table has taken in, by the hour in which they arrived.

Each commit carries its windows and the rows of each hour in its own metadata, so that the figures can't be apart from
the rows. A later commit counts for the hours that its windows cover. It goes back as far as the table's log does, and
knows only the time that the table holds: rows of other hours may have expired, or been undone by a restore.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from dawnlist.cuts import iso, parse_as_of
from dawnlist.lake.watermark import Window, held

if TYPE_CHECKING:
    from deltalake import DeltaTable

Arrivals = dict[str, int]
"""Hour, as '2026-01-03T02:00:00Z' -> rows of the source that arrived in it."""

_WINDOWS, _ARRIVALS = "dawnlist.windows", "dawnlist.arrivals"
RECENT = 48
"""So many commits are a week: of housekeeping, too."""


@dataclass(frozen=True)
class Ledger:
    """Rows taken in, by hours since 1970; an hour that is not in it is not on record."""

    hours: dict[int, int]

    @classmethod
    def of(cls, table: "DeltaTable | None", commits: int | None = None) -> "Ledger":
        """What the last `commits` (all by default) say that were made to the table."""
        ledger, was = cls({}), dict[int, Ledger]()
        for commit in reversed(table.history(commits) if table is not None else []):
            if _WINDOWS in commit:
                windows = [(parse_as_of(start), parse_as_of(end)) for start, end in json.loads(commit[_WINDOWS])]
                ledger = ledger.after(windows, json.loads(commit[_ARRIVALS]))
            elif commit.get("operation") == "RESTORE":
                ledger = was.get(int(commit["operationParameters"]["version"]), cls({}))
            was[int(commit["version"])] = ledger
        return ledger.within(held(table))

    def after(self, windows: list[Window], arrivals: Arrivals) -> "Ledger":
        """The ledger once the windows were taken in; an hour that a window only begins stays as it was."""
        covered = (range(_hour(start + _ALMOST), _hour(end)) for start, end in windows)
        counted = {_hour(parse_as_of(hour)): rows for hour, rows in arrivals.items()}
        taken = {hour: counted.get(hour, 0) for hours in covered for hour in hours}
        # a source that knows only days says them at their first hour, which may lie before the window
        first = min((_hour(start + _ALMOST) for start, _ in windows), default=0)
        days = {hour: rows for hour, rows in counted.items() if hour in self.hours and hour < first and not hour % 24}
        return Ledger({**self.hours, **days, **taken})

    def within(self, known: Window | None) -> "Ledger":
        """The ledger without the hours that are not whole in this time."""
        hours = range(_hour(known[0] + _ALMOST), _hour(known[1])) if known else range(0)
        return Ledger({hour: rows for hour, rows in self.hours.items() if hour in hours})

    def day(self, day: date) -> int | None:
        """Rows taken in of a UTC day, None when not all of it is on record."""
        first = _hour(datetime(day.year, day.month, day.day, tzinfo=UTC))
        rows = [self.hours.get(hour) for hour in range(first, first + 24)]
        return None if None in rows else sum(row for row in rows if row)


_ALMOST = timedelta(hours=1, microseconds=-1)


def metadata(windows: list[Window], arrivals: Arrivals) -> dict[str, str]:
    """The windows and arrivals as they go into a commit."""
    said = [[iso(start), iso(end)] for start, end in windows]
    return {_WINDOWS: json.dumps(said), _ARRIVALS: json.dumps(arrivals)}


def _hour(moment: datetime) -> int:
    return int(moment.timestamp()) // 3600
