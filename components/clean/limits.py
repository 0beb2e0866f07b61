"""Limits on what a cleaning run finds: shares that are too high, and a day that has too few rows or too many."""

import statistics
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dawnlist.components.clean.duplicates import FATE_CLEAN
from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.profile import UNKNOWN_EVENT, CleaningProfile
from dawnlist.lake.commits import count_rows_by_day
from dawnlist.lake.watermark import TimeWindow
from dawnlist.settings import LimitSettings

if TYPE_CHECKING:
    from deltalake import DeltaTable

COMPARED_WEEKS = 4
"""So many weeks back a day is compared with the same weekday."""
MIN_COMPARED_DAYS = 3
"""Of so many of them the lake must hold rows, or nothing is said: a young shop has no usual day."""
_ONE_DAY = timedelta(days=1)


def measure_volume(
    table: "DeltaTable | None", engine: CleaningEngine, staged: TableExpression, window: TimeWindow
) -> dict[str, Any] | None:
    """Rows of the last 24 hours of a window and what is usual there: day, rows, usual (median), days (that had rows).

    None when the window is shorter than a day less its hour of overlap, or the lake holds too few such days before
    it. Only the newest day is judged: a day that was closed, or lost, must not hold up all that come after it.
    """
    start, end = window
    if table is None or end - start < _ONE_DAY - timedelta(hours=1):
        return None
    middle = (end - _ONE_DAY / 2).date()
    before = [middle - timedelta(weeks=week) for week in range(1, COMPARED_WEEKS + 1)]
    had = [
        rows
        for day, rows in count_rows_by_day(table).items()
        if day in before and day < start.date()
    ]
    if len(had) < MIN_COMPARED_DAYS:
        return None
    late = staged.filter(
        (staged.fate == FATE_CLEAN)
        & (staged.event_time >= end - _ONE_DAY)
        & (staged.event_time < end)
    )
    rows = engine.arrow(late.agg(rows=late.count()))["rows"][0].as_py()
    return {
        "day": middle.isoformat(),
        "rows": rows,
        "usual": statistics.median(had),
        "days": len(had),
    }


def check_limits(found: CleaningProfile, limits: LimitSettings, as_of: datetime) -> None:
    """RuntimeError in one line with the numbers, the rules and what to do when the profile breaks a limit.

    `found` has the key `volume` from above.
    """
    broken = [*_check_shares(found, limits), *_check_volume(found["volume"], limits)]
    if broken:
        raise RuntimeError(
            f"cleaning as of {as_of:%Y-%m-%d %H:%M} stopped before its clean rows were committed: {'; '.join(broken)}. "
            "The rejected rows are in the table quarantine; mend the source or its mapping, or raise the limit, and "
            "run again"
        )


def _check_shares(found: CleaningProfile, limits: LimitSettings) -> list[str]:
    rows = found["rows_in"]
    if rows < limits.min_rows:
        return []
    broken = []
    rejected, unknown = found["rejected"], found["reasons"].get(UNKNOWN_EVENT, 0)
    if rejected > limits.max_rejected * rows:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in found["reasons"].items())
        broken.append(f"{rejected:,} of {rows:,} rows ({rejected / rows:.1%}) are rejected, more than "
                      f"limits.max_rejected ({limits.max_rejected:.1%}): {reasons}")  # fmt: skip
    if unknown > limits.max_unknown_events * rows:
        names = ", ".join(map(repr, found["unknown_events"])) or "not in the sample"
        broken.append(f"{unknown:,} of {rows:,} rows ({unknown / rows:.1%}) are of unknown events, more than "
                      f"limits.max_unknown_events ({limits.max_unknown_events:.1%}): name them in source.events or "
                      f"source.weights ({names})")  # fmt: skip
    return broken


def _check_volume(found: dict[str, Any] | None, limits: LimitSettings) -> list[str]:
    if found is None or max(found["rows"], found["usual"]) < limits.min_rows:
        return []
    rows, usual = found["rows"], found["usual"]
    said = f"the last 24 hours, of {found['day']}, have {rows:,} clean rows, and the same weekday before had {usual:,.0f}"
    if rows < limits.min_volume * usual:
        return [f"{said}: less than limits.min_volume ({limits.min_volume:g}) of that"]
    if rows > limits.max_volume * usual:
        return [f"{said}: more than limits.max_volume ({limits.max_volume:g}) times that"]
    return []
