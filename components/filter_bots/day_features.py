"""Measure the features of a window's days. A night measures only days that are new or changed.

The lake keeps the features of whole days in two Delta tables: bot_agent_days and bot_user_days.
The second one is committed last, so the days of a run that was killed are measured again. A day is
measured again when its number of events differs from that in the interactions table, which only
gains rows within a day. So the features of given interactions do not depend on when, and in which
order, they were measured.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, time
from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.components.filter_bots import features
from dawnlist.components.filter_bots.measured_days import (
    count_measured_events,
    read_measured_version,
    write_days,
)
from dawnlist.lake.commits import count_rows_by_day
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import TABLES_LEASE, hold_lease
from dawnlist.lake.watermark import TimeWindow
from dawnlist.schema import UTC_MICROSECONDS

if TYPE_CHECKING:
    import pyarrow.dataset as pads

NO_INTERACTIONS: Final = "the lake has no table interactions: run clean first"
EVENTS_PER_CHUNK: Final = 500_000
"""Days are measured together until they have about this many events."""


@dataclass(frozen=True)
class _WindowInteractions:
    """The interactions table at one version, seen from a window."""

    rows: "pads.Dataset"
    version: int
    window: TimeWindow
    event_counts: dict[date, int]
    """Number of events by day, of the days of the window."""

    @property
    def partial_days(self) -> list[date]:
        """Days of which only a part lies in the window."""
        days = set()
        for moment in self.window:
            if moment.time() != time.min:
                days.add(moment.date())
        return sorted(days)

    @property
    def whole_days(self) -> list[date]:
        """Days that have events and lie in the window from midnight to midnight."""
        start, end = self.window
        partial_days = self.partial_days
        days = []
        for day in self.event_counts:
            if start.date() <= day < end.date() and day not in partial_days:
                days.append(day)
        return sorted(days)

    def events(self, days: list[date]) -> "pads.Dataset":
        """Return all events of the days, also those outside of the window."""
        return self.rows.filter(_build_day_filter(days))

    def events_in_window(self, days: list[date]) -> "pads.Dataset":
        """Return the events of the days that lie in the window."""
        start, end = self.window
        event_time = pc.field("event_time")
        is_after_start = event_time >= pa.scalar(start, UTC_MICROSECONDS)
        is_before_end = event_time < pa.scalar(end, UTC_MICROSECONDS)
        return self.events(days).filter(is_after_start & is_before_end)


def load_day_features(
    connection: duckdb.DuckDBPyConnection, lake: Lake, version: int, window: TimeWindow
) -> list[date]:
    """Create the views `user_days` and `agent_days` of a window, at a version of the interactions.

    Days that the lake has no features of, or features of another number of events, are measured
    and written to the lake, unless a newer version was measured before. A day that lies partly in
    the window is measured from the events in the window and not written.

    Returns:
        The days that were measured.

    Raises:
        ValueError: The lake has no interactions.
    """
    source = _open_interactions(lake, version, window)
    features.create_feature_tables(connection)
    writes = read_measured_version(lake) <= version
    days = _find_days_to_measure(connection, lake, source)
    with _lease_tables(lake, writes and bool(days)):
        # Another run may have measured days while this one waited for the lease.
        days = _find_days_to_measure(connection, lake, source)
        _measure_days(connection, lake, source, days, writes)
    for day in source.partial_days:
        _measure_rows(connection, source.events_in_window([day]))
    _create_day_views(connection, lake, source)
    return sorted({*days, *source.partial_days})


def _lease_tables(lake: Lake, writes: bool) -> AbstractContextManager[object]:
    if not writes:
        return nullcontext()
    return hold_lease(lake, TABLES_LEASE, "filter_bots", on_wait=print)


def _open_interactions(lake: Lake, version: int, window: TimeWindow) -> _WindowInteractions:
    table = lake.table("interactions", version)
    if table is None:
        raise ValueError(NO_INTERACTIONS)
    start, end = window[0].astimezone(UTC), window[1].astimezone(UTC)
    counts = {}
    for day, row_count in count_rows_by_day(table).items():
        if start.date() <= day < end.date():
            counts[day] = row_count
    return _WindowInteractions(lake.scan(table), version, (start, end), counts)


def _find_days_to_measure(
    connection: duckdb.DuckDBPyConnection, lake: Lake, source: _WindowInteractions
) -> list[date]:
    """Return the whole days whose number of events differs from that of their features."""
    measured_events = count_measured_events(connection, lake)
    days = []
    for day in source.whole_days:
        if measured_events.get(day) != source.event_counts[day]:
            days.append(day)
    return days


def _measure_days(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    source: _WindowInteractions,
    days: list[date],
    writes: bool,
) -> None:
    """Measure the users and agents of whole days, and move them to the lake if it writes."""
    for chunk in _split_into_chunks(source, days):
        _measure_rows(connection, source.events(chunk))
        if not writes:
            continue
        for kind in ("agent", "user"):
            write_days(connection, lake, kind, chunk, source.version)
            connection.execute(f"DELETE FROM {kind}_days")


def _split_into_chunks(source: _WindowInteractions, days: list[date]) -> Iterator[list[date]]:
    """Yield the days in their order, about EVENTS_PER_CHUNK events at a time."""
    chunk: list[date] = []
    for day in days:
        chunk.append(day)
        if sum(source.event_counts[chunk_day] for chunk_day in chunk) >= EVENTS_PER_CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _measure_rows(connection: duckdb.DuckDBPyConnection, rows: "pads.Dataset") -> None:
    connection.register("measured_rows", rows)
    features.measure_features(connection, "measured_rows")
    connection.unregister("measured_rows")


def _build_day_filter(days: list[date]) -> pc.Expression:
    return pc.field("event_date").isin(pa.array(days, pa.date32()))


def _create_day_views(
    connection: duckdb.DuckDBPyConnection, lake: Lake, source: _WindowInteractions
) -> None:
    """Create `user_days` and `agent_days`: the days just measured, and the others from the lake."""
    for kind in ("agent", "user"):
        rows = connection.execute(f"SELECT DISTINCT event_date FROM {kind}_days").fetchall()
        measured_days = {day for (day,) in rows}
        connection.execute(f"ALTER TABLE {kind}_days RENAME TO measured_{kind}_days")
        view = f"CREATE VIEW {kind}_days AS FROM measured_{kind}_days"
        stored_rows = lake.rows(f"bot_{kind}_days")
        if stored_rows is not None:
            stored_days = sorted(set(source.whole_days) - measured_days)
            connection.register(
                f"stored_{kind}_days", stored_rows.filter(_build_day_filter(stored_days))
            )
            view += f" UNION ALL BY NAME FROM stored_{kind}_days"
        connection.execute(view)
