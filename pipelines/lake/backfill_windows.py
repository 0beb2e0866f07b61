"""Find the days of which the lake lacks some or all rows, and fetch and clean them again."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import TimeWindow
from dawnlist.settings import Settings

CHUNK_DAYS = 7
"""The most days that are fetched and committed together. A killed backfill loses at most this many
days of work, and they must fit in memory."""


@dataclass(frozen=True)
class Gap:
    """A day of which the lake has taken in fewer rows than the source holds."""

    day: date
    source: int
    """Rows in the source."""
    lake: int | None
    """Rows that the lake has taken in; None when the ledger has no record of the day."""


@dataclass(frozen=True)
class BackfillTarget:
    """The source and the lake of a backfill, as texts that can be sent to another process."""

    root: str
    """The lake's URI, without the namespace."""
    namespace: str
    source: str
    settings: str
    """The URI of the shop's settings; empty for the defaults."""
    run: str
    """The name of the backfill in the run record."""


WindowCallback = Callable[[TimeWindow, dict[str, Any]], None]
"""A function that is told about each filled window, with the report of the step clean."""


def list_days_between(first: date, last: date) -> list[date]:
    """List both days and those between them.

    Raises:
        ValueError: The range is empty, or is not over yet.
    """
    if last < first:
        raise ValueError(f"--from {first} is after --to {last}: give the first day, then the last")
    if last >= datetime.now(UTC).date():
        raise ValueError(
            f"--to {last} is not over: give a day before today (UTC); both days belong to the range"
        )
    day_count = (last - first).days + 1
    return [first + timedelta(days=offset) for offset in range(day_count)]


def find_gaps(lake: Lake, source: str, settings: Settings, days: list[date]) -> list[Gap]:
    """Find the days to fill, in the order of `days`.

    A day is complete when the ledger has as many rows as the source. It is also complete when the
    ledger no longer goes back to it and the lake covers its time. Days that were dropped for their
    age are not gaps.
    """
    from dawnlist.components.fetch.sources import open_source
    from dawnlist.lake.ledger import Ledger
    from dawnlist.lake.watermark import read_covered_window, read_expiry_cutoff

    table = lake.table("interactions")
    ledger = Ledger.from_commits(table)
    covered_window = read_covered_window(table)
    expiry_cutoff = read_expiry_cutoff(table)
    source_rows = open_source(source, settings.source, lake).count_rows_by_day(days)
    zone = _find_zone_of_days(source, settings)
    gaps = []
    for day in days:
        start, end = _to_window(day, zone)
        was_dropped = expiry_cutoff is not None and end <= expiry_cutoff
        lake_rows = ledger.day(day)
        if lake_rows is None and _is_covered(start, end, covered_window):
            continue
        if not was_dropped and source_rows.get(day, 0) > (lake_rows or 0):
            gaps.append(Gap(day, source_rows[day], lake_rows))
    return gaps


def _is_covered(start: datetime, end: datetime, covered_window: TimeWindow | None) -> bool:
    if covered_window is None:
        return False
    return covered_window[0] <= start and end <= covered_window[1]


def group_neighbouring_gaps(gaps: list[Gap]) -> list[list[Gap]]:
    """Group the gaps of neighbouring days. Both the gaps and the groups are in order of time."""
    groups: list[list[Gap]] = []
    for gap in gaps:
        if groups and gap.day - groups[-1][-1].day == timedelta(days=1):
            groups[-1].append(gap)
        else:
            groups.append([gap])
    return groups


def group_days_into_windows(days: list[date], zone: str = "UTC") -> list[TimeWindow]:
    """Group neighbouring days of a time zone into windows of at most CHUNK_DAYS.

    The newest window comes first, so that the time that the lake covers grows towards the past.
    """
    windows: list[TimeWindow] = []
    for day in sorted(days, reverse=True):
        start, end = _to_window(day, zone)
        if windows and _can_extend(windows[-1], end):
            windows[-1] = (start, windows[-1][1])
        else:
            windows.append((start, end))
    return windows


