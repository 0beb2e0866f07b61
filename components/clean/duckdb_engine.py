"""DuckDB as the engine of the clean step: in a file and with little memory, however many rows there are."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from dawnlist.components.clean.engine import TableExpression
from dawnlist.components.clean.landed_objects import (
    OBJECT_KEY_STRIDE,
    LandedObject,
    copy_to_local,
    quote_sql_text,
)
from dawnlist.lake.commits import DayFile
from dawnlist.lake.lake import Lake
from dawnlist.rows.sql_dialects import IbisConnection

CLEANING_MEMORY_LIMIT = "1GB"
"""What DuckDB may take before it goes to the disk."""
CLEANING_BATCH_ROWS = 100_000
UNIQUE_COLUMNS = ("event_id",)
"""Columns without a value twice, for which Parquet's dictionaries are work for nothing."""
PARTITION_CHUNK_ROWS = 500_000
"""Rows that are parted by day at a time: a day of more rows than that gets more files."""


def open_spilling_duckdb(folder: Path) -> IbisConnection:
    """A new DuckDB that reads and shows times in UTC, and keeps in `folder` what its memory does not hold."""
    connection = ibis.duckdb.connect(
        folder / "clean.duckdb",
        memory_limit=CLEANING_MEMORY_LIMIT,
        temp_directory=str(folder / "spill"),
    )
    connection.raw_sql("SET TimeZone = 'UTC'")
    return connection


def create_landed_views(
    connection: IbisConnection, lake: Lake, names: list[str], folder: Path, prefix: str
) -> list[LandedObject]:
    """Show landing objects as views; those of a remote lake are copied to `folder` first."""
    parts = []
    for number, name in enumerate(names):
        part = LandedObject.of(lake, name, f"{prefix}_{number}")
        path = copy_to_local(lake, name, folder / f"{part.view}.parquet")
        places = ", ".join(part.places)
        connection.raw_sql(
            f"CREATE VIEW {part.view} AS SELECT {places}, {number * OBJECT_KEY_STRIDE + 1} + number AS key FROM "
            f"read_parquet({quote_sql_text(path)}, file_row_number = true) AS landed({places}, number)"
        )
        parts.append(part)
    return parts


class DuckDBEngine:
    """See dawnlist.components.clean.engine.Engine."""

    def __init__(self, folder: Path) -> None:
        """`folder` has room for the narrow rows of the step, some 60 bytes each."""
        self.folder = folder
        self.connection: IbisConnection = open_spilling_duckdb(folder)

    def close(self) -> None:
        self.connection.disconnect()

    def load(self, lake: Lake, names: list[str], prefix: str) -> list[LandedObject]:
        return create_landed_views(self.connection, lake, names, self.folder, prefix)

    def keep(self, name: str, rows: TableExpression) -> TableExpression:
        self.connection.raw_sql(
            f"CREATE OR REPLACE TABLE {name} AS {self.connection.compile(rows)}"
        )
        return self.connection.table(name)

    def stored(self, lake: Lake, name: str, table: Any, days: list[date]) -> TableExpression | None:
        if table is None or not days:
            return None
        found = lake.scan(table).filter(pc.field("event_date").isin(pa.array(days, pa.date32())))
        self.connection.con.register(f"{name}_of_days", found)
        return self.connection.table(f"{name}_of_days")

    def arrow(self, rows: TableExpression) -> pa.Table:
        return self.connection.to_pyarrow(rows)

    def write(
        self, lake: Lake, name: str, rows: TableExpression, schema: pa.Schema
    ) -> list[DayFile]:
        # on a cursor, so that a result which a failure leaves half read is in nobody's way
        cursor = self.connection.con.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        with ThreadPoolExecutor() as pool:
            batches = cursor.sql(str(self.connection.compile(rows))).to_arrow_reader(
                CLEANING_BATCH_ROWS
            )
            chunks = (chunk.cast(schema) for chunk in _gather_chunks(batches))
            return [
                file
                for chunk in chunks
                for file in pool.map(
                    lambda part: self._file(lake, name, *part), _split_by_day(chunk)
                )
            ]

    def _file(self, lake: Lake, name: str, day: str, rows: pa.Table) -> DayFile:
        place = ("tables", name, f"event_date={day}", f"part-{uuid.uuid4()}.zstd.parquet")
        is_local = isinstance(lake.filesystem, pafs.LocalFileSystem)
        path = Path(lake.path(*place)) if is_local else self.folder / place[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        alike = [column for column in rows.column_names if column not in UNIQUE_COLUMNS]
        pq.write_table(rows, path, compression="zstd", compression_level=1, use_dictionary=alike)
        size = path.stat().st_size
        if not is_local:
            lake.upload(path, *place)
            path.unlink()
        nulls = {column: rows[column].null_count for column in rows.column_names}
        return DayFile("/".join(place[2:]), day, rows.num_rows, size, nulls)


def _gather_chunks(batches: pa.RecordBatchReader) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= PARTITION_CHUNK_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _split_by_day(chunk: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """(ISO date, its rows without the partition's column) for each day in the chunk."""
    ordered = chunk.sort_by("event_date")
    counts = pc.value_counts(ordered["event_date"])
    start = 0
    for day, rows in zip(counts.field("values"), counts.field("counts"), strict=True):
        yield (
            day.as_py().isoformat(),
            ordered.slice(start, rows.as_py()).drop_columns(["event_date"]),
        )
        start += rows.as_py()
