"""Read what the collector landed in the lake's table `events` as a source of interactions."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dawnlist.components.fetch.read_ahead import RecordBatches
from dawnlist.cuts import format_iso
from dawnlist.events.event_table import EVENTS_TABLE
from dawnlist.events.event_types import ALIAS_TYPE, LIKE_TYPE, MOOD_TYPE
from dawnlist.lake.lake import Lake
from dawnlist.schema import UTC_MICROSECONDS
from dawnlist.settings import SourceSettings

EVENTS_SOURCE: Final = "events"
"""The source's name: what people write in place of a URL."""
OLDEST_EVENT: Final = timedelta(days=366)
"""An event may be so much older than its arrival: see the setting collector.max_age_days."""
ARRIVAL_COLUMN: Final = "collected_at"
COLUMNS: Final = (
    "event_id",
    "user_id",
    "anonymous_id",
    "item_id",
    "event_type",
    "mood_weight",
    "event_time",
    "received_time",
    "quantity",
    "rating",
    "session_id",
    "user_agent",
    "ip",
)
LANDED_SCHEMA: Final = pa.schema(
    [
        pa.field("event_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("item_id", pa.string()),
        pa.field("event_type", pa.string()),
        pa.field("event_time", UTC_MICROSECONDS),
        pa.field("quantity", pa.float64()),
        pa.field("rating", pa.float64()),
        pa.field("session_id", pa.string()),
        pa.field("user_agent", pa.string()),
        pa.field("ip", pa.string()),
        pa.field(ARRIVAL_COLUMN, UTC_MICROSECONDS),
    ]
)
NO_ROWS: Final = pa.RecordBatch.from_pylist([], LANDED_SCHEMA)


class CollectedEvents:
    """The table `events` as a source: the events on items, of types that a model learns from.

    Impressions and the like are none of them; they stay in the table. Moods of positive weight
    become events of the type `like`. Anonymous events get the user that they were joined to later.
    """

    gives_whole_days = False

    def __init__(self, lake: Lake, settings: SourceSettings) -> None:
        self._lake = lake
        self._types = pa.array(sorted({*settings.events, *settings.weights}))

    def check_columns(self) -> None:
        """Check nothing: the table has all columns."""

    def interactions(self, start: datetime, end: datetime) -> RecordBatches:
        """Read the events that the collector took in [start, end)."""
        dataset = self._lake.rows(EVENTS_TABLE)
        if dataset is None:
            return iter([NO_ROWS])
        return self._read_batches(dataset, start, end, _read_aliases(dataset, end))

    def _read_batches(
        self, dataset: Any, start: datetime, end: datetime, users: dict[str, str]
    ) -> Iterator[pa.RecordBatch]:
        """Read the events of [start, end); `users` has the user of each anonymous id."""
        yield NO_ROWS  # so that there is a schema also without rows
        scanner = dataset.scanner(columns=list(COLUMNS), filter=_build_arrival_filter(start, end))
        for batch in scanner.to_batches():
            yield self._convert(batch, users)

    def _convert(self, batch: pa.RecordBatch, users: dict[str, str]) -> pa.RecordBatch:
        """Keep the rows that a model learns from, with the columns of a landing object."""
        rows = pa.Table.from_batches([batch])
        is_like = pc.and_(
            pc.equal(rows["event_type"], MOOD_TYPE), pc.greater(rows["mood_weight"], 0)
        ).fill_null(False)
        event_types = pc.if_else(is_like, LIKE_TYPE, rows["event_type"])
        is_learnt = pc.and_(pc.is_in(event_types, self._types), pc.is_valid(rows["item_id"]))
        joined_users = [users.get(person) for person in rows["anonymous_id"].to_pylist()]
        user_ids = pc.coalesce(rows["user_id"], pa.array(joined_users, pa.string()))
        values = {name: rows[name] for name in LANDED_SCHEMA.names if name in rows.column_names}
        values |= {
            "user_id": user_ids,
            "event_type": event_types,
            ARRIVAL_COLUMN: rows["received_time"],
        }
        columns = [values[name] for name in LANDED_SCHEMA.names]
        table = pa.table(columns, names=LANDED_SCHEMA.names).cast(LANDED_SCHEMA)
        batches = table.filter(is_learnt).combine_chunks().to_batches()
        return batches[0] if batches else NO_ROWS

    def read_whole_table(self, table: str) -> RecordBatches | None:
        """Return None: events say nothing about items and users."""
        return None

    def describe_newest(self) -> str | None:
        """Return when the newest event was taken; None when there is none."""
        dataset = self._lake.rows(EVENTS_TABLE)
        if dataset is None:
            return None
        times = dataset.to_table(columns=["received_time"])["received_time"]
        newest = pc.max(times).as_py()
        return None if newest is None else format_iso(newest)

    def list_passed_over(self, end: datetime) -> list[str]:
        """Return nothing: there are no files to choose from."""
        return []

    def find_local_day(self, moment: datetime) -> date:
        """Return the UTC day of a time."""
        return moment.astimezone(UTC).date()

    def count_arrivals(self, landed: Path, start: datetime, end: datetime) -> dict[str, int]:
        """Count the rows of a landed file by the hour in which the collector took them."""
        times = pq.read_table(landed, columns=[ARRIVAL_COLUMN])[ARRIVAL_COLUMN]
        return _count_by_hour(times)

    def count_rows_by_day(self, days: list[date]) -> dict[date, int]:
        """Count the events that are there now of UTC days, by the time when they were taken."""
        dataset = self._lake.rows(EVENTS_TABLE)
        if dataset is None:
            return dict.fromkeys(days, 0)
        rows_by_day: dict[date, int] = {}
        for day in days:
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            # Whose the events are makes no difference to their number.
            batches = self._read_batches(dataset, start, start + timedelta(days=1), {})
            rows_by_day[day] = sum(batch.num_rows for batch in batches)
        return rows_by_day


def _read_aliases(dataset: Any, end: datetime) -> dict[str, str]:
    """Read which user each anonymous id was joined to; the last one counts."""
    is_alias = pc.field("event_type") == ALIAS_TYPE
    table = dataset.to_table(
        columns=["anonymous_id", "user_id", "received_time"],
        filter=is_alias & (pc.field("received_time") < pa.scalar(end, UTC_MICROSECONDS)),
    ).sort_by("received_time")
    return dict(zip(table["anonymous_id"].to_pylist(), table["user_id"].to_pylist(), strict=True))


def _build_arrival_filter(start: datetime, end: datetime) -> Any:
    """Build the condition that an event was taken in [start, end)."""
    received = pc.field("received_time")
    arrived = (received >= pa.scalar(start, UTC_MICROSECONDS)) & (
        received < pa.scalar(end, UTC_MICROSECONDS)
    )
    # Only the files of possible days are opened.
    first_day = pa.scalar((start - OLDEST_EVENT).date())
    last_day = pa.scalar((end + timedelta(days=1)).date())
    return arrived & (pc.field("event_date") >= first_day) & (pc.field("event_date") <= last_day)


def _count_by_hour(times: pa.ChunkedArray) -> dict[str, int]:
    hours = pc.strftime(pc.floor_temporal(times, unit="hour"), "%Y-%m-%dT%H:00:00Z")
    return dict(Counter(hours.to_pylist()))
