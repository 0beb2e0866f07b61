"""One window of a source into immutable landing objects."""

import itertools
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.cuts import iso, parse_as_of, stamp
from components.fetch.sources import Source, open_source
from components.lake import Lake
from components.settings import SourceSettings

WATERMARK = "watermark"
DAY = timedelta(hours=24)


def fetch(lake: Lake, source: str, settings: SourceSettings, as_of: str, run: str, window_days: int) -> dict[str, Any]:
    """Land the rows that arrived since the last fetch, and the items and users whole.

    Returns what `clean` reads: `interactions`, `items` and `users` (names of landing objects, or None), `window`
    (ISO texts), `rows`, by object. ValueError when a first fetch finds nothing.
    """
    if not 1 <= window_days <= 3660:
        raise ValueError(f"window_days is {window_days}: give 1 to 3660, the days of history of a first fetch")
    end = parse_as_of(as_of)
    start, first = window(lake, end, window_days)
    opened = open_source(source, settings)
    name = f"landing/interactions/{stamp(start)}_{stamp(end)}/{run}.parquet"
    rows = land(lake, opened.interactions(start, end), name, {"window_start": iso(start), "window_end": iso(end)})
    if first and not rows:
        raise ValueError(_nothing(opened, start, end))
    landed: dict[str, Any] = {"interactions": [name], "window": [iso(start), iso(end)], "rows": {"interactions": rows}}
    for table in ("items", "users"):
        batches = opened.whole(table)
        landed[table] = None if batches is None else f"landing/{table}/{stamp(end)}/{run}.parquet"
        if batches is not None:
            landed["rows"][table] = land(lake, batches, landed[table], {"as_of": iso(end)})
    return landed


def window(lake: Lake, end: datetime, window_days: int) -> tuple[datetime, bool]:
    """The start of this run's window, and whether this is the lake's first.

    It goes on from the end of the last committed one, however long ago that was, so that a missed night leaves no
    gap. A run not newer than that fetches its own 24 hours again; rows that are already there are recognised.
    """
    table = lake.table("interactions")
    watermark = None if table is None else table.transaction_version(WATERMARK)
    if watermark is None:
        return end - timedelta(days=window_days), True
    reached = datetime.fromtimestamp(watermark, UTC)
    return (reached if reached < end else end - DAY), False


def land(lake: Lake, batches: Iterator[pa.RecordBatch], name: str, about: dict[str, str]) -> int:
    """Write batches as one Parquet object, whole or not at all; an object that is there stays. Returns its rows."""
    path = lake.path(*name.split("/"))
    if lake.exists(*name.split("/")):
        return int(pq.ParquetFile(path, filesystem=lake.filesystem).metadata.num_rows)
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "landing.parquet"
        rows = _write(batches, staged, about)
        lake.upload(staged, *name.split("/"))
    return rows


def _write(batches: Iterator[pa.RecordBatch], path: Path, about: dict[str, str]) -> int:
    first = next(batches)
    schema = first.schema.with_metadata(about)
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in itertools.chain([first], batches):
            writer.write_batch(batch.cast(schema))
            rows += batch.num_rows
    return rows


def _nothing(source: Source, start: datetime, end: datetime) -> str:
    newest = source.newest()
    return (
        f"the source has no interactions in [{iso(start)}, {iso(end)}): "
        + ("it has none at all" if newest is None else f"its newest is of {newest}")
        + ", so give an as_of just after the newest day, or more window days"
    )
