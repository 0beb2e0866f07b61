"""The features of a window's days, which accumulate in the lake: a night measures what is new or has changed.

Three Delta tables with a partition for each whole day: bot_agent_days, bot_user_days and, committed last, so that what
a killed run left is measured again, bot_item_days. A day is measured again when its number of events is not that of
the interactions table, which only gains rows within a day, and so are the days after it whose popularities it is part
of. So what the same interactions come to does not depend on when, and in which order, they were measured.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.components.filter_bots import features
from dawnlist.lake.commits import build_commit_properties, commit_with_retries, count_rows_by_day
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import TABLES_LEASE, hold_lease
from dawnlist.schema import UTC_MICROSECONDS

if TYPE_CHECKING:
    import pyarrow.dataset as pads
    from deltalake import DeltaTable

FEATURES_EDITION: Final = 1
"""Of the features: one more whenever they change, and all days are measured again."""
EVENTS_PER_CHUNK: Final = 500_000
"""About so many events are measured at a time."""
MEASURED_VERSION_APP_ID, EDITION_APP_ID = "interactions", "edition"
"""App ids of the version of the interactions that was measured, and of EDITION."""
_POPULARITY_REACH = timedelta(days=features.POPULARITY_DAYS - 1)
"""So far back, and so far ahead, do a day's items matter."""

Window = tuple[datetime, datetime]


@dataclass(frozen=True)
class _MeasurementPlan:
    """What is to be measured, in days."""

    items: list[date]
    """Whose items have changed."""
    users: list[date]
    """Whose users' features have, for that or for another reason."""


@dataclass(frozen=True)
class _InteractionsInWindow:
    """The interactions at a version, as a window sees them."""

    rows: "pads.Dataset"
    version: int
    window: Window
    counts: dict[date, int]
    """Events of the whole days before the window's end."""

    @property
    def cut(self) -> list[date]:
        """Days of which a part lies outside of the window."""
        return sorted({moment.date() for moment in self.window if moment.time() != time.min})

    @property
    def whole(self) -> list[date]:
        """The other days of the window that have events."""
        start, end = (moment.date() for moment in self.window)
        return sorted(day for day in self.counts if start <= day < end and day not in self.cut)

    def events(self, days: list[date]) -> "pads.Dataset":
        """All events of these days."""
        return self.rows.filter(pc.field("event_date").isin(pa.array(days, pa.date32())))

    def inside(self, days: list[date]) -> "pads.Dataset":
        """Those in the window."""
        start, end = (pa.scalar(moment, UTC_MICROSECONDS) for moment in self.window)
        return self.events(days).filter(
            (pc.field("event_time") >= start) & (pc.field("event_time") < end)
        )


def load_day_features(
    connection: duckdb.DuckDBPyConnection, lake: Lake, version: int, window: Window
) -> list[date]:
    """Show what users did in [start, end), at a version of the interactions, as `user_days` and `agent_days`.

    Days of which the lake has no features, or those of another number of events, are measured and kept there, unless
    a newer version has been measured before. A day that the window cuts is measured from its part inside, not kept.
    Returns the days that were read. ValueError when there are no interactions in the lake.
    """
    source = _open_interactions(lake, version, window)
    features.create_feature_tables(connection)
    keeps = _read_measured_version(lake) <= version
    plan = _plan_measurements(connection, lake, source)
    with (
        hold_lease(lake, TABLES_LEASE, "filter_bots", on_wait=print)
        if keeps and (plan.items or plan.users)
        else nullcontext()
    ):
        plan = _plan_measurements(
            connection, lake, source
        )  # another run may have measured meanwhile
        _load_item_days(connection, lake, source, plan)
        for days in _split_into_chunks(source, plan.users):
            _measure_rows(connection, source.events(days), features.measure_users)
            if keeps:
                for kind in ("agent", "user"):
                    _write_days(connection, lake, kind, days, version)
                    connection.execute(f"DELETE FROM {kind}_days")
        if keeps and plan.items:
            _write_days(connection, lake, "item", plan.items, version)
    for day in source.cut:
        _measure_rows(connection, source.inside([day]), features.measure_users)
    _create_day_views(connection, lake, source)
    return sorted({*plan.items, *plan.users, *source.cut})


def _open_interactions(lake: Lake, version: int, window: Window) -> _InteractionsInWindow:
    table = lake.table("interactions", version)
    if table is None:
        raise ValueError("the lake has no table interactions: run clean first")
    start, end = (moment.astimezone(UTC) for moment in window)
    counts = {
        day: rows
        for day, rows in count_rows_by_day(table).items()
        if start.date() - _POPULARITY_REACH <= day < end.date()
    }
    return _InteractionsInWindow(lake.scan(table), version, (start, end), counts)


def _read_measured_version(lake: Lake) -> int:
    """The newest version of the interactions that was measured; -1 when none was."""
    table = lake.table("bot_item_days")
    version = None if table is None else table.transaction_version(MEASURED_VERSION_APP_ID)
    return -1 if version is None else version


