"""Backfill: the days of a source that the lake lacks, wholly or in part, fetched and cleaned beside the daily runs."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dawnlist.cuts import iso
from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import Window
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
class Place:
    """From where to where a backfill goes, in words that can travel to another process."""

    root: str
    namespace: str
    source: str
    settings: str
    run: str


Done = Callable[[Window, dict[str, Any]], None]


def days_between(first: date, last: date) -> list[date]:
    """Both days and those between them. ValueError for a range that is empty or not over yet."""
    if last < first:
        raise ValueError(f"--from {first} is after --to {last}: give the first day, then the last")
    if last >= datetime.now(UTC).date():
        raise ValueError(f"--to {last} is not over: give a day before today (UTC); both days belong to the range")
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def gaps(lake: Lake, source: str, settings: Settings, days: list[date]) -> list[Gap]:
    """The days among `days` to fill, oldest first.

    A day is whole when the ledger has as many rows as the source, or when the ledger no longer goes back to it and
    the lake holds its time. Days that were dropped for their age are no gaps.
    """
    from dawnlist.components.fetch.sources import open_source
    from dawnlist.lake.ledger import Ledger
    from dawnlist.lake.watermark import expired, held

    table = lake.table("interactions")
    ledger, known, gone = Ledger.of(table), held(table), expired(table)
    counts = open_source(source, settings.source).counts(days)
    found = []
    for day in days:
        taken = ledger.day(day)
        start, end = _times(day)
        held_unrecorded = taken is None and known is not None and known[0] <= start and end <= known[1]
        dropped = gone is not None and end <= gone
        if not held_unrecorded and not dropped and counts.get(day, 0) > (taken or 0):
            found.append(Gap(day, counts[day], taken))
    return found


def stretches(found: list[Gap]) -> list[list[Gap]]:
    """The gaps, oldest first, with those of neighbouring days together."""
    together: list[list[Gap]] = []
    for gap in found:
        if together and gap.day - together[-1][-1].day == timedelta(days=1):
            together[-1].append(gap)
        else:
            together.append([gap])
    return together


def chunks(days: list[date]) -> list[Window]:
    """The days as windows of at most CHUNK_DAYS neighbours, the newest first: what is held grows towards the past."""
    windows: list[Window] = []
    for day in sorted(days, reverse=True):
        start, end = _times(day)
        if windows and windows[-1][0] == end and windows[-1][1] - start <= timedelta(days=CHUNK_DAYS):
            windows[-1] = (start, windows[-1][1])
        else:
            windows.append((start, end))
    return windows


def _times(day: date) -> Window:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1)


def fill(place: Place, window: Window) -> dict[str, Any]:
    """Fetch and clean one window; recorded as the steps fetch and clean of its own run. Returns clean's report."""
    from dawnlist.components.clean.cleaning import clean
    from dawnlist.components.fetch.landing import fetch_windows
    from dawnlist.components.fetch.sources import open_source
    from dawnlist.records.runs import recorded

    lake, settings = Lake.open(place.root, place.namespace), Settings.load(place.settings)
    as_of = iso(window[1])
    name = (place.root, place.namespace, as_of, place.run)
    with recorded(*name, "fetch") as record:
        record.update(fetch_windows(lake, open_source(place.source, settings.source), [window], place.run))
    landed = dict(record)
    with recorded(*name, "clean") as record:
        record.update(clean(lake, landed, settings, as_of, place.run))
    return dict(record)


def backfill(place: Place, days: list[date], lacking: list[date], parallel: int, done: Done) -> None:
    """Fill the days of `lacking`, `parallel` windows at a time, telling `done` about each as it is committed.

    Then all of `days` is held. Beside a daily run: rows that both bring are recognised. TimeoutError when another
    backfill is under way.
    """
    from dawnlist.components.clean.commit import mark_held
    from dawnlist.lake.lease import BACKFILL, lease

    lake = Lake.open(place.root, place.namespace)
    with lease(lake, BACKFILL, place.run, wait=0):
        for window, report in _spread(place, chunks(lacking), parallel):
            done(window, report)
        mark_held(lake, _times(days[0])[0], _times(days[-1])[1])


def _spread(place: Place, windows: list[Window], parallel: int) -> Iterator[tuple[Window, dict[str, Any]]]:
    """Each window and its report, in processes of their own: DuckDB and delta-rs do not survive a fork."""
    if parallel == 1 or len(windows) == 1:
        yield from ((window, fill(place, window)) for window in windows)
        return
    with ProcessPoolExecutor(parallel, mp_context=multiprocessing.get_context("spawn")) as pool:
        under_way = {pool.submit(fill, place, window): window for window in windows}
        try:
            for future in as_completed(under_way):
                yield under_way[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
