"""Land the streams of events in the lake: each entry is in its table exactly once.

The rows of some entries are written to files, whose names hold the first and the last entry; then
the files are committed to the table, together with the position in the stream; then the stream is
trimmed up to there. A firehose that is killed leaves files that no commit names, or entries that
are in the table already, and the next one continues at the table's position.
"""

import hashlib
import io
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import redis

from dawnlist.events.event_table import (
    DEAD_EVENTS_TABLE,
    EVENTS_TABLE,
    SHOWN_TABLE,
    Row,
    StreamFields,
    StreamPosition,
    build_dead_rows,
    build_event_rows,
    build_position_transactions,
    build_shown_rows,
    parse_stream_id,
    read_position,
)
from dawnlist.events.stream_keys import ENTRY_FIELD, REASON_FIELD, EventKeys
from dawnlist.lake.commits import DayFile, add_files, commit_with_retries
from dawnlist.lake.lake import Lake
from dawnlist.schema import DEAD_EVENTS_SCHEMA, EVENTS_SCHEMA, SHOWN_SCHEMA
from dawnlist.serving.collector.stream_trim import trim_accepted_stream
from dawnlist.values import cut_text

if TYPE_CHECKING:
    from deltalake import DeltaTable

LAND_BYTES: Final = 64 << 20
"""Bytes of records that are landed at once, at the latest."""
LAND_SECONDS: Final = 60.0
"""Seconds after which an entry is landed, however few there are."""
MAX_REASON: Final = 300
"""Characters of the reason of a dead letter."""
READ_ENTRIES: Final = 5_000
POLL_SECONDS: Final = 1.0

StreamEntries = list[tuple[bytes, StreamFields]]
UNFIT_ERRORS: Final = (ValueError, TypeError, OverflowError, pa.ArrowException)
"""What Arrow raises for a value that a column can't hold."""
firehose_log = logging.getLogger("dawnlist.collector")


@dataclass(frozen=True)
class Landing:
    """A stream and the table that its entries land in."""

    stream: str
    table: str
    schema: pa.Schema
    build_rows: Callable[[bytes, StreamFields], list[Row]]


