"""Profile a cleaning run: what the source's columns held, and what became of the rows.

Fates, reasons and days are counted over all rows. The columns are looked at in a sample: blocks of
rows that are spread over the landed objects. The profile shows no values of the columns, except for
the names of unknown events.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.fates import (
    FATE_CLEAN,
    FATE_DOUBLE_CLICK,
    FATE_DUPLICATE,
    TIME_REASON_PREFIX,
    UNKNOWN_EVENT,
)
from dawnlist.components.clean.landed_objects import OBJECT_KEY_STRIDE, LandedObject
from dawnlist.components.clean.unknown_events import count_unknown_events
from dawnlist.components.clean.value_kinds import count_value_kinds
from dawnlist.rows.column_aliases import (
    match_interaction_columns,
)
from dawnlist.settings import SourceSettings
from dawnlist.source_columns import (
    INTERACTION_ALIASES,
)

PROFILE_SAMPLE_ROWS = 50_000
"""About how many rows of a run are sampled."""
BLOCKS_PER_OBJECT = 16
"""The most blocks that the sample of one landed object consists of."""

_PADDED = r"^\s|\s$|[\x00-\x1f\x7f]"
_FATES = {FATE_CLEAN: "clean", FATE_DUPLICATE: "duplicates", FATE_DOUBLE_CLICK: "double_clicks"}


@dataclass(frozen=True)
class DayCounts:
    """What became of the rows of one day."""

    day: str | None
    """The ISO date; None for rows without a readable time."""
    rows: int
    """The sum of the four counts."""
    clean: int
    """Rows that are taken into the interactions."""
    duplicates: int
    """Rows that came before."""
    double_clicks: int
    """Repeats within moments."""
    rejected: int
    """Rows that go to quarantine."""


@dataclass(frozen=True)
class ColumnProfile:
    """What the sampled rows hold in one column."""

    source: str
    """The source's name of the column."""
    column: str | None
    """The canonical name; None for a column that is not read."""
    rows: int = 0
    """The number of sampled rows."""
    nulls: int = 0
    """Rows without a value."""
    padded: int = 0
    """Rows whose value has space around it, or control characters."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Reason for a rejection that is about this column -> rows."""
    types: dict[str, int] = field(default_factory=dict)
    """Kind of value -> rows."""


@dataclass(frozen=True)
class DayVolume:
    """The clean rows of the last 24 hours beside the same weekday in earlier weeks."""

    day: str
    """The ISO date that the middle of the 24 hours falls on."""
    rows: int
    """The clean rows of the 24 hours."""
    usual: float
    """The median of the compared days."""
    days: int
    """The number of compared days that had rows."""


@dataclass(frozen=True)
class CleaningProfile:
    """The profile as it is written to the run record."""

    rows_in: int
    """The number of landed rows."""
    clean: int
    """Rows that are taken into the interactions."""
    duplicates: int
    """Rows that came before."""
    double_clicks: int
    """Repeats within moments."""
    rejected: int
    """Rows that go to quarantine."""
    reasons: dict[str, int]
    """Reason for a rejection -> rows, the most frequent first."""
    days: list[DayCounts]
    """The counts of each day, the oldest first."""
    sampled: int
    """The number of rows that were looked at for `columns`."""
    columns: list[ColumnProfile]
    """The columns of the landed objects."""
    unknown_events: dict[str, int]
    """Name of an event without a weight -> rows; the names of most rows, the most frequent first."""
    rows_of_no_window: int = 0
    """Rejected rows of files that come with every window, as their time is in none."""
    reused_ids: int = 0
    """Rows whose event id belongs to an event of another user, item or type."""
    rows_with_id: int = 0
    """If there are such rows: all that have an event id and are not rejected."""
    event_ids: int = 0
    """If there are such rows: how many event ids the rows with one have."""
    volume: DayVolume | None = None
    """The volume of the last 24 hours, if it was measured."""


