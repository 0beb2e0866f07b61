"""Clean with DuckDB: in a file on disk and with little memory, however many rows there are."""

import uuid
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
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
)
from dawnlist.lake.commits import DayFile
from dawnlist.lake.lake import Lake
from dawnlist.rows.sql_dialects import IbisConnection, quote_sql_text

CLEANING_MEMORY_LIMIT = "1GB"
"""The memory that DuckDB may use before it spills to the disk."""
CLEANING_BATCH_ROWS = 100_000
UNIQUE_COLUMNS = ("event_id",)
"""Columns whose values never repeat, so that a Parquet dictionary would save nothing."""
PARTITION_CHUNK_ROWS = 500_000
"""Rows that are split by day at a time. A day with more rows gets more than one file."""


def open_spilling_duckdb(folder: Path) -> IbisConnection:
    """Open a new DuckDB that works in UTC and spills to `folder` when its memory is full."""
    connection = ibis.duckdb.connect(
        folder / "clean.duckdb",
        memory_limit=CLEANING_MEMORY_LIMIT,
        temp_directory=str(folder / "spill"),
    )
    connection.raw_sql("SET TimeZone = 'UTC'")
    return connection


def create_landed_views(
    connection: IbisConnection,
    lake: Lake,
    names: list[str],
    folder: Path,
    prefix: str,
) -> list[LandedObject]:
    """Create a view of each landing object. Those of a remote lake are copied to `folder` first."""
    landed_objects = []
    for number, name in enumerate(names):
        landed_object = LandedObject.from_footer(lake, name, f"{prefix}_{number}")
        path = copy_to_local(lake, name, folder / f"{landed_object.view}.parquet")
        columns = ", ".join(landed_object.view_columns)
        first_key = number * OBJECT_KEY_STRIDE + 1
        connection.raw_sql(
            f"CREATE VIEW {landed_object.view} AS "
            f"SELECT {columns}, {first_key} + number AS key "
            f"FROM read_parquet({quote_sql_text(path)}, file_row_number = true) "
            f"AS landed({columns}, number)"
        )
        landed_objects.append(landed_object)
    return landed_objects


class DuckDBEngine:
    """DuckDB as a CleaningEngine, which documents the methods."""

    def __init__(self, folder: Path) -> None:
        """Open the database in `folder`, which needs room for some 60 bytes per landed row."""
        self.folder = folder
        self.connection: IbisConnection = open_spilling_duckdb(folder)

    def close(self) -> None:
        self.connection.disconnect()

    def create_landed_views(
        self,
        lake: Lake,
        names: list[str],
        prefix: str,
    ) -> list[LandedObject]:
        return create_landed_views(self.connection, lake, names, self.folder, prefix)

    def materialise(self, name: str, rows: TableExpression) -> TableExpression:
        query = self.connection.compile(rows)
        self.connection.raw_sql(f"CREATE OR REPLACE TABLE {name} AS {query}")
        return self.connection.table(name)

    def scan_days(
        self,
        lake: Lake,
        name: str,
        table: Any,
        days: list[date],
    ) -> TableExpression | None:
        if table is None or not days:
            return None
        is_in_days = pc.field("event_date").isin(pa.array(days, pa.date32()))
        view = f"{name}_of_days"
        self.connection.con.register(view, lake.scan(table).filter(is_in_days))
        return self.connection.table(view)

    def to_arrow(self, rows: TableExpression) -> pa.Table:
        return self.connection.to_pyarrow(rows)

    def write_day_files(
        self,
        lake: Lake,
        name: str,
        rows: TableExpression,
        schema: pa.Schema,
    ) -> list[DayFile]:
        # Use a cursor: a result that a failure leaves half read must not block the connection.
        cursor = self.connection.con.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        files: list[DayFile] = []
        with ThreadPoolExecutor() as pool:
            result = cursor.sql(str(self.connection.compile(rows)))
            for chunk in _gather_chunks(result.to_arrow_reader(CLEANING_BATCH_ROWS)):
                files.extend(self._write_chunk(pool, lake, name, chunk.cast(schema)))
        return files

    def _write_chunk(
        self,
        pool: Executor,
        lake: Lake,
        name: str,
        chunk: pa.Table,
    ) -> Iterator[DayFile]:
        """Write a file for each day in the chunk, several at a time."""

        def write_day(day_rows: tuple[str, pa.Table]) -> DayFile:
            return self._write_file(lake, name, *day_rows)

        return pool.map(write_day, _split_by_day(chunk))

    def _write_file(
        self,
        lake: Lake,
        name: str,
        day: str,
        rows: pa.Table,
    ) -> DayFile:
        file_name = f"part-{uuid.uuid4()}.zstd.parquet"
        object_path = ("tables", name, f"event_date={day}", file_name)
        is_local = isinstance(lake.filesystem, pafs.LocalFileSystem)
        path = Path(lake.path(*object_path)) if is_local else self.folder / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded = [column for column in rows.column_names if column not in UNIQUE_COLUMNS]
        pq.write_table(rows, path, compression="zstd", compression_level=1, use_dictionary=encoded)
        size = path.stat().st_size
        if not is_local:
            lake.upload(path, *object_path)
            path.unlink()
        nulls = {column: rows[column].null_count for column in rows.column_names}
        return DayFile("/".join(object_path[2:]), day, rows.num_rows, size, nulls)


def _gather_chunks(batches: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Join batches to tables of PARTITION_CHUNK_ROWS rows or more. The last one may be smaller."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(batch.num_rows for batch in waiting) >= PARTITION_CHUNK_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _split_by_day(chunk: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield each day of the chunk (ISO date) with its rows, without the column event_date."""
    ordered = chunk.sort_by("event_date")
    counts = pc.value_counts(ordered["event_date"])
    start = 0
    for day, rows in zip(counts.field("values"), counts.field("counts"), strict=True):
        count = rows.as_py()
        day_rows = ordered.slice(start, count).drop_columns(["event_date"])
        yield day.as_py().isoformat(), day_rows
        start += count
