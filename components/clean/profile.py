"""The profile of a cleaning run: what each column of the source held, and what became of the rows, day by day.

Fates, reasons and days are counted over all rows. What columns hold is looked up in a sample of blocks that are spread
over the landed objects. No value of a column is told, but the names of unknown events.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.components.clean.duplicates import FATE_CLEAN, FATE_DOUBLE_CLICK, FATE_DUPLICATE
from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.landed_objects import OBJECT_KEY_STRIDE, LandedObject
from dawnlist.rows.coercions import NULL_PATTERN
from dawnlist.rows.column_aliases import INTERACTION_ALIASES, match_interaction_columns
from dawnlist.settings import SourceSettings

CleaningProfile = dict[str, Any]
"""rows_in; clean, duplicates, double_clicks, rejected; reasons (reason -> rows); days (a list of day, None where the
time could not be read, and those five); sampled (rows); columns (a list of source, what the source calls it, column,
the canonical one or None, and of the sample rows, nulls, padded, rejected (reason -> rows) and types (kind -> rows));
unknown_events (name -> rows of the sample)."""

UNKNOWN_EVENT = "event unknown"
"""The reason of rows whose event has no weight."""
PROFILE_SAMPLE_ROWS = 50_000
"""Rows of a run whose columns are looked at, about."""
BLOCKS_PER_OBJECT = 16
"""Of each landed object, of which the sample is made."""

_VALUE_PATTERNS = {
    "null text": rf"(?i)^\s*({NULL_PATTERN})?\s*$",
    "integer": r"^\s*[+-]?\d+\s*$",
    "decimal point": r"^\s*[+-]?(\d+\.\d*|\.\d+)\s*$",
    "decimal comma": r"^\s*[+-]?[\d.]*,\d+\s*$",
    "exponent": r"(?i)^\s*[+-]?\d*\.?\d+e[+-]?\d+\s*$",
    "date": r"^\s*\d{4}[-/]\d\d?[-/]\d\d?\s*$",
    "ISO time with a zone": r"^\s*\d{4}[-/]\d\d?[-/]\d\d?[T ][\d:.,]+ ?(Z|UTC|[+-][\d:]+)\s*$",
    "ISO time without a zone": r"^\s*\d{4}[-/]\d\d?[-/]\d\d?[T ][\d:.,]+\s*$",
    "address": r"(?i)^\s*(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f]*:[0-9a-f:.]*)\s*$",
}
"""How a value looks -> the pattern of it, the first that fits counts; what fits none is text."""
_EPOCHS = (
    (11, "epoch seconds"),
    (14, "epoch milliseconds"),
    (17, "epoch microseconds"),
    (20, "epoch nanoseconds"),
)
_PADDED = r"^\s|\s$|[\x00-\x1f\x7f]"
_FATES = {FATE_CLEAN: "clean", FATE_DUPLICATE: "duplicates", FATE_DOUBLE_CLICK: "double_clicks"}


def profile_landed_rows(
    engine: CleaningEngine,
    landed: list[LandedObject],
    once: TableExpression,
    staged: TableExpression,
    settings: SourceSettings,
) -> CleaningProfile:
    """What the landed rows held, and what became of them; see Profile.

    `once` has key and fate of each row judged by itself, `staged` fate and event_date with repeats told.
    """
    days, reasons = _count_fates_by_day(engine, staged)
    totals = {
        name: sum(day[name] for day in days) for name in ("rows", *_FATES.values(), "rejected")
    }
    columns: dict[tuple[str, str | None], CleaningProfile] = {}
    events: Counter[str] = Counter()
    sampled = 0
    for number, part in enumerate(landed):
        if part.rows:
            wanted = max(1, PROFILE_SAMPLE_ROWS * part.rows // totals["rows"])
            rows = _read_sample(engine, part, number * OBJECT_KEY_STRIDE + 1, once, wanted)
            sampled += rows.num_rows
            _profile_sample(rows, part, settings, columns, events)
    return {
        "rows_in": totals.pop("rows"), **totals, "reasons": reasons, "days": days, "sampled": sampled,
        "columns": list(columns.values()), "unknown_events": dict(sort_by_count(events)[:10]),
    }  # fmt: skip


def sort_by_count(counts: dict[str, int]) -> list[tuple[str, int]]:
    """Name and count, those of one count by name: an engine gives its groups in any order."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _count_fates_by_day(
    engine: CleaningEngine, staged: TableExpression
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    counted = engine.arrow(staged.group_by("event_date", "fate").agg(rows=staged.count()))
    days: dict[str | None, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for row in counted.to_pylist():
        day = row["event_date"].isoformat() if row["event_date"] else None
        name = _FATES.get(row["fate"], "rejected")
        days.setdefault(day, Counter())[name] += row["rows"]
        if name == "rejected":
            reasons[row["fate"]] += row["rows"]
    named = (*_FATES.values(), "rejected")
    table = [
        {"day": day, "rows": days[day].total(), **{name: days[day][name] for name in named}}
        for day in sorted(days, key=str)
    ]
    return table, dict(sort_by_count(reasons))


def _read_sample(
    engine: CleaningEngine, part: LandedObject, first: int, once: TableExpression, wanted: int
) -> pa.Table:
    """fate, and c0, c1, ... as text, of blocks of rows side by side: Parquet need not be read in between."""
    blocks = max(1, min(BLOCKS_PER_OBJECT, wanted // 100))
    starts = [first + part.rows * block // blocks for block in range(blocks)]
    size = max(1, min(wanted, part.rows) // blocks)

    def inside(rows: TableExpression) -> Any:
        return ibis.or_(*(rows.key.between(start, start + size - 1) for start in starts))

    cells = part.cells(engine.connection)
    texts = engine.arrow(cells.filter(inside(cells)).order_by("key"))
    fates = engine.arrow(once.filter(inside(once)).select("key", "fate").order_by("key"))
    return texts.drop_columns(["key"]).append_column("fate", fates["fate"])


def _profile_sample(
    rows: pa.Table, part: LandedObject, settings: SourceSettings, columns: dict[tuple[str, str | None], CleaningProfile],
    events: "Counter[str]",
) -> None:  # fmt: skip
    """Add what the sampled rows of one object hold."""
    canonical = {place: name for name, places in match_interaction_columns(part.columns, settings, part.name).items()
                 for place in places}  # fmt: skip
    for place, source in enumerate(part.columns):
        name = canonical.get(
            place, settings.time_column if source == settings.time_column else None
        )
        entry = columns.setdefault(
            (source, name),
            {
                "source": source,
                "column": name,
                "rows": 0,
                "nulls": 0,
                "padded": 0,
                "rejected": Counter(),
                "types": Counter(),
            },
        )
        cells = rows[f"c{place}"]
        entry["rows"] += rows.num_rows
        entry["nulls"] += cells.null_count
        entry["padded"] += pc.sum(pc.match_substring_regex(cells, _PADDED)).as_py() or 0
        entry["types"].update(
            dict(_classify_values(cells.drop_null(), name in ("event_time", settings.time_column)))
        )
        entry["rejected"].update(_count_column_reasons(rows["fate"], name))
        if name == "event_type":
            unknown = cells.filter(pc.equal(rows["fate"], UNKNOWN_EVENT)).drop_null()
            events.update(
                re.sub(r"[^\x20-\x7e]", "?", str(event))[:40] for event in unknown.to_pylist()
            )


def _classify_values(cells: pa.ChunkedArray, is_time: bool) -> Iterator[tuple[str, int]]:
    for kind, pattern in _VALUE_PATTERNS.items():
        fits = pc.match_substring_regex(cells, pattern)
        found = cells.filter(fits)
        if kind == "integer" and is_time:
            digits = pc.utf8_length(pc.utf8_ltrim(pc.utf8_trim_whitespace(found), "+-"))
            yield from _classify_epochs(digits)
        elif len(found):
            yield kind, len(found)
        cells = cells.filter(pc.invert(fits))
    if len(cells):
        yield "text", len(cells)


def _classify_epochs(digits: pa.ChunkedArray) -> Iterator[tuple[str, int]]:
    lengths = Counter(digits.to_pylist())
    for longest, unit in _EPOCHS:
        if rows := sum(lengths.pop(length) for length in list(lengths) if length <= longest):
            yield unit, rows
    if lengths:
        yield "integer", lengths.total()


def _count_column_reasons(fates: pa.ChunkedArray, name: str | None) -> dict[str, int]:
    """The reasons that are about a column."""
    if name not in INTERACTION_ALIASES:
        return {}
    about = {"event_type": "event ", "event_time": "time "}.get(name, f"{name} ")
    counts = Counter(fates.to_pylist())
    return {reason: rows for reason, rows in counts.items() if reason.startswith(about)}
