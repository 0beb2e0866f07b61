"""Backfill: the days of a source that the lake lacks, wholly or in part, fetched and cleaned beside the daily runs."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import TimeWindow
from dawnlist.settings import Settings

CHUNK_DAYS = 7
"""So many days are fetched and committed together: what is lost by a kill, and held in memory at once."""


@dataclass(frozen=True)
class Gap:
    """A day of which the lake has taken in fewer rows than the source holds."""

    day: date
    source: int
    lake: int | None
    """Rows taken in; None when the day is not on record."""


@dataclass(frozen=True)
class BackfillTarget:
    """From where to where a backfill goes, in words that can travel to another process."""

    root: str
    namespace: str
    source: str
    settings: str
    run: str


WindowCallback = Callable[[TimeWindow, dict[str, Any]], None]


def list_days_between(first: date, last: date) -> list[date]:
    """Both days and those between them. ValueError for a range that is empty or not over yet."""
    if last < first:
        raise ValueError(f"--from {first} is after --to {last}: give the first day, then the last")
    if last >= datetime.now(UTC).date():
        raise ValueError(
            f"--to {last} is not over: give a day before today (UTC); both days belong to the range"
        )
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def find_gaps(lake: Lake, source: str, settings: Settings, days: list[date]) -> list[Gap]:
    """The days among `days` to fill, oldest first.

    A day is whole when the ledger has as many rows as the source, or when the ledger no longer goes back to it and
    the lake holds its time. Days that were dropped for their age are no gaps.
    """
    from dawnlist.components.fetch.sources import open_source
    from dawnlist.lake.ledger import Ledger
    from dawnlist.lake.watermark import read_covered_window, read_expiry_cutoff

    table = lake.table("interactions")
    ledger, known, gone = (
        Ledger.from_commits(table),
        read_covered_window(table),
        read_expiry_cutoff(table),
    )
    counts = open_source(source, settings.source).count_rows_by_day(days)
    found = []
    for day in days:
        taken = ledger.day(day)
        start, end = _to_window(day)
        held_unrecorded = (
            taken is None and known is not None and known[0] <= start and end <= known[1]
        )
        dropped = gone is not None and end <= gone
        if not held_unrecorded and not dropped and counts.get(day, 0) > (taken or 0):
            found.append(Gap(day, counts[day], taken))
    return found


def group_neighbouring_gaps(found: list[Gap]) -> list[list[Gap]]:
    """The gaps, oldest first, with those of neighbouring days together."""
    together: list[list[Gap]] = []
    for gap in found:
        if together and gap.day - together[-1][-1].day == timedelta(days=1):
            together[-1].append(gap)
        else:
            together.append([gap])
    return together


def group_days_into_windows(days: list[date]) -> list[TimeWindow]:
    """The days as windows of at most CHUNK_DAYS neighbours, the newest first: what is held grows towards the past."""
    windows: list[TimeWindow] = []
    for day in sorted(days, reverse=True):
        start, end = _to_window(day)
        if (
            windows
            and windows[-1][0] == end
            and windows[-1][1] - start <= timedelta(days=CHUNK_DAYS)
        ):
            windows[-1] = (start, windows[-1][1])
        else:
            windows.append((start, end))
    return windows


def _to_window(day: date) -> TimeWindow:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1)


def fill_window(place: BackfillTarget, window: TimeWindow) -> dict[str, Any]:
    """Fetch and clean one window; recorded as the steps fetch and clean of its own run. Returns clean's report."""
    from dawnlist.components.clean.cleaning import clean_landed_objects
    from dawnlist.components.fetch.landing import fetch_windows
    from dawnlist.components.fetch.sources import open_source
    from dawnlist.records.run_records import record_step

    lake, settings = Lake.open(place.root, place.namespace), Settings.load(place.settings)
    as_of = format_iso(window[1])
    name = (place.root, place.namespace, as_of, place.run)
    with record_step(*name, "fetch") as record:
        record.update(
            fetch_windows(lake, open_source(place.source, settings.source), [window], place.run)
        )
    landed = dict(record)
    with record_step(*name, "clean") as record:
        record.update(clean_landed_objects(lake, landed, settings, as_of, place.run))
    return dict(record)


def run_backfill(
    place: BackfillTarget,
    days: list[date],
    lacking: list[date],
    parallel: int,
    done: WindowCallback,
) -> None:
    """Fill the days of `lacking`, `parallel` windows at a time, telling `done` about each as it is committed.

    Then all of `days` is held. Beside a daily run: rows that both bring are recognised. TimeoutError when another
    backfill is under way.
    """
    from dawnlist.components.clean.table_commits import mark_window_covered
    from dawnlist.lake.lease import BACKFILL_LEASE, hold_lease

    lake = Lake.open(place.root, place.namespace)
    with hold_lease(lake, BACKFILL_LEASE, place.run, wait=0):
        for window, report in _fill_windows(place, group_days_into_windows(lacking), parallel):
            done(window, report)
        mark_window_covered(lake, _to_window(days[0])[0], _to_window(days[-1])[1])


def _fill_windows(
    place: BackfillTarget, windows: list[TimeWindow], parallel: int
) -> Iterator[tuple[TimeWindow, dict[str, Any]]]:
    """Each window and its report, in processes of their own: DuckDB and delta-rs do not survive a fork."""
    if parallel == 1 or len(windows) == 1:
        yield from ((window, fill_window(place, window)) for window in windows)
        return
    with ProcessPoolExecutor(parallel, mp_context=multiprocessing.get_context("spawn")) as pool:
        under_way = {pool.submit(fill_window, place, window): window for window in windows}
        try:
            for future in as_completed(under_way):
                yield under_way[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
