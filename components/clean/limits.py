"""Stop a cleaning run that has too many bad rows, or a last day of unusual volume."""

import statistics
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.fates import (
    FATE_CLEAN,
    MISSING_USER,
    NESTED_ITEM,
    NESTED_USER,
    REASONS_WITHOUT_MISTAKE,
    ROUNDED_ITEM,
    ROUNDED_USER,
    UNKNOWN_EVENT,
)
from dawnlist.components.clean.profile import CleaningProfile, DayVolume
from dawnlist.lake.commits import count_rows_by_day
from dawnlist.lake.watermark import TimeWindow, read_covered_window
from dawnlist.settings import LimitSettings

if TYPE_CHECKING:
    from deltalake import DeltaTable

COMPARED_WEEKS = 4
"""A day is compared with the same weekday of this many weeks before."""
MIN_COMPARED_DAYS = 3
"""The lake must hold rows of at least this many of those days: a young shop has no usual day."""
_ONE_DAY = timedelta(days=1)
_SHORTEST_WINDOW = _ONE_DAY - timedelta(hours=1)
"""A day without the hour that windows may overlap."""


def measure_volume(
    table: "DeltaTable | None",
    engine: CleaningEngine,
    fates: TableExpression,
    window: TimeWindow,
) -> DayVolume | None:
    """Compare the clean rows of a window's last 24 hours with the same weekday in the lake.

    Only the newest day is judged: a day that was closed, or lost, must not stop all later days.

    Returns None when the window is shorter than a day less an hour, when the lake covers the window
    already (a backfill may bring back many rows that were rejected before), or when the lake holds
    too few of the compared days.
    """
    start, end = window
    if table is None or end - start < _SHORTEST_WINDOW:
        return None
    covered_window = read_covered_window(table)
    if covered_window is not None and end <= covered_window[1]:
        return None
    middle = (end - _ONE_DAY / 2).date()
    usual_counts = _count_rows_of_weekday(table, middle, start.date())
    if len(usual_counts) < MIN_COMPARED_DAYS:
        return None
    is_last_day = (fates.event_time >= end - _ONE_DAY) & (fates.event_time < end)
    last_day_rows = fates.filter((fates.fate == FATE_CLEAN) & is_last_day)
    counted = engine.to_arrow(last_day_rows.agg(rows=last_day_rows.count()))
    return DayVolume(
        day=middle.isoformat(),
        rows=counted["rows"][0].as_py(),
        usual=statistics.median(usual_counts),
        days=len(usual_counts),
    )


def _count_rows_of_weekday(
    table: "DeltaTable",
    day: date,
    before: date,
) -> list[int]:
    """Count the rows of the same weekday in earlier weeks.

    Only days before `before` that have rows count.
    """
    compared = [day - timedelta(weeks=week) for week in range(1, COMPARED_WEEKS + 1)]
    counts = []
    for stored_day, rows in count_rows_by_day(table).items():
        if stored_day in compared and stored_day < before:
            counts.append(rows)
    return counts


def check_limits(
    profile: CleaningProfile,
    limits: LimitSettings,
    as_of: datetime,
    is_first: bool,
) -> None:
    """Raise RuntimeError when a profile breaks a limit.

    `profile` includes the volume, the return value of measure_volume. `is_first` says that the lake
    has no interactions yet. The message is one line with the numbers, the limits, and what to do.
    """
    violations = _check_shares(profile, limits) + _check_volume(profile.volume, limits)
    violations += _check_nested_ids(profile)
    violations += _check_rounded_ids(profile, limits)
    violations += _check_event_ids(profile, limits)
    if is_first and 0 < profile.rows_in == profile.rows_of_no_window:
        violations = [
            f"none of the {profile.rows_in:,} rows has a time that can be read "
            f"({_list_mistakes(profile)})"
        ]
    if violations:
        raise RuntimeError(
            f"cleaning as of {as_of:%Y-%m-%d %H:%M} stopped before its clean rows were committed: "
            f"{'; '.join(violations)}. The rejected rows are in the table quarantine; "
            "mend the source or its mapping, or raise the limit, and run again"
        )


