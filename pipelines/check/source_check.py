"""Read a small sample of a source, clean it as a run does, and say what becomes of it.

The sample goes through the same fetch and clean code as a run, in a lake in a temporary folder, so
that what the check says is what a run does.
"""

import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.parquet import write_batches
from dawnlist.components.fetch.sources import open_main_source
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.rows.column_aliases import (
    match_columns,
)
from dawnlist.settings import LimitSettings, Settings, SourceSettings
from dawnlist.source_columns import (
    INTERACTION_ALIASES,
    ITEM_ALIASES,
    USER_ALIASES,
)

SAMPLE_ROWS: Final = 1_000
SHOWN_ROWS: Final = 5
"""Clean rows that the report shows."""
MAX_NAMES: Final = 20
"""Event names, reasons and columns that the report lists of each kind."""
NO_LIMITS: Final = LimitSettings(min_rows=2**31)
"""Limits that no sample breaks: the report has the shares themselves."""
_ALIASES: Final = {
    "interactions": INTERACTION_ALIASES,
    "items": ITEM_ALIASES,
    "users": USER_ALIASES,
}


@dataclass(frozen=True)
class ColumnCheck:
    """A column of the source."""

    name: str
    type: str
    """The Arrow type in which it arrives."""
    read_as: list[str]
    """The canonical columns that it is read as; empty if it is not used."""
    example: str | None
    """The first value that is there."""


@dataclass(frozen=True)
class TableCheck:
    """A table of the source, or the files of one kind."""

    rows: int
    """Rows of the sample."""
    columns: list[ColumnCheck]
    rejected: int
    """Rows of the sample that a run would not take."""


@dataclass(frozen=True)
class SourceCheck:
    """What becomes of a sample of a source."""

    time_index: str
    """Whether windows are found by an index."""
    interactions: TableCheck
    items: TableCheck | None
    users: TableCheck | None
    events: dict[str, int]
    """The source's names of events, and how many rows of the sample have each."""
    reasons: dict[str, int]
    """Why rows are rejected, and how many."""
    clean_rows: list[dict[str, Any]]
    """The first rows as they are in the lake after a run."""

    def as_dict(self) -> dict[str, Any]:
        """Return the check as JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return plain


def check_source(url: str, settings: Settings, rows: int = SAMPLE_ROWS) -> SourceCheck:
    """Check a source by a sample of its rows.

    Raises:
        ValueError: A column is missing that every event needs, or the source can't be read.
        ConnectionError, FileNotFoundError, OSError: The source can't be reached.
    """
    source = open_main_source(url, settings.source)
    source.check_columns()
    time_index = source.describe_time_index()
    with tempfile.TemporaryDirectory(prefix="check-") as folder:
        lake = Lake.open(folder, "check")
        files: dict[str, Path | None] = {}
        for table in _ALIASES:
            batches = source.read_sample(table, rows)
            files[table] = None
            if batches is not None:
                files[table] = Path(folder) / "check" / "landing" / table / "sample.parquet"
                _write_sample(batches, files[table])
        report = _clean_sample(lake, files, settings)
        tables: dict[str, TableCheck | None] = {}
        for table, file in files.items():
            tables[table] = None
            if file is not None:
                rejected = report["quarantined"]
                if table != "interactions":
                    rejected = report[table]["rejected"]
                tables[table] = _check_table(table, file, settings, rejected)
        clean_rows = _read_clean_rows(lake)
        events = _count_events(files["interactions"], settings.source)
    interactions = tables["interactions"]
    assert interactions is not None  # a source without interactions can't be opened
    reasons = dict(Counter(report["reasons"]).most_common(MAX_NAMES))
    return SourceCheck(
        time_index, interactions, tables["items"], tables["users"], events, reasons, clean_rows
    )


def _write_sample(batches: Any, path: Path | None) -> None:
    assert path is not None
    path.parent.mkdir(parents=True)
    write_batches(batches, path, {})


def _clean_sample(lake: Lake, files: dict[str, Path | None], settings: Settings) -> dict[str, Any]:
    """Clean the sample as a run does, but break no limit, and return the clean step's report."""
    now = datetime.now(UTC)
    window = [format_iso(now - timedelta(days=1)), format_iso(now)]
    landed: dict[str, Any] = {"windows": [window], "arrivals": {}}
    for table, file in files.items():
        landed[table] = None
        if file is not None:
            landed[table] = f"landing/{table}/{file.name}"
    landed["interactions"] = [landed["interactions"]]
    relaxed = settings.model_copy(update={"limits": NO_LIMITS})
    return clean_landed_objects(lake, landed, relaxed, now, "check")


def _check_table(table: str, file: Path, settings: Settings, rejected: int) -> TableCheck:
    rows = pq.read_table(file)
    aliases = dict(_ALIASES[table])
    if table == "items":
        aliases |= {name: (name,) for name in settings.items.columns}
    if table == "interactions":
        aliases["the time of arrival"] = (settings.source.time_column,)
    matches = match_columns(rows.column_names, aliases, settings.source.columns)
    columns = []
    for index, name in enumerate(rows.column_names):
        read_as = [canonical for canonical, positions in matches.items() if index in positions]
        column = rows.column(index)
        columns.append(ColumnCheck(name, str(column.type), read_as, _find_example(column)))
    return TableCheck(rows.num_rows, columns, rejected)


def _find_example(column: pa.ChunkedArray) -> str | None:
    """Return the first value that is there, as text."""
    for value in column.drop_null().slice(0, 1).to_pylist():
        return str(value)
    return None


def _count_events(file: Path | None, settings: SourceSettings) -> dict[str, int]:
    """Count the source's names of events, the most frequent first."""
    rows = pq.read_table(file)
    matches = match_columns(rows.column_names, INTERACTION_ALIASES, settings.columns)
    counts: Counter[str] = Counter()
    for index in matches.get("event_type", [])[:1]:
        counts.update(str(name) for name in rows.column(index).drop_null().to_pylist())
    return dict(counts.most_common(MAX_NAMES))


def _read_clean_rows(lake: Lake) -> list[dict[str, Any]]:
    """Read the first rows of the cleaned sample, without what every row has alike."""
    table = lake.rows("interactions")
    if table is None:
        return []
    names = ["event_id", "user_id", "item_id", "event_type", "weight", "event_time", "session_id"]
    clean_rows: list[dict[str, Any]] = table.head(SHOWN_ROWS, columns=names).to_pylist()
    return clean_rows
