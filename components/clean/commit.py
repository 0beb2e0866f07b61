"""Clean rows into the lake's Delta tables: each event and each rejected row once, in one commit or not at all."""

import itertools
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from deltalake import DeltaTable, write_deltalake

from components.clean.interactions import EVENT, TIMELESS, Connection, clean_rows, no_events
from components.commits import append, committed, version
from components.evolution import evolve
from components.lake import Lake
from components.ledger import RECENT, Arrivals, Ledger, metadata
from components.schema import INTERACTIONS, QUARANTINE, UTC_MICROSECONDS
from components.watermark import Window, extended, held, transactions

REPLAY = timedelta(days=7)
"""An event that comes again is known by its id for so long, even with another time."""


def merge_interactions(lake: Lake, connection: Connection, windows: list[Window], arrivals: Arrivals) -> dict[str, Any]:
    """Insert the clean rows of the table `staged` whose event ids the lake does not have, in the days they belong to.

    It looks in the days that the rows touch, in those of the windows, and in the REPLAY before: a queue that is
    replayed may give an event another time.

    Returns known, inserted, days (ISO date -> rows inserted), interactions_version. Harmless when repeated: with
    nothing to insert, and nothing new about the time that the table holds or the ledger, there is no commit.
    """
    days = _days(connection, windows)

    def attempt(table: DeltaTable | None) -> dict[str, Any]:
        _find_known(lake, connection, table, days)
        counts = {day.isoformat(): rows for day, rows in connection.raw_sql(_INSERTED_DAYS).fetchall()}
        known = connection.raw_sql(_KNOWN).fetchall()[0][0]
        if counts or table is None or _says_more(table, windows, arrivals):
            staged = connection.table("staged")
            rows = clean_rows(staged.anti_join(connection.table("known"), "event_id"))
            after = extended(held(table), windows)
            marks = transactions(after) if after else {}
            append(lake, "interactions", table, _reader(connection, rows), marks, metadata(windows, arrivals))
        return {"known": known, "inserted": sum(counts.values()), "days": counts}

    evolve(lake, "interactions", INTERACTIONS)
    report = committed(lake, "interactions", attempt)
    return report | {"interactions_version": version(lake, "interactions")}


def mark_held(lake: Lake, start: datetime, end: datetime) -> None:
    """Say that the table holds [start, end) whole: what a backfill does once each window of that time was merged.

    The end of what is held stays: what a source did not have yet is for the next run to fetch.
    """

    def attempt(table: DeltaTable | None) -> None:
        known = held(table)
        after = extended(known, [(start, min(end, known[1]))]) if known and start < known[1] else known
        if table is not None and after and after != known:
            append(lake, "interactions", table, INTERACTIONS.empty_table(), transactions(after), {})

    committed(lake, "interactions", attempt)


def _says_more(table: DeltaTable, windows: list[Window], arrivals: Arrivals) -> bool:
    before, after = held(table), extended(held(table), windows)
    ledger = Ledger.of(table, RECENT)
    return after != before or ledger.after(windows, arrivals).within(after) != ledger


_DAYS = "SELECT DISTINCT event_date FROM staged WHERE fate = 'clean' ORDER BY 1"
_KNOWN = "SELECT count(*) FROM staged SEMI JOIN known USING (event_id) WHERE fate = 'clean'"
_INSERTED_DAYS = (
    "SELECT event_date, count(*) FROM staged ANTI JOIN known USING (event_id) WHERE fate = 'clean' "
    "GROUP BY 1 ORDER BY 1"
)


def _days(connection: Connection, windows: list[Window]) -> list[date]:
    """The days in which to look for event ids."""
    touched = {day for (day,) in connection.raw_sql(_DAYS).fetchall()}
    for start, end in windows:
        first = (start - REPLAY).date()
        touched |= {first + timedelta(days=number) for number in range((end.date() - first).days + 1)}
    return sorted(touched)


def _find_known(lake: Lake, connection: Connection, table: DeltaTable | None, days: list[Any]) -> None:
    """The table `known`: the event ids that these days hold already; other days stay unread."""
    known = pa.schema([INTERACTIONS.field("event_id")]).empty_table()
    if table is not None and days:
        touched = pc.field("event_date").isin(pa.array(days, pa.date32()))
        known = lake.scan(table).to_table(columns=["event_id"], filter=touched)
    connection.con.register("known_rows", known)
    connection.raw_sql("CREATE OR REPLACE TABLE known AS SELECT * FROM known_rows")
    connection.con.unregister("known_rows")


def stored_events(lake: Lake, days: list[date]) -> pa.Table:
    """What the lake holds of these days and of those beside them: a double click may reach over midnight."""
    table = lake.table("interactions")
    if table is None or not days:
        return no_events(days)
    beside = {day + timedelta(days=number) for day in days for number in (-1, 0, 1)}
    touched = pc.field("event_date").isin(pa.array(sorted(beside), pa.date32()))
    return lake.scan(table).to_table(columns=list(EVENT), filter=touched)


def rejected_rows(rows: Iterator[dict[str, Any]], as_of: datetime) -> pa.Table:
    """The rows as the quarantine holds them; Python's dicts, which take ten times the room, only a few at a time."""
    batches = []
    while some := [row | {"as_of": as_of} for row in itertools.islice(rows, 10_000)]:
        batches.append(pa.RecordBatch.from_pylist(some, schema=QUARANTINE))
    return pa.Table.from_batches(batches, schema=QUARANTINE)


def append_quarantine(lake: Lake, rejected: pa.Table, start: datetime) -> int | None:
    """Append rejected rows of windows from `start` on, but none that an earlier run of that time rejected already.

    Returns the version of the table, if there is one.
    """

    def attempt(table: DeltaTable | None) -> dict[str, Any]:
        new = rejected if table is None else _not_in(lake.scan(table), rejected, start)
        if new.num_rows:
            append(lake, "quarantine", table, new, {}, {})
        return {}

    if rejected.num_rows:
        evolve(lake, "quarantine", QUARANTINE)
        committed(lake, "quarantine", attempt)
    return version(lake, "quarantine")


def _not_in(quarantine: pads.Dataset, rejected: pa.Table, start: datetime) -> pa.Table:
    again = (pc.field("as_of") >= pa.scalar(start, UTC_MICROSECONDS)) | pc.field("reason").isin(TIMELESS)
    known = quarantine.to_table(columns=["source_row", "reason"], filter=again)
    new = rejected.join(known, ["source_row", "reason"], join_type="left anti")
    return new.select(QUARANTINE.names).sort_by([("source_object", "ascending"), ("row_number", "ascending")])


def overwrite(lake: Lake, name: str, rows: pa.Table) -> None:
    """Replace a small table whole."""

    def attempt(table: DeltaTable | None) -> dict[str, Any]:
        write_deltalake(lake.table_uri(name) if table is None else table, rows, mode="overwrite")
        return {}

    evolve(lake, name, rows.schema)
    committed(lake, name, attempt)


def _reader(connection: Connection, rows: Any) -> pa.RecordBatchReader:
    # on a cursor, so that a result which a failed commit leaves half read is in nobody's way
    cursor = connection.con.cursor()
    cursor.execute("SET TimeZone = 'UTC'")
    batches = cursor.sql(str(connection.compile(rows))).to_arrow_reader(100_000)
    typed = (pa.RecordBatch.from_arrays(batch.cast(_nullable()).columns, schema=INTERACTIONS) for batch in batches)
    return pa.RecordBatchReader.from_batches(INTERACTIONS, typed)


def _nullable() -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in INTERACTIONS])
