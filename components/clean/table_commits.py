"""Clean rows into the lake's Delta tables: each event and each rejected row once, in one commit or not at all."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from dawnlist.components.clean.duplicates import FATE_CLEAN, hash_event_id
from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.interactions import TIMELESS_REASONS, select_clean_rows
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
from dawnlist.settings import SourceSettings

if TYPE_CHECKING:
    from deltalake import DeltaTable

REPLAY_PERIOD = timedelta(days=7)
"""An event that comes again is known by its id for so long, even with another time."""


def merge_interactions(
    lake: Lake, engine: CleaningEngine, rows: TableExpression, staged: TableExpression, days: list[date], settings: SourceSettings,
    windows: list[TimeWindow], arrivals: ArrivalCounts,
) -> dict[str, Any]:  # fmt: skip
    """Insert the clean rows of `texts` (`rows`) whose event ids the lake does not have, in the days they belong to.

    It looks in the `days` that the rows touch, in those of the windows, and in the REPLAY before: a queue that is
    replayed may give an event another time.

    Returns inserted, days (ISO date -> rows inserted), nulls (column -> how many inserted rows have none),
    interactions_version. Harmless when repeated: with nothing to insert, and nothing new about the time that the table
    holds or the ledger, there is no commit.
    """
    looked_in = _list_lookup_days(days, windows)

    def attempt(table: "DeltaTable | None") -> dict[str, Any]:
        new, stored = staged, engine.stored(lake, "interactions", table, looked_in)
        if stored is not None:
            new = _mark_stored_events(
                staged, engine.keep("known", stored.select(identity=hash_event_id(stored.event_id)))
            )
        files = engine.write(
            lake, "interactions", select_clean_rows(rows, new, settings), INTERACTIONS_SCHEMA
        )
        if files or table is None or _extends_coverage(table, windows, arrivals):
            after = extend_window(read_covered_window(table), windows)
            marks = build_window_transactions(after) if after else {}
            add_files(
                lake,
                "interactions",
                table,
                files,
                INTERACTIONS_SCHEMA,
                marks,
                build_ledger_metadata(windows, arrivals),
            )
        return _summarise_inserts(files)

    add_missing_columns(lake, "interactions", INTERACTIONS_SCHEMA)
    report = commit_with_retries(lake, "interactions", attempt)
    return report | {"interactions_version": read_table_version(lake, "interactions")}


def _mark_stored_events(staged: TableExpression, known: TableExpression) -> TableExpression:
    """The same fates, but for clean rows that the lake has already."""
    there = staged.semi_join(known, "identity").select("key", there=ibis.literal("known"))
    joined = staged.left_join(there, "key")
    fate = ibis.ifelse(
        staged.fate == FATE_CLEAN, ibis.coalesce(there.there, staged.fate), staged.fate
    )
    return joined.select(staged.key, fate=fate)


def _summarise_inserts(files: list[DayFile]) -> dict[str, Any]:
    days: Counter[str] = Counter()
    nulls: Counter[str] = Counter()
    for file in files:
        days[file.day] += file.rows
        nulls.update(file.nulls)
    shown = {name: nulls[name] for name in INTERACTIONS_SCHEMA.names if nulls[name]}
    return {"inserted": days.total(), "days": dict(sorted(days.items())), "nulls": shown}


def mark_window_covered(lake: Lake, start: datetime, end: datetime) -> None:
    """Say that the table holds [start, end) whole: what a backfill does once each window of that time was merged.

    The end of what is held stays: what a source did not have yet is for the next run to fetch.
    """

    def attempt(table: "DeltaTable | None") -> None:
        known = read_covered_window(table)
        after = (
            extend_window(known, [(start, min(end, known[1]))])
            if known and start < known[1]
            else known
        )
        if table is not None and after and after != known:
            append_rows(
                lake,
                "interactions",
                table,
                INTERACTIONS_SCHEMA.empty_table(),
                build_window_transactions(after),
                {},
            )

    commit_with_retries(lake, "interactions", attempt)


def _extends_coverage(
    table: "DeltaTable", windows: list[TimeWindow], arrivals: ArrivalCounts
) -> bool:
    before, after = read_covered_window(table), extend_window(read_covered_window(table), windows)
    ledger = Ledger.from_commits(table, COMMITS_PER_WEEK)
    return after != before or ledger.with_windows(windows, arrivals).restrict_to(after) != ledger


def _list_lookup_days(days: list[date], windows: list[TimeWindow]) -> list[date]:
    """The days in which to look for event ids."""
    looked_in = set(days)
    for start, end in windows:
        first = (start - REPLAY_PERIOD).date()
        looked_in |= {
            first + timedelta(days=number) for number in range((end.date() - first).days + 1)
        }
    return sorted(looked_in)


def add_adjacent_days(days: list[date]) -> list[date]:
    """The days and those beside them: a double click may reach over midnight."""
    return sorted({day + timedelta(days=number) for day in days for number in (-1, 0, 1)})


def build_quarantine_rows(
    rows: Iterable[tuple[LandedObject, pa.RecordBatch]], parts: list[LandedObject], as_of: datetime
) -> pa.Table:
    """The rows as the quarantine holds them: as JSON, with the reason, the object and the row number (from 1)."""
    first = {part.name: number * OBJECT_KEY_STRIDE for number, part in enumerate(parts)}
    batches = []
    for part, batch in rows:
        cells = zip(*(column.to_pylist() for column in batch.columns[2:]), strict=True)
        sources = [
            json.dumps(dict(zip(part.columns, row, strict=True)), ensure_ascii=False)
            for row in cells
        ]
        columns = {
            "source_row": sources,
            "reason": batch["fate"],
            "source_object": [part.name] * batch.num_rows,
            "row_number": pc.subtract(batch["key"], first[part.name]),
            "as_of": [as_of] * batch.num_rows,
        }
        batches.append(pa.RecordBatch.from_pydict(columns, schema=QUARANTINE_SCHEMA))
    return pa.Table.from_batches(batches, schema=QUARANTINE_SCHEMA)


def append_quarantine(lake: Lake, rejected: pa.Table, start: datetime) -> int | None:
    """Append rejected rows of windows from `start` on, but none that an earlier run of that time rejected already.

    Returns the version of the table, if there is one.
    """

    def attempt(table: "DeltaTable | None") -> dict[str, Any]:
        new = rejected if table is None else _select_new_rejects(lake.scan(table), rejected, start)
        if new.num_rows:
            append_rows(lake, "quarantine", table, new, {}, {})
        return {}

    if rejected.num_rows:
        add_missing_columns(lake, "quarantine", QUARANTINE_SCHEMA)
        commit_with_retries(lake, "quarantine", attempt)
    return read_table_version(lake, "quarantine")


def _select_new_rejects(quarantine: pads.Dataset, rejected: pa.Table, start: datetime) -> pa.Table:
    again = (pc.field("as_of") >= pa.scalar(start, UTC_MICROSECONDS)) | pc.field("reason").isin(
        TIMELESS_REASONS
    )
    known = quarantine.to_table(columns=["source_row", "reason"], filter=again)
    new = rejected.join(known, ["source_row", "reason"], join_type="left anti")
    return new.select(QUARANTINE_SCHEMA.names).sort_by(
        [("source_object", "ascending"), ("row_number", "ascending")]
    )


def overwrite_table(lake: Lake, name: str, rows: pa.Table) -> None:
    """Replace a small table whole."""
    from deltalake import write_deltalake

    def attempt(table: "DeltaTable | None") -> dict[str, Any]:
        write_deltalake(lake.table_uri(name) if table is None else table, rows, mode="overwrite")
        return {}

    add_missing_columns(lake, name, rows.schema)
    commit_with_retries(lake, name, attempt)