class Firehose:
    """Lands the streams of one shop."""

    def __init__(
        self,
        client: "redis.Redis",
        lake: Lake,
        namespace: str,
        land_seconds: float = LAND_SECONDS,
        land_bytes: int = LAND_BYTES,
    ) -> None:
        self._client: Any = client
        self._lake = lake
        self._keys = EventKeys(namespace)
        self._land_seconds = land_seconds
        self._land_bytes = land_bytes
        self._landings = (
            Landing(self._keys.enriched, EVENTS_TABLE, EVENTS_SCHEMA, build_event_rows),
            Landing(self._keys.shown, SHOWN_TABLE, SHOWN_SCHEMA, build_shown_rows),
            Landing(self._keys.dead, DEAD_EVENTS_TABLE, DEAD_EVENTS_SCHEMA, build_dead_rows),
        )

    def run(self, stop: threading.Event, show_life: Callable[[], None]) -> None:
        """Land entries until `stop` is set. A store or a lake that is away is waited for.

        `show_life` is called in each turn.
        """
        while not stop.is_set():
            show_life()
            landed = 0
            try:
                for landing in self._landings:
                    landed += self.land_if_due(landing)
                trim_accepted_stream(self._client, self._keys)
            except (redis.RedisError, OSError) as error:
                firehose_log.warning("events can't be landed now: %s", error)
            except Exception:
                # The entries stay in the stream; the alert on its lag tells somebody.
                firehose_log.exception("events can't be landed now")
            if not landed:
                stop.wait(POLL_SECONDS)

    def land_everything(self) -> int:
        """Land all entries that are in the streams now, and return their number."""
        landed = 0
        for landing in self._landings:
            while number := self._land(landing):
                landed += number
        trim_accepted_stream(self._client, self._keys)
        return landed

    def land_if_due(self, landing: Landing) -> int:
        """Land the entries of a stream if they are many or old enough; return their number."""
        oldest = self._client.xrange(landing.stream, count=1)
        if not oldest:
            return 0
        milliseconds, _ = parse_stream_id(oldest[0][0])
        is_old = time.time() - milliseconds / 1000 >= self._land_seconds
        if is_old or self._measure_stream(landing.stream) >= self._land_bytes:
            return self._land(landing)
        return 0

    def _measure_stream(self, stream: str) -> int:
        return int(self._client.memory_usage(stream) or 0)

    def _land(self, landing: Landing) -> int:
        """Land the next entries after the table's position, and return their number."""
        position = read_position(self._lake.table(landing.table))
        entries = self._read_entries(landing.stream, position)
        if not entries:
            self._trim(landing.stream, position)
            return 0
        files = self._write_files(landing, entries)
        end = parse_stream_id(entries[-1][0])

        def attempt(table: "DeltaTable | None") -> bool:
            if read_position(table) != position:
                return False  # Another firehose has landed these entries.
            transactions = build_position_transactions(end)
            add_files(self._lake, landing.table, table, files, landing.schema, transactions, {})
            return True

        if commit_with_retries(self._lake, landing.table, attempt):
            self._trim(landing.stream, end)
        return len(entries)

    def _read_entries(self, stream: str, position: StreamPosition) -> StreamEntries:
        """Read the entries after a position, up to the bytes that are landed at once."""
        entries: StreamEntries = []
        size = 0
        start = position
        while size < self._land_bytes:
            batch = self._client.xrange(stream, min=f"({start[0]}-{start[1]}", count=READ_ENTRIES)
            if not batch:
                break
            entries += batch
            size += sum(sum(map(len, fields.values())) for _, fields in batch)
            start = parse_stream_id(batch[-1][0])
        return entries

    def _write_files(self, landing: Landing, entries: StreamEntries) -> list[DayFile]:
        """Write the rows of entries, a file for each day. Files that are there already are kept.

        An entry that is no row of the table goes to the dead letters. A firehose that is killed
        before the commit sends it there again.
        """
        rows = self._build_rows(landing, entries)
        try:
            tables = _build_day_tables(landing.schema, rows)
        except UNFIT_ERRORS:
            tables = _build_day_tables(landing.schema, self._select_fit_rows(landing, rows))
        first, last = entries[0][0].decode(), entries[-1][0].decode()
        files = []
        for day, table in tables.items():
            files.append(self._write_file(landing, f"event_date={day}/{first}_{last}", day, table))
        return files

    def _build_rows(
        self, landing: Landing, entries: StreamEntries
    ) -> list[tuple[StreamFields, Row]]:
        """Build the rows of each entry, and bury those that hold no record."""
        rows = []
        for entry_id, fields in entries:
            try:
                for row in landing.build_rows(entry_id, fields):
                    rows.append((fields, row))
            except ValueError as error:
                self._bury(fields, str(error))
        return rows

    def _select_fit_rows(
        self, landing: Landing, rows: list[tuple[StreamFields, Row]]
    ) -> list[tuple[StreamFields, Row]]:
        """Return the rows that the table can hold, and bury the others."""
        fit_rows = []
        for fields, row in rows:
            try:
                pa.RecordBatch.from_pylist([row], landing.schema)
            except UNFIT_ERRORS as error:
                self._bury(fields, f"the table {landing.table} can't hold it: {error}")
            else:
                fit_rows.append((fields, row))
        return fit_rows

    def _bury(self, fields: StreamFields, reason: str) -> None:
        entry = fields.get(ENTRY_FIELD.encode(), b"")
        reason = cut_text(reason, MAX_REASON)
        self._client.xadd(self._keys.dead, {ENTRY_FIELD: entry, REASON_FIELD: reason})
        firehose_log.warning("an entry went to the dead letters: %s", reason)

    def _write_file(self, landing: Landing, stem: str, day: date, table: pa.Table) -> DayFile:
        """Write a file, unless it is there already.

        Its name has a hash of its content: an entry in the middle may have been erased since a
        firehose that was killed wrote the same range.
        """
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd", compression_level=1)
        data = buffer.getvalue()
        digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        name = f"{stem}_{digest}.parquet"
        self._lake.create(data, "tables", landing.table, *name.split("/"))
        nulls = {column: table[column].null_count for column in table.column_names}
        return DayFile(name, day.isoformat(), table.num_rows, len(data), nulls)

    def _trim(self, stream: str, position: StreamPosition) -> None:
        """Remove the entries that are in the table."""
        milliseconds, sequence = position
        self._client.xtrim(stream, minid=f"{milliseconds}-{sequence + 1}", approximate=False)


def _build_day_tables(
    schema: pa.Schema, rows: list[tuple[StreamFields, Row]]
) -> dict[date, pa.Table]:
    """Build a table of the rows of each day, without the column of the day.

    Raises:
        UNFIT_ERRORS: the table can't hold one of the rows.
    """
    rows_by_day: dict[date, list[Row]] = defaultdict(list)
    for _, row in rows:
        rows_by_day[row["event_date"]].append(row)
    file_schema = schema.remove(schema.get_field_index("event_date"))
    tables = {}
    for day in sorted(rows_by_day):
        tables[day] = pa.Table.from_pylist(rows_by_day[day], file_schema)
    return tables
