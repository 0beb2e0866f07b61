"""Limits on what a cleaning run finds: shares that are too high, and a day that has too few rows or too many."""

import statistics
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dawnlist.components.clean.engine import Engine, Rows
from dawnlist.components.clean.profile import UNKNOWN, Profile
from dawnlist.components.clean.repeats import CLEAN
from dawnlist.lake.commits import rows_by_day
from dawnlist.lake.watermark import Window
from dawnlist.settings import LimitSettings

if TYPE_CHECKING:
    from deltalake import DeltaTable

WEEKS = 4
"""So many weeks back a day is compared with the same weekday."""
LEAST = 3
"""Of so many of them the lake must hold rows, or nothing is said: a young shop has no usual day."""
DAY = timedelta(days=1)


def volume(table: "DeltaTable | None", engine: Engine, staged: Rows, window: Window) -> dict[str, Any] | None:
    """Rows of the last 24 hours of a window and what is usual there: day, rows, usual (median), days (that had rows).

    None when the window is shorter than a day less its hour of overlap, or the lake holds too few such days before
    it. Only the newest day is judged: a day that was closed, or lost, must not hold up all that come after it.
    """
    start, end = window
    if table is None or end - start < DAY - timedelta(hours=1):
        return None
    middle = (end - DAY / 2).date()
    before = [middle - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
    had = [rows for day, rows in rows_by_day(table).items() if day in before and day < start.date()]
    if len(had) < LEAST:
        return None
    late = staged.filter((staged.fate == CLEAN) & (staged.event_time >= end - DAY) & (staged.event_time < end))
    rows = engine.arrow(late.agg(rows=late.count()))["rows"][0].as_py()
    return {"day": middle.isoformat(), "rows": rows, "usual": statistics.median(had), "days": len(had)}


def check(found: Profile, limits: LimitSettings, as_of: datetime) -> None:
    """RuntimeError in one line with the numbers, the rules and what to do when the profile breaks a limit.

    `found` has the key `volume` from above.
    """
    broken = [*_shares(found, limits), *_volume(found["volume"], limits)]
    if broken:
        raise RuntimeError(
            f"cleaning as of {as_of:%Y-%m-%d %H:%M} stopped before its clean rows were committed: {'; '.join(broken)}. "
            "The rejected rows are in the table quarantine; mend the source or its mapping, or raise the limit, and "
            "run again"
        )


def _shares(found: Profile, limits: LimitSettings) -> list[str]:
    rows = found["rows_in"]
    if rows < limits.min_rows:
        return []
    broken = []
    rejected, unknown = found["rejected"], found["reasons"].get(UNKNOWN, 0)
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


def _volume(found: dict[str, Any] | None, limits: LimitSettings) -> list[str]:
    if found is None or max(found["rows"], found["usual"]) < limits.min_rows:
        return []
    rows, usual = found["rows"], found["usual"]
    said = (
        f"the last 24 hours, of {found['day']}, have {rows:,} clean rows, and the same weekday before had {usual:,.0f}"
    )
    if rows < limits.min_volume * usual:
        return [f"{said}: less than limits.min_volume ({limits.min_volume:g}) of that"]
    if rows > limits.max_volume * usual:
        return [f"{said}: more than limits.max_volume ({limits.max_volume:g}) times that"]
    return []