def _can_extend(window: TimeWindow, day_end: datetime) -> bool:
    """Say whether the day that ends at `day_end` precedes the window, which has room for it."""
    start, end = window
    # A day on which the clocks change has another hour or lacks one.
    return start == day_end and end - start < timedelta(days=CHUNK_DAYS, hours=-1)


def _to_window(day: date, zone: str) -> TimeWindow:
    from dawnlist.components.fetch.local_days import find_midnight

    return find_midnight(day, zone), find_midnight(day + timedelta(days=1), zone)


def _find_zone_of_days(source: str, settings: Settings) -> str:
    """Return the zone of the source's days: that of the settings for daily files, else UTC."""
    from dawnlist.components.fetch.collected.collected_events import EVENTS_SOURCE
    from dawnlist.components.fetch.sources import open_source

    zone = settings.source.time_zone
    if zone == "UTC" or source == EVENTS_SOURCE:
        return "UTC"
    if not open_source(source, settings.source).gives_whole_days:
        return "UTC"
    return zone


def fill_window(target: BackfillTarget, window: TimeWindow) -> dict[str, Any]:
    """Fetch and clean one window, and return the report of the step clean.

    Both are recorded as the steps fetch and clean of the backfill's run.
    """
    from dawnlist.components.clean.cleaning import clean_landed_objects
    from dawnlist.components.fetch.landing import fetch_windows
    from dawnlist.components.fetch.sources import open_source
    from dawnlist.records.run_records import record_step

    lake = Lake.open(target.root, target.namespace)
    settings = Settings.load(target.settings)
    as_of = window[1]
    record_key = (target.root, target.namespace, as_of, target.run)
    with record_step(*record_key, "fetch") as record:
        source = open_source(target.source, settings.source, lake)
        record.update(fetch_windows(lake, source, [window], target.run))
    landed = dict(record)
    with record_step(*record_key, "clean") as record:
        record.update(clean_landed_objects(lake, landed, settings, as_of, target.run))
    return dict(record)


def run_backfill(
    target: BackfillTarget,
    days: list[date],
    missing_days: list[date],
    parallel: int,
    report_window: WindowCallback,
) -> None:
    """Fill days of the lake from the source, then mark the whole range as covered.

    A daily run may run at the same time: rows that both bring are recognised.

    Args:
        target: The source and the lake.
        days: The whole range of days, oldest first.
        missing_days: The days of the range to fill.
        parallel: The number of windows to fill at a time.
        report_window: Called with each window and its report, after the window is committed.

    Raises:
        TimeoutError: Another backfill of this lake is running.
    """
    from dawnlist.components.clean.table_commits import mark_window_covered
    from dawnlist.lake.lease import BACKFILL_LEASE, hold_lease

    lake = Lake.open(target.root, target.namespace)
    zone = _find_zone_of_days(target.source, Settings.load(target.settings))
    windows = group_days_into_windows(missing_days, zone)
    with hold_lease(lake, BACKFILL_LEASE, target.run, wait=0):
        for window, report in _fill_windows(target, windows, parallel):
            report_window(window, report)
        range_start, _ = _to_window(days[0], zone)
        _, range_end = _to_window(days[-1], zone)
        mark_window_covered(lake, range_start, range_end)


def _fill_windows(
    target: BackfillTarget, windows: list[TimeWindow], parallel: int
) -> Iterator[tuple[TimeWindow, dict[str, Any]]]:
    """Fill the windows and yield each with its report, in the order in which they are ready."""
    if parallel == 1 or len(windows) == 1:
        for window in windows:
            yield window, fill_window(target, window)
        return
    # DuckDB and delta-rs do not survive a fork, so the processes are spawned.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(parallel, mp_context=context) as pool:
        window_of_future = {pool.submit(fill_window, target, window): window for window in windows}
        try:
            for future in as_completed(window_of_future):
                yield window_of_future[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