def _check_shares(profile: CleaningProfile, limits: LimitSettings) -> list[str]:
    """Compare the shares of the rejected rows with their limits.

    Rows without a user, and rows of events that are not wanted, are no mistakes of the source. The
    limits on mistakes are shares of the other rows. Nor do rows without a plausible time in files
    count, since all of a file's come with each window, however short it is.
    """
    violations = _check_rows_without_user(profile, limits)
    unmistaken_rows = sum(profile.reasons.get(reason, 0) for reason in REASONS_WITHOUT_MISTAKE)
    ignored_rows = unmistaken_rows + profile.rows_of_no_window
    rows = profile.rows_in - ignored_rows
    if rows < limits.min_rows:
        return violations
    mistakes = profile.rejected - ignored_rows
    unknown_events = profile.reasons.get(UNKNOWN_EVENT, 0)
    if mistakes > limits.max_rejected * rows:
        violations.append(
            f"{mistakes:,} of {rows:,} rows ({mistakes / rows:.1%}) are rejected, "
            f"more than limits.max_rejected ({limits.max_rejected:.1%}): {_list_mistakes(profile)}"
        )
    if unknown_events > limits.max_unknown_events * rows:
        names = ", ".join(map(repr, profile.unknown_events))
        violations.append(
            f"{unknown_events:,} of {rows:,} rows ({unknown_events / rows:.1%}) are of unknown "
            f"events, more than limits.max_unknown_events ({limits.max_unknown_events:.1%}): "
            f"name them in source.events or source.weights ({names})"
        )
    return violations


def _check_rows_without_user(profile: CleaningProfile, limits: LimitSettings) -> list[str]:
    rows = profile.rows_in
    without_user = profile.reasons.get(MISSING_USER, 0)
    if rows < limits.min_rows or without_user <= limits.max_without_user * rows:
        return []
    return [
        f"{without_user:,} of {rows:,} rows ({without_user / rows:.1%}) have no user, "
        f"more than limits.max_without_user ({limits.max_without_user:.1%}): "
        "check that source.columns names the column of the user"
    ]


def _check_nested_ids(profile: CleaningProfile) -> list[str]:
    """Refuse a source in which half of the rows have an object or a list for an id."""
    violations = []
    for reason, canonical in ((NESTED_USER, "user_id"), (NESTED_ITEM, "item_id")):
        count = profile.reasons.get(reason, 0)
        if 2 * count > profile.rows_in:
            violations.append(
                f"{count:,} of {profile.rows_in:,} rows have an object or a list for {canonical}: "
                f"name a column of plain ids in source.columns, {{{canonical}: [its name]}}, or a "
                "path to the id, such as user.id"
            )
    return violations


def _check_rounded_ids(profile: CleaningProfile, limits: LimitSettings) -> list[str]:
    """Refuse a source whose ids have lost digits; fewer rows than min_rows only if most have."""
    violations = []
    for reason, canonical in ((ROUNDED_USER, "user_id"), (ROUNDED_ITEM, "item_id")):
        count, rows = profile.reasons.get(reason, 0), profile.rows_in
        is_judged = rows >= limits.min_rows or 2 * count > rows
        if is_judged and count > limits.max_rounded_ids * rows:
            violations.append(
                f"{count:,} of {rows:,} rows have a rounded {canonical}, such as 1.23457E+12, more "
                f"than limits.max_rounded_ids ({limits.max_rounded_ids:.1%}): a spreadsheet or a "
                "float column has dropped its last digits; export the column as text"
            )
    return violations


def _check_event_ids(profile: CleaningProfile, limits: LimitSettings) -> list[str]:
    rows = profile.rows_with_id
    if rows < limits.min_rows or profile.reused_ids <= limits.max_reused_ids * rows:
        return []
    return [
        f"event_id has {profile.event_ids:,} values in {rows:,} rows, and {profile.reused_ids:,} of "
        "them have the id of an event of another user, item or type, more than "
        f"limits.max_reused_ids ({limits.max_reused_ids:.1%}): it is no id of an event; "
        "set source.columns: {event_id: []} to do without it"
    ]


def _list_mistakes(profile: CleaningProfile) -> str:
    """List the reasons for rejecting rows that the limit on mistakes counts, with their rows."""
    texts = []
    for reason, count in profile.reasons.items():
        if reason not in REASONS_WITHOUT_MISTAKE:
            texts.append(f"{count:,} {reason}")
    return ", ".join(texts)


def _check_volume(volume: DayVolume | None, limits: LimitSettings) -> list[str]:
    if volume is None or max(volume.rows, volume.usual) < limits.min_rows:
        return []
    rows, usual = volume.rows, volume.usual
    comparison = (
        f"the last 24 hours, of {volume.day}, have {rows:,} clean rows, "
        f"and the same weekday before had {usual:,.0f}"
    )
    if rows < limits.min_volume * usual:
        return [f"{comparison}: less than limits.min_volume ({limits.min_volume:g}) of that"]
    if rows > limits.max_volume * usual:
        return [f"{comparison}: more than limits.max_volume ({limits.max_volume:g}) times that"]
    return []
