"""Commit clean and rejected rows to the lake's Delta tables, each of them once."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from dawnlist.components.clean.duplicates import hash_event_id
from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.fates import FATE_CLEAN, TIME_REASON_PREFIX
from dawnlist.components.clean.interactions import JudgedRows, select_clean_rows
from dawnlist.components.clean.landed_objects import OBJECT_KEY_STRIDE, LandedObject
from dawnlist.lake.commits import (
    DayFile,
    add_files,
    append_rows,
    commit_with_retries,
    read_table_version,
)
from dawnlist.lake.evolution import add_missing_columns
from dawnlist.lake.lake import Lake
from dawnlist.lake.ledger import COMMITS_PER_WEEK, ArrivalCounts, Ledger, build_ledger_metadata
from dawnlist.lake.watermark import (
    TimeWindow,
    build_window_transactions,
    extend_window,
    read_covered_window,
)
from dawnlist.schema import INTERACTIONS_SCHEMA, QUARANTINE_SCHEMA, UTC_MICROSECONDS

if TYPE_CHECKING:
    from deltalake import DeltaTable

REPLAY_PERIOD = timedelta(days=7)
"""How long before a window event ids are looked up, to find replayed events with another time."""
_NOT_INSERTED = "known"
"""The fate of clean rows that the lake has already."""


def merge_interactions(
    lake: Lake,
    engine: CleaningEngine,
    judged_rows: JudgedRows,
    windows: list[TimeWindow],
    arrivals: ArrivalCounts,
) -> dict[str, Any]:
    """Insert the clean rows whose event ids the lake does not have, in one commit.

    Event ids are looked up in the days that the rows touch, in those of the windows, and in the
    REPLAY_PERIOD before them: a queue that is replayed may give an event another time.

    Repeating it is harmless: there is no commit when there is nothing to insert and nothing new for
    the covered window or the ledger.

    Returns inserted, days (ISO date -> inserted rows), nulls (column -> inserted rows without a
    value) and interactions_version.
    """
    lookup_days = list_lookup_days(judged_rows.days, windows)

    def attempt(table: "DeltaTable | None") -> dict[str, Any]:
        stored_rows = engine.scan_days(lake, "interactions", table, lookup_days)
        files = _write_new_rows(lake, engine, judged_rows, stored_rows)
        if files or table is None or _extends_coverage(table, windows, arrivals):
            covered_window = extend_window(read_covered_window(table), windows)
            transactions = build_window_transactions(covered_window) if covered_window else {}
            metadata = build_ledger_metadata(windows, arrivals)
            add_files(
                lake,
                "interactions",
                table,
                files,
                INTERACTIONS_SCHEMA,
                transactions,
                metadata,
            )
        return _summarise_inserts(files)

    add_missing_columns(lake, "interactions", INTERACTIONS_SCHEMA)
    report = commit_with_retries(lake, "interactions", attempt)
    return report | {"interactions_version": read_table_version(lake, "interactions")}


def _write_new_rows(
    lake: Lake,
    engine: CleaningEngine,
    judged_rows: JudgedRows,
    stored_rows: TableExpression | None,
) -> list[DayFile]:
    """Write the clean rows whose event ids the lake does not have. Nothing is committed."""
    fates = judged_rows.fates
    if stored_rows is not None:
        event_hashes = stored_rows.select(event_hash=hash_event_id(stored_rows.event_id))
        fates = _mark_stored_events(fates, engine.materialise("known", event_hashes))
    new_rows = select_clean_rows(
        judged_rows.texts, fates, judged_rows.settings, judged_rows.reused_ids
    )
    return engine.write_day_files(lake, "interactions", new_rows, INTERACTIONS_SCHEMA)


def _mark_stored_events(fates: TableExpression, event_hashes: TableExpression) -> TableExpression:
    """Return key and fate of each row. Clean rows that the lake has already get another fate."""
    stored = fates.semi_join(event_hashes, "event_hash")
    stored = stored.select("key", stored_fate=ibis.literal(_NOT_INSERTED))
    joined = fates.left_join(stored, "key")
    clean_fate = ibis.coalesce(stored.stored_fate, fates.fate)
    fate = ibis.ifelse(fates.fate == FATE_CLEAN, clean_fate, fates.fate)
    return joined.select(fates.key, fate=fate)


def _summarise_inserts(files: list[DayFile]) -> dict[str, Any]:
    days: Counter[str] = Counter()
    nulls: Counter[str] = Counter()
    for file in files:
        days[file.day] += file.rows
        nulls.update(file.nulls)
    columns_with_nulls = [name for name in INTERACTIONS_SCHEMA.names if nulls[name]]
    return {
        "inserted": days.total(),
        "days": dict(sorted(days.items())),
        "nulls": {name: nulls[name] for name in columns_with_nulls},
    }


def mark_window_covered(
    lake: Lake,
    start: datetime,
    end: datetime,
) -> None:
    """Record that the table holds all rows of [start, end), once a backfill has merged its windows.

    The end of the covered window stays: the next run fetches what the source did not have yet.
    """

    def attempt(table: "DeltaTable | None") -> None:
        before = read_covered_window(table)
        if table is None or before is None or start >= before[1]:
            return
        after = extend_window(before, [(start, min(end, before[1]))])
        if after and after != before:
            no_rows = INTERACTIONS_SCHEMA.empty_table()
            transactions = build_window_transactions(after)
            append_rows(
                lake,
                "interactions",
                table,
                no_rows,
                transactions,
                {},
            )

    commit_with_retries(lake, "interactions", attempt)


def _extends_coverage(
    table: "DeltaTable",
    windows: list[TimeWindow],
    arrivals: ArrivalCounts,
) -> bool:
    """Whether the windows change the covered window or the ledger of the table."""
    before = read_covered_window(table)
    after = extend_window(before, windows)
    if after != before:
        return True
    ledger = Ledger.from_commits(table, COMMITS_PER_WEEK)
    return ledger.with_windows(windows, arrivals).restrict_to(after) != ledger


def list_lookup_days(days: list[date], windows: list[TimeWindow]) -> list[date]:
    """List the days in which event ids are looked up."""
    lookup_days = set(days)
    for start, end in windows:
        first = (start - REPLAY_PERIOD).date()
        day_count = (end.date() - first).days + 1
        lookup_days.update(first + timedelta(days=number) for number in range(day_count))
    return sorted(lookup_days)


def add_adjacent_days(days: list[date]) -> list[date]:
    """Add the day before and the day after each day: a double click may cross midnight."""
    adjacent_days = set(days)
    for day in days:
        adjacent_days.add(day - timedelta(days=1))
        adjacent_days.add(day + timedelta(days=1))
    return sorted(adjacent_days)


def build_quarantine_rows(
    rejected_rows: Iterable[tuple[LandedObject, pa.RecordBatch]],
    landed_objects: list[LandedObject],
    as_of: datetime,
) -> pa.Table:
    """Build the rows of the quarantine table from those of read_rejected_rows.

    A row holds the source's row as JSON, the reason, the object and the row number, from 1.
    """
    key_offsets = {}
    for number, landed_object in enumerate(landed_objects):
        key_offsets[landed_object.name] = number * OBJECT_KEY_STRIDE
    batches = []
    for landed_object, batch in rejected_rows:
        columns = {
            "source_row": _format_source_rows(landed_object, batch),
            "reason": batch["fate"],
            "source_object": [landed_object.name] * batch.num_rows,
            "row_number": pc.subtract(batch["key"], key_offsets[landed_object.name]),
            "as_of": [as_of] * batch.num_rows,
        }
        batches.append(pa.RecordBatch.from_pydict(columns, schema=QUARANTINE_SCHEMA))
    return pa.Table.from_batches(batches, schema=QUARANTINE_SCHEMA)


def _format_source_rows(landed_object: LandedObject, batch: pa.RecordBatch) -> list[str]:
    """Format each row of a batch as JSON. The first two columns are key and fate."""
    cells = [column.to_pylist() for column in batch.columns[2:]]
    source_rows = []
    for values in zip(*cells, strict=True):
        row = dict(zip(landed_object.columns, values, strict=True))
        source_rows.append(json.dumps(row, ensure_ascii=False))
    return source_rows


def append_quarantine(
    lake: Lake,
    rejected: pa.Table,
    start: datetime,
) -> int | None:
    """Append rejected rows that no run with an as_of of `start` or later has rejected before.

    Rows without a plausible time come with every window, so they are compared with those of all runs.

    Returns the version of the table; None when there is no table.
    """

    def attempt(table: "DeltaTable | None") -> dict[str, Any]:
        new_rows = rejected
        if table is not None:
            new_rows = _select_new_rejects(lake.scan(table), rejected, start)
        if new_rows.num_rows:
            append_rows(
                lake,
                "quarantine",
                table,
                new_rows,
                {},
                {},
            )
        return {}

    if rejected.num_rows:
        add_missing_columns(lake, "quarantine", QUARANTINE_SCHEMA)
        commit_with_retries(lake, "quarantine", attempt)
    return read_table_version(lake, "quarantine")


def _select_new_rejects(
    quarantine: pads.Dataset,
    rejected: pa.Table,
    start: datetime,
) -> pa.Table:
    is_recent = pc.field("as_of") >= pa.scalar(start, UTC_MICROSECONDS)
    is_timeless = pc.starts_with(pc.field("reason"), TIME_REASON_PREFIX)
    row_and_reason = ["source_row", "reason"]
    stored = quarantine.to_table(columns=row_and_reason, filter=is_recent | is_timeless)
    new_rows = rejected.join(stored, row_and_reason, join_type="left anti")
    order = [("source_object", "ascending"), ("row_number", "ascending")]
    return new_rows.select(QUARANTINE_SCHEMA.names).sort_by(order)


def overwrite_table(
    lake: Lake,
    name: str,
    rows: pa.Table,
) -> None:
    """Replace all rows of a small table."""
    from deltalake import write_deltalake

    def attempt(table: "DeltaTable | None") -> dict[str, Any]:
        target = lake.table_uri(name) if table is None else table
        write_deltalake(target, rows, mode="overwrite")
        return {}

    add_missing_columns(lake, name, rows.schema)
    commit_with_retries(lake, name, attempt)
