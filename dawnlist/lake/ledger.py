"""The ledger: how many of the source's rows the interactions table holds, by hour of arrival.

Each commit carries its windows and its rows by hour in its own metadata, so rows and figures always
agree. For the hours that several commits cover, the last one counts. The ledger goes back as far as
the table's log, and it knows only the hours of the covered window: rows of other hours may have
expired, or a restore may have undone them.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.watermark import TimeWindow, read_covered_window

if TYPE_CHECKING:
    from deltalake import DeltaTable

ArrivalCounts = dict[str, int]
"""Hour, such as '2026-01-03T02:00:00Z' -> the source's rows that arrived in it."""

_WINDOWS_KEY = "dawnlist.windows"
_ARRIVALS_KEY = "dawnlist.arrivals"
COMMITS_PER_WEEK = 48
"""How many commits a week has about, those of housekeeping included."""
_ROUND_UP_TO_HOUR = timedelta(hours=1, microseconds=-1)


@dataclass(frozen=True)
class Ledger:
    """How many rows were taken in, by hour of arrival."""

    hours: dict[int, int]
    """Hour, as hours since 1970 -> rows. An hour that is missing is not on record."""

    @classmethod
    def from_commits(cls, table: "DeltaTable | None", commits: int | None = None) -> "Ledger":
        """Read the ledger from the metadata of the table's last `commits` commits, or of all."""
        history = []
        if table is not None:
            history = _read_history(table, commits)
        ledger = cls({})
        ledgers_by_version: dict[int, Ledger] = {}
        for commit in reversed(history):
            if _WINDOWS_KEY in commit:
                windows = _parse_windows(commit)
                ledger = ledger.with_windows(windows, json.loads(commit[_ARRIVALS_KEY]))
            elif commit.get("operation") == "RESTORE":
                restored = int(commit["operationParameters"]["version"])
                ledger = ledgers_by_version.get(restored, cls({}))
            ledgers_by_version[int(commit["version"])] = ledger
        return ledger.restrict_to(read_covered_window(table))

    def with_windows(self, windows: list[TimeWindow], arrivals: ArrivalCounts) -> "Ledger":
        """Return the ledger after the windows were taken in, with the rows of each hour.

        An hour that is only partly in a window stays as it was.
        """
        rows_by_hour = {}
        for hour_text, rows in arrivals.items():
            rows_by_hour[_to_hour_number(parse_as_of(hour_text))] = rows
        hours = dict(self.hours)
        first = min((_find_first_whole_hour(start) for start, _ in windows), default=0)
        start_hour = min((_to_hour_number(start) for start, _ in windows), default=0)
        for hour, rows in rows_by_hour.items():
            # a source that knows only days counts a day's rows at the day's first hour, which may
            # lie before the window
            is_whole = hour < start_hour or hour % 24 == 0
            if is_whole and hour < first and hour in self.hours:
                hours[hour] = rows
        for window in windows:
            for hour in _list_whole_hours(window):
                hours[hour] = rows_by_hour.get(hour, 0)
        return Ledger(hours)

    def restrict_to(self, window: TimeWindow | None) -> "Ledger":
        """Return the ledger without the hours that don't lie wholly in the window."""
        if window is None:
            return Ledger({})
        whole_hours = _list_whole_hours(window)
        return Ledger({hour: rows for hour, rows in self.hours.items() if hour in whole_hours})

    def day(self, day: date) -> int | None:
        """Count the rows of a UTC day; None when an hour of it is not on record."""
        first = _to_hour_number(datetime(day.year, day.month, day.day, tzinfo=UTC))
        total = 0
        for hour in range(first, first + 24):
            if hour not in self.hours:
                return None
            total += self.hours[hour]
        return total


def _read_history(table: "DeltaTable", commits: int | None) -> list[dict[str, Any]]:
    """Read the metadata of the last commits, the newest first.

    Raises:
        ValueError: a commit of the log can't be read.
    """
    from deltalake.exceptions import DeltaError

    try:
        return table.history(commits)
    except DeltaError as error:
        raise ValueError(
            f"the log of the table {table.table_uri} has a commit that can't be read ({error}): "
            "restore it from the bucket's versions or a backup (docs/OPERATIONS.md, A damaged lake)"
        ) from None


def build_ledger_metadata(windows: list[TimeWindow], arrivals: ArrivalCounts) -> dict[str, str]:
    """Build the metadata of a commit that takes in these windows."""
    texts = [[format_iso(start), format_iso(end)] for start, end in windows]
    return {_WINDOWS_KEY: json.dumps(texts), _ARRIVALS_KEY: json.dumps(arrivals)}


def _parse_windows(commit: dict[str, Any]) -> list[TimeWindow]:
    texts = json.loads(commit[_WINDOWS_KEY])
    return [(parse_as_of(start), parse_as_of(end)) for start, end in texts]


def _list_whole_hours(window: TimeWindow) -> range:
    start, end = window
    return range(_find_first_whole_hour(start), _to_hour_number(end))


def _find_first_whole_hour(start: datetime) -> int:
    return _to_hour_number(start + _ROUND_UP_TO_HOUR)


def _to_hour_number(moment: datetime) -> int:
    return int(moment.timestamp()) // 3600
