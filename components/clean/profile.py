"""Profile a cleaning run: what the source's columns held, and what became of the rows.

Fates, reasons and days are counted over all rows. The columns are looked at in a sample: blocks of
rows that are spread over the landed objects. The profile shows no values of the columns, except for
the names of unknown events.
"""

import re
from collections import Counter
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.fates import (
    FATE_CLEAN,
    FATE_DOUBLE_CLICK,
    FATE_DUPLICATE,
    UNKNOWN_EVENT,
)
from dawnlist.components.clean.landed_objects import OBJECT_KEY_STRIDE, LandedObject
from dawnlist.components.clean.value_kinds import count_value_kinds
from dawnlist.rows.column_aliases import INTERACTION_ALIASES, match_interaction_columns
from dawnlist.settings import SourceSettings

CleaningProfile = dict[str, Any]
"""The profile as it is written to the run record.

rows_in, clean, duplicates, double_clicks, rejected: numbers of rows.
reasons: reason for a rejection -> rows.
days: a list of day (ISO date, None for rows without a readable time), rows, and the four counts.
sampled: the number of rows that were looked at for `columns` and `unknown_events`.
columns: a list of source (the source's name), column (the canonical name or None), rows, nulls,
    padded, rejected (reason -> rows) and types (kind of value -> rows).
unknown_events: name of an event without a weight -> rows.
"""

PROFILE_SAMPLE_ROWS = 50_000
"""About how many rows of a run are sampled."""
BLOCKS_PER_OBJECT = 16
"""The most blocks that the sample of one landed object consists of."""

_UNKNOWN_EVENTS_SHOWN = 10
_PADDED = r"^\s|\s$|[\x00-\x1f\x7f]"
_FATES = {FATE_CLEAN: "clean", FATE_DUPLICATE: "duplicates", FATE_DOUBLE_CLICK: "double_clicks"}
_COUNTS = (*_FATES.values(), "rejected")


