"""One window of a source into immutable landing objects."""

import itertools
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.cuts import iso, parse_as_of, stamp, window
from components.fetch.sources import Source, open_source
from components.lake import Lake
from components.settings import SourceSettings
from components.watermark import Window, held

DAY = timedelta(hours=24)


def fetch(lake: Lake, source: str, settings: SourceSettings, as_of: str, run: str, window_days: int) -> dict[str, Any]:
    """Land the rows that arrived since the last fetch, and the items and users whole.

    Returns what `clean` reads: `interactions`, `items` and `users` (names of landing objects, or None), `windows`
    (ISO texts, of each object of interactions), `window` (the newest of them), `rows`, by table. ValueError when a
    first fetch finds nothing.
    """
    end = parse_as_of(as_of)
    known = held(lake.table("interactions"))
    wanted = windows(known, end, window_days, timedelta(minutes=settings.overlap_minutes))
    opened = open_source(source, settings)
    names = [f"landing/interactions/{stamp(start)}_{stamp(stop)}/{run}.parquet" for start, stop in wanted]
    said = [[iso(start), iso(stop)] for start, stop in wanted]
    rows = 0
    for name, times, about in zip(names, wanted, said, strict=True):
        rows += land(lake, opened.interactions(*times), name, {"window_start": about[0], "window_end": about[1]})
    if known is None and not rows:
        raise ValueError(_nothing(opened, *wanted[-1]))
    landed: dict[str, Any] = {"interactions": names, "windows": said, "window": said[-1]}
    landed["rows"] = {"interactions": rows}
    for table in ("items", "users"):
        batches = opened.whole(table)
        landed[table] = None if batches is None else f"landing/{table}/{stamp(end)}/{run}.parquet"
        if batches is not None:
            landed["rows"][table] = land(lake, batches, landed[table], {"as_of": iso(end)})
    return landed


def windows(known: Window | None, end: datetime, window_days: int, overlap: timedelta) -> list[Window]:
    """What to fetch so that the lake then holds [end - window_days, end) whole, oldest first.

    It goes on from the end of what the lake holds, however long ago that was, so that a missed night leaves no gap,
    and a little before it, since a row may be committed after a fetch whose window its time lies in. A run not newer
    than that fetches its own 24 hours again. Rows that are already there are recognised.
    """
    start, _ = window(end, window_days)
    if known is None:
        return [(start, end)]
    earliest, reached = known
    recent = (reached if reached < end else end - DAY) - overlap
    if earliest <= start:
        return [(recent, end)]
    return [(min(start, recent), end)] if earliest >= recent else [(start, earliest), (recent, end)]


def land(lake: Lake, batches: Iterator[pa.RecordBatch], name: str, about: dict[str, str]) -> int:
    """Write batches as one Parquet object, whole or not at all; one that is there stays. Returns its rows."""
    there = _rows(lake, name)
    if there is not None:
        return there
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "landing.parquet"
        rows = _write(batches, staged, about)
        lake.upload(staged, *name.split("/"))
    return rows


def _rows(lake: Lake, name: str) -> int | None:
    """The rows of a landing object, or None when there is none, or only what a broken upload left."""
    if not lake.exists(*name.split("/")):
        return None
    try:
        return int(pq.ParquetFile(lake.path(*name.split("/")), filesystem=lake.filesystem).metadata.num_rows)
    except pa.ArrowInvalid:
        return None


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