def profile_landed_rows(
    engine: CleaningEngine,
    landed_objects: list[LandedObject],
    texts: TableExpression,
    validated_rows: TableExpression,
    fates: TableExpression,
    settings: SourceSettings,
) -> CleaningProfile:
    """Count fates, reasons and unknown events over all rows, and look at the columns in a sample.

    `texts` is the view of create_text_view, `validated_rows` are the rows of validate_rows, and
    `fates` those of mark_repeats.
    """
    days, reasons = _count_fates_by_day(engine, fates)
    rows_in = sum(day.rows for day in days)
    sample = _ProfileSample(settings)
    for number, landed_object in enumerate(landed_objects):
        if landed_object.rows:
            sample_size = max(1, PROFILE_SAMPLE_ROWS * landed_object.rows // rows_in)
            first_key = number * OBJECT_KEY_STRIDE + 1
            rows = _read_sample(engine, landed_object, first_key, validated_rows, sample_size)
            sample.add_rows(rows, landed_object)
    rows_of_no_window = 0
    if all(landed_object.is_cut_by_event_time for landed_object in landed_objects):
        for reason, count in reasons.items():
            if reason.startswith(TIME_REASON_PREFIX):
                rows_of_no_window += count
    unknown_events = {}
    if UNKNOWN_EVENT in reasons:
        unknown_events = count_unknown_events(engine, texts, fates, settings)
    return CleaningProfile(
        rows_in=rows_in,
        clean=sum(day.clean for day in days),
        duplicates=sum(day.duplicates for day in days),
        double_clicks=sum(day.double_clicks for day in days),
        rejected=sum(day.rejected for day in days),
        reasons=reasons,
        days=days,
        sampled=sample.row_count,
        columns=list(sample.columns.values()),
        unknown_events=unknown_events,
        rows_of_no_window=rows_of_no_window,
    )


def sort_by_count(counts: dict[str, int]) -> list[tuple[str, int]]:
    """Sort names by falling count, then by name: an engine returns its groups in any order."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _count_fates_by_day(
    engine: CleaningEngine, fates: TableExpression
) -> tuple[list[DayCounts], dict[str, int]]:
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
        days.append(_build_day_counts(day, counts_by_day[day]))
    return days, dict(sort_by_count(reasons))


def _build_day_counts(day: str | None, counts: "Counter[str]") -> DayCounts:
    return DayCounts(
        day=day,
        rows=counts.total(),
        clean=counts["clean"],
        duplicates=counts["duplicates"],
        double_clicks=counts["double_clicks"],
        rejected=counts["rejected"],
    )


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
        self.columns: dict[tuple[str, str | None], ColumnProfile] = {}
        """(the source's name of a column, the canonical one) -> its profile."""

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
        key = source_name, name
        before = self.columns.get(key) or ColumnProfile(source_name, name)
        is_time = name in ("event_time", self.settings.time_column)
        padded = pc.sum(pc.match_substring_regex(cells, _PADDED)).as_py()
        self.columns[key] = replace(
            before,
            rows=before.rows + len(cells),
            nulls=before.nulls + cells.null_count,
            padded=before.padded + (padded or 0),
            rejected=_add_counts(before.rejected, _count_column_reasons(fates, name)),
            types=_add_counts(before.types, count_value_kinds(cells.drop_null(), is_time)),
        )


def _add_counts(before: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    """Return the sums by name; the names keep the order in which they came first."""
    total = Counter(before)
    total.update(more)
    return dict(total)


def _count_column_reasons(fates: pa.ChunkedArray, name: str | None) -> dict[str, int]:
    """Count the reasons for rejections that are about one column."""
    if name not in INTERACTION_ALIASES:
        return {}
    short_names = {"event_type": "event", "event_time": "time"}
    prefix = f"{short_names.get(name, name)} "
    counts = Counter(fates.to_pylist())
    return {reason: rows for reason, rows in counts.items() if reason.startswith(prefix)}
