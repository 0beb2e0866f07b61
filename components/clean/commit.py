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

from dawnlist.components.clean.engine import Engine, Rows
from dawnlist.components.clean.interactions import TIMELESS, clean_rows
from dawnlist.components.clean.landed import OBJECT, Landed
from dawnlist.components.clean.repeats import CLEAN, digest
from dawnlist.lake.commits import DayFile, add_files, append, committed, version
from dawnlist.lake.evolution import evolve
from dawnlist.lake.lake import Lake
from dawnlist.lake.ledger import RECENT, Arrivals, Ledger, metadata
from dawnlist.lake.watermark import Window, extended, held, transactions
from dawnlist.schema import INTERACTIONS, QUARANTINE, UTC_MICROSECONDS
from dawnlist.settings import SourceSettings

if TYPE_CHECKING:
    from deltalake import DeltaTable

REPLAY = timedelta(days=7)
"""An event that comes again is known by its id for so long, even with another time."""


def merge_interactions(
    lake: Lake, engine: Engine, rows: Rows, staged: Rows, days: list[date], settings: SourceSettings,
    windows: list[Window], arrivals: Arrivals,
) -> dict[str, Any]:  # fmt: skip
    """Insert the clean rows of `texts` (`rows`) whose event ids the lake does not have, in the days they belong to.

    It looks in the `days` that the rows touch, in those of the windows, and in the REPLAY before: a queue that is
    replayed may give an event another time.

    Returns inserted, days (ISO date -> rows inserted), nulls (column -> how many inserted rows have none),
    interactions_version. Harmless when repeated: with nothing to insert, and nothing new about the time that the table
    holds or the ledger, there is no commit.
    """
    looked_in = _looked_in(days, windows)

    def attempt(table: "DeltaTable | None") -> dict[str, Any]:
        new, stored = staged, engine.stored(lake, "interactions", table, looked_in)
        if stored is not None:
            new = _without_known(staged, engine.keep("known", stored.select(identity=digest(stored.event_id))))
        files = engine.write(lake, "interactions", clean_rows(rows, new, settings), INTERACTIONS)
        if files or table is None or _says_more(table, windows, arrivals):
            after = extended(held(table), windows)
            marks = transactions(after) if after else {}
            add_files(lake, "interactions", table, files, INTERACTIONS, marks, metadata(windows, arrivals))
        return _inserted(files)

    evolve(lake, "interactions", INTERACTIONS)
    report = committed(lake, "interactions", attempt)
    return report | {"interactions_version": version(lake, "interactions")}


def _without_known(staged: Rows, known: Rows) -> Rows:
    """The same fates, but for clean rows that the lake has already."""
    there = staged.semi_join(known, "identity").select("key", there=ibis.literal("known"))
    joined = staged.left_join(there, "key")
    fate = ibis.ifelse(staged.fate == CLEAN, ibis.coalesce(there.there, staged.fate), staged.fate)
    return joined.select(staged.key, fate=fate)


def _inserted(files: list[DayFile]) -> dict[str, Any]:
    days: Counter[str] = Counter()
    nulls: Counter[str] = Counter()
    for file in files:
        days[file.day] += file.rows
        nulls.update(file.nulls)
    shown = {name: nulls[name] for name in INTERACTIONS.names if nulls[name]}
    return {"inserted": days.total(), "days": dict(sorted(days.items())), "nulls": shown}


def mark_held(lake: Lake, start: datetime, end: datetime) -> None:
    """Say that the table holds [start, end) whole: what a backfill does once each window of that time was merged.

    The end of what is held stays: what a source did not have yet is for the next run to fetch.
    """

    def attempt(table: "DeltaTable | None") -> None:
        known = held(table)
        after = extended(known, [(start, min(end, known[1]))]) if known and start < known[1] else known
        if table is not None and after and after != known:
            append(lake, "interactions", table, INTERACTIONS.empty_table(), transactions(after), {})

    committed(lake, "interactions", attempt)


def _says_more(table: "DeltaTable", windows: list[Window], arrivals: Arrivals) -> bool:
    before, after = held(table), extended(held(table), windows)
    ledger = Ledger.of(table, RECENT)
    return after != before or ledger.after(windows, arrivals).within(after) != ledger


def _looked_in(days: list[date], windows: list[Window]) -> list[date]:
    """The days in which to look for event ids."""
    looked_in = set(days)
    for start, end in windows:
        first = (start - REPLAY).date()
        looked_in |= {first + timedelta(days=number) for number in range((end.date() - first).days + 1)}
    return sorted(looked_in)


def beside(days: list[date]) -> list[date]:
    """The days and those beside them: a double click may reach over midnight."""
    return sorted({day + timedelta(days=number) for day in days for number in (-1, 0, 1)})


def rejected_rows(rows: Iterable[tuple[Landed, pa.RecordBatch]], parts: list[Landed], as_of: datetime) -> pa.Table:
    """The rows as the quarantine holds them: as JSON, with the reason, the object and the row number (from 1)."""
    first = {part.name: number * OBJECT for number, part in enumerate(parts)}
    batches = []
    for part, batch in rows:
        cells = zip(*(column.to_pylist() for column in batch.columns[2:]), strict=True)
        sources = [json.dumps(dict(zip(part.columns, row, strict=True)), ensure_ascii=False) for row in cells]
        columns = {
            "source_row": sources,
            "reason": batch["fate"],
            "source_object": [part.name] * batch.num_rows,
            "row_number": pc.subtract(batch["key"], first[part.name]),
            "as_of": [as_of] * batch.num_rows,
        }
        batches.append(pa.RecordBatch.from_pydict(columns, schema=QUARANTINE))
    return pa.Table.from_batches(batches, schema=QUARANTINE)


def append_quarantine(lake: Lake, rejected: pa.Table, start: datetime) -> int | None:
    """Append rejected rows of windows from `start` on, but none that an earlier run of that time rejected already.

    Returns the version of the table, if there is one.
    """

    def attempt(table: "DeltaTable | None") -> dict[str, Any]:
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
    from deltalake import write_deltalake

    def attempt(table: "DeltaTable | None") -> dict[str, Any]:
        write_deltalake(lake.table_uri(name) if table is None else table, rows, mode="overwrite")
        return {}

    evolve(lake, name, rows.schema)
    committed(lake, name, attempt)