def _plan_measurements(
    connection: duckdb.DuckDBPyConnection, lake: Lake, source: _InteractionsInWindow
) -> _MeasurementPlan:
    items, users = (_count_measured_events(connection, lake, kind) for kind in ("item", "user"))
    changed = [day for day, events in sorted(source.counts.items()) if items.get(day) != events]
    stale = [
        day
        for day in source.whole
        if users.get(day) != source.counts[day]
        or any(day - _POPULARITY_REACH <= other <= day for other in changed)
    ]
    return _MeasurementPlan(changed, stale)


def _count_measured_events(
    connection: duckdb.DuckDBPyConnection, lake: Lake, kind: str
) -> dict[date, int]:
    """Day -> events of which the lake has features of this edition."""
    table = lake.table(f"bot_{kind}_days")
    if table is None or table.transaction_version(EDITION_APP_ID) != FEATURES_EDITION:
        return {}
    connection.register("kept_rows", lake.scan(table))
    counts = connection.execute(
        "SELECT event_date, sum(events)::BIGINT FROM kept_rows GROUP BY 1"
    ).fetchall()
    connection.unregister("kept_rows")
    return dict(counts)


def _load_item_days(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    source: _InteractionsInWindow,
    plan: _MeasurementPlan,
) -> None:
    """Fill `item_days` for the popularities of all days that are to be measured."""
    needed = {
        day - timedelta(days=back)
        for day in (*plan.users, *source.cut)
        for back in range(_POPULARITY_REACH.days + 1)
    }
    kept = lake.rows("bot_item_days")
    if kept is not None and (days := sorted(needed & source.counts.keys() - set(plan.items))):
        connection.register(
            "kept_rows", kept.filter(pc.field("event_date").isin(pa.array(days, pa.date32())))
        )
        connection.execute("INSERT INTO item_days BY NAME SELECT * FROM kept_rows")
        connection.unregister("kept_rows")
    for chunk in _split_into_chunks(source, plan.items):
        _measure_rows(connection, source.events(chunk), features.measure_items)
    if (last := source.window[1].date()) in source.cut:  # at the start, the whole day counts
        _measure_rows(connection, source.inside([last]), features.measure_items)


def _split_into_chunks(source: _InteractionsInWindow, days: list[date]) -> Iterator[list[date]]:
    """The days in order, about CHUNK events at a time."""
    chunk: list[date] = []
    for day in days:
        chunk.append(day)
        if sum(source.counts[one] for one in chunk) >= EVENTS_PER_CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _measure_rows(
    connection: duckdb.DuckDBPyConnection,
    rows: "pads.Dataset",
    measure: Callable[[duckdb.DuckDBPyConnection, str], None],
) -> None:
    connection.register("measured_rows", rows)
    measure(connection, "measured_rows")
    connection.unregister("measured_rows")


def _write_days(
    connection: duckdb.DuckDBPyConnection, lake: Lake, kind: str, days: list[date], version: int
) -> None:
    """Replace these days in the lake by what `{kind}_days` holds of them, in one commit."""
    from deltalake import WriterProperties, write_deltalake

    name = f"bot_{kind}_days"
    listed = ", ".join(f"'{day}'" for day in days)
    rows = connection.sql(
        f"SELECT * FROM {kind}_days WHERE event_date IN ({listed}) ORDER BY ALL"
    ).to_arrow_table()

    def attempt(table: "DeltaTable | None") -> None:
        old = table is not None and table.transaction_version(EDITION_APP_ID) != FEATURES_EDITION
        replaced = (
            {"schema_mode": "overwrite"} if old else {"predicate": f"event_date IN ({listed})"}
        )
        new: dict[str, Any] = {"mode": "error", "partition_by": ["event_date"]}
        write_deltalake(
            lake.table_uri(name) if table is None else table,
            rows,
            writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
            commit_properties=build_commit_properties(
                {MEASURED_VERSION_APP_ID: version, EDITION_APP_ID: FEATURES_EDITION}
            ),
            **(new if table is None else {"mode": "overwrite", **replaced}),
        )

    commit_with_retries(lake, name, attempt)


def _create_day_views(
    connection: duckdb.DuckDBPyConnection, lake: Lake, source: _InteractionsInWindow
) -> None:
    """The views `user_days` and `agent_days`: what was just measured, and what the lake holds of the other days."""
    for kind in ("agent", "user"):
        measured = {
            day
            for (day,) in connection.execute(
                f"SELECT DISTINCT event_date FROM {kind}_days"
            ).fetchall()
        }
        connection.execute(f"ALTER TABLE {kind}_days RENAME TO measured_{kind}_days")
        shown = f"CREATE VIEW {kind}_days AS FROM measured_{kind}_days"
        kept = lake.rows(f"bot_{kind}_days")
        if kept is not None:
            days = pa.array(sorted(set(source.whole) - measured), pa.date32())
            connection.register(f"kept_{kind}_days", kept.filter(pc.field("event_date").isin(days)))
            shown += f" UNION ALL BY NAME FROM kept_{kind}_days"
        connection.execute(shown)
