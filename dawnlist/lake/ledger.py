"""The ledger: how many of the source's rows the interactions table has taken in, by the hour in which they arrived.

Each commit carries its windows and the rows of each hour in its own metadata, so that the figures can't be apart from
the rows. A later commit counts for the hours that its windows cover. It goes back as far as the table's log does, and
knows only the time that the table holds: rows of other hours may have expired, or been undone by a restore.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.watermark import TimeWindow, read_covered_window

if TYPE_CHECKING:
    from deltalake import DeltaTable

ArrivalCounts = dict[str, int]
"""Hour, as '2026-01-03T02:00:00Z' -> rows of the source that arrived in it."""

_WINDOWS_KEY, _ARRIVALS_KEY = "dawnlist.windows", "dawnlist.arrivals"
COMMITS_PER_WEEK = 48
"""So many commits are a week: of housekeeping, too."""


@dataclass(frozen=True)
class Ledger:
    """Rows taken in, by hours since 1970; an hour that is not in it is not on record."""

    hours: dict[int, int]

    @classmethod
    def from_commits(cls, table: "DeltaTable | None", commits: int | None = None) -> "Ledger":
        """What the last `commits` (all by default) say that were made to the table."""
        ledger, was = cls({}), dict[int, Ledger]()
        for commit in reversed(table.history(commits) if table is not None else []):
            if _WINDOWS_KEY in commit:
                windows = [
                    (parse_as_of(start), parse_as_of(end))
                    for start, end in json.loads(commit[_WINDOWS_KEY])
                ]
                ledger = ledger.with_windows(windows, json.loads(commit[_ARRIVALS_KEY]))
            elif commit.get("operation") == "RESTORE":
                ledger = was.get(int(commit["operationParameters"]["version"]), cls({}))
            was[int(commit["version"])] = ledger
        return ledger.restrict_to(read_covered_window(table))

    def with_windows(self, windows: list[TimeWindow], arrivals: ArrivalCounts) -> "Ledger":
        """The ledger once the windows were taken in; an hour that a window only begins stays as it was."""
        covered = (
            range(_to_hour_number(start + _ROUND_UP_TO_HOUR), _to_hour_number(end))
            for start, end in windows
        )
        counted = {_to_hour_number(parse_as_of(hour)): rows for hour, rows in arrivals.items()}
        taken = {hour: counted.get(hour, 0) for hours in covered for hour in hours}
        # a source that knows only days says them at their first hour, which may lie before the window
        first = min((_to_hour_number(start + _ROUND_UP_TO_HOUR) for start, _ in windows), default=0)
        days = {
            hour: rows
            for hour, rows in counted.items()
            if hour in self.hours and hour < first and not hour % 24
        }
        return Ledger({**self.hours, **days, **taken})

    def restrict_to(self, known: TimeWindow | None) -> "Ledger":
        """The ledger without the hours that are not whole in this time."""
        hours = (
            range(_to_hour_number(known[0] + _ROUND_UP_TO_HOUR), _to_hour_number(known[1]))
            if known
            else range(0)
        )
        return Ledger({hour: rows for hour, rows in self.hours.items() if hour in hours})

    def day(self, day: date) -> int | None:
        """Rows taken in of a UTC day, None when not all of it is on record."""
        first = _to_hour_number(datetime(day.year, day.month, day.day, tzinfo=UTC))
        rows = [self.hours.get(hour) for hour in range(first, first + 24)]
        return None if None in rows else sum(row for row in rows if row)


_ROUND_UP_TO_HOUR = timedelta(hours=1, microseconds=-1)


def build_ledger_metadata(windows: list[TimeWindow], arrivals: ArrivalCounts) -> dict[str, str]:
    """The windows and arrivals as they go into a commit."""
    said = [[format_iso(start), format_iso(end)] for start, end in windows]
    return {_WINDOWS_KEY: json.dumps(said), _ARRIVALS_KEY: json.dumps(arrivals)}


def _to_hour_number(moment: datetime) -> int:
    return int(moment.timestamp()) // 3600