def profile_landed_rows(
    engine: CleaningEngine,
    landed_objects: list[LandedObject],
    validated_rows: TableExpression,
    fates: TableExpression,
    settings: SourceSettings,
) -> CleaningProfile:
    """Count fates and reasons over all rows, and look at the columns in a sample.

    `validated_rows` are the rows of validate_rows, `fates` those of mark_repeats.
    """
    days, reasons = _count_fates_by_day(engine, fates)
    rows_in = _sum_days(days, "rows")
    totals = {name: _sum_days(days, name) for name in _COUNTS}
    sample = _ProfileSample(settings)
    for number, landed_object in enumerate(landed_objects):
        if landed_object.rows:
            sample_size = max(1, PROFILE_SAMPLE_ROWS * landed_object.rows // rows_in)
            first_key = number * OBJECT_KEY_STRIDE + 1
            rows = _read_sample(engine, landed_object, first_key, validated_rows, sample_size)
            sample.add_rows(rows, landed_object)
    unknown_events = sort_by_count(sample.unknown_events)
    return {
        "rows_in": rows_in,
        **totals,
        "reasons": reasons,
        "days": days,
        "sampled": sample.row_count,
        "columns": list(sample.columns.values()),
        "unknown_events": dict(unknown_events[:_UNKNOWN_EVENTS_SHOWN]),
    }


def sort_by_count(counts: dict[str, int]) -> list[tuple[str, int]]:
    """Sort names by falling count, then by name: an engine returns its groups in any order."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _count_fates_by_day(
    engine: CleaningEngine, fates: TableExpression
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the profile's `days` and `reasons`."""
    counted = engine.to_arrow(fates.group_by("event_date", "fate").agg(rows=fates.count()))
    counts_by_day: dict[str | None, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for row in counted.to_pylist():
        day = row["event_date"].isoformat() if row["event_date"] else None
        name = _FATES.get(row["fate"], "rejected")
        counts_by_day.setdefault(day, Counter())[name] += row["rows"]
        if name == "rejected":
            reasons[row["fate"]] += row["rows"]
    days = []
    for day in sorted(counts_by_day, key=str):
        counts = counts_by_day[day]
        entry: dict[str, Any] = {"day": day, "rows": counts.total()}
        for name in _COUNTS:
            entry[name] = counts[name]
        days.append(entry)
    return days, dict(sort_by_count(reasons))


def _sum_days(days: list[dict[str, Any]], name: str) -> int:
    return sum(day[name] for day in days)


def _read_sample(
    engine: CleaningEngine,
    landed_object: LandedObject,
    first_key: int,
    validated_rows: TableExpression,
    sample_size: int,
) -> pa.Table:
    """Read a sample of one landed object: its columns c0, c1, ... as text, and fate.

    The sample consists of blocks of consecutive rows, so that Parquet is not read between them.
    """
    block_count = max(1, min(BLOCKS_PER_OBJECT, sample_size // 100))
    rows = landed_object.rows
    starts = [first_key + rows * block // block_count for block in range(block_count)]
    block_rows = max(1, min(sample_size, rows) // block_count)

    def is_in_block(table: TableExpression) -> Any:
        conditions = [table.key.between(start, start + block_rows - 1) for start in starts]
        return ibis.or_(*conditions)

    raw = landed_object.select_as_text(engine.connection)
    texts = engine.to_arrow(raw.filter(is_in_block(raw)).order_by("key"))
    sampled_fates = validated_rows.filter(is_in_block(validated_rows)).select("key", "fate")
    fates = engine.to_arrow(sampled_fates.order_by("key"))
    return texts.drop_columns(["key"]).append_column("fate", fates["fate"])


class _ProfileSample:
    """Counts over the sampled rows of all landed objects."""

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings
        self.row_count = 0
        self.columns: dict[tuple[str, str | None], CleaningProfile] = {}
        """(the source's name of a column, the canonical one) -> its entry in the profile."""
        self.unknown_events: Counter[str] = Counter()

    def add_rows(self, rows: pa.Table, landed_object: LandedObject) -> None:
        """Count the sampled rows of one landed object, as _read_sample returns them."""
        self.row_count += rows.num_rows
        canonical_names = self._match_names(landed_object)
        for index, source_name in enumerate(landed_object.columns):
            name = canonical_names.get(index)
            if name is None and source_name == self.settings.time_column:
                name = self.settings.time_column
            self._add_column(rows[f"c{index}"], rows["fate"], source_name, name)

    def _match_names(self, landed_object: LandedObject) -> dict[int, str]:
        """Number of a column -> its canonical name."""
        columns, label = landed_object.columns, landed_object.name
        canonical_names = {}
        for name, indices in match_interaction_columns(columns, self.settings, label).items():
            canonical_names.update(dict.fromkeys(indices, name))
        return canonical_names

    def _add_column(
        self,
        cells: pa.ChunkedArray,
        fates: pa.ChunkedArray,
        source_name: str,
        name: str | None,
    ) -> None:
        entry = self.columns.setdefault((source_name, name), _build_entry(source_name, name))
        is_time = name in ("event_time", self.settings.time_column)
        padded = pc.sum(pc.match_substring_regex(cells, _PADDED)).as_py()
        entry["rows"] += len(cells)
        entry["nulls"] += cells.null_count
        entry["padded"] += padded or 0
        entry["types"].update(count_value_kinds(cells.drop_null(), is_time))
        entry["rejected"].update(_count_column_reasons(fates, name))
        if name == "event_type":
            unknown_events = cells.filter(pc.equal(fates, UNKNOWN_EVENT)).drop_null()
            self.unknown_events.update(map(_mask_event_name, unknown_events.to_pylist()))


def _build_entry(source_name: str, name: str | None) -> CleaningProfile:
    """Build the profile's entry of a column that no row was counted for yet."""
    return {
        "source": source_name,
        "column": name,
        "rows": 0,
        "nulls": 0,
        "padded": 0,
        "rejected": Counter(),
        "types": Counter(),
    }


def _mask_event_name(event: str) -> str:
    """Shorten the name of an event and keep only printable ASCII."""
    return re.sub(r"[^\x20-\x7e]", "?", str(event))[:40]


def _count_column_reasons(fates: pa.ChunkedArray, name: str | None) -> dict[str, int]:
    """Count the reasons for rejections that are about one column."""
    if name not in INTERACTION_ALIASES:
        return {}
    short_names = {"event_type": "event", "event_time": "time"}
    prefix = f"{short_names.get(name, name)} "
    counts = Counter(fates.to_pylist())
    return {reason: rows for reason, rows in counts.items() if reason.startswith(prefix)}
