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

from dawnlist.components.clean.engine import Rows
from dawnlist.components.clean.landed import OBJECT, Connection, Landed, local, quoted
from dawnlist.lake.commits import DayFile
from dawnlist.lake.lake import Lake

MEMORY = "1GB"
"""What DuckDB may take before it goes to the disk."""
BATCH = 100_000
UNIQUE = ("event_id",)
"""Columns without a value twice, for which Parquet's dictionaries are work for nothing."""
CHUNK = 500_000
"""Rows that are parted by day at a time: a day of more rows than that gets more files."""


def connect(folder: Path) -> Connection:
    """A new DuckDB that reads and shows times in UTC, and keeps in `folder` what its memory does not hold."""
    connection = ibis.duckdb.connect(folder / "clean.duckdb", memory_limit=MEMORY, temp_directory=str(folder / "spill"))
    connection.raw_sql("SET TimeZone = 'UTC'")
    return connection


def load(connection: Connection, lake: Lake, names: list[str], folder: Path, prefix: str) -> list[Landed]:
    """Show landing objects as views; those of a remote lake are copied to `folder` first."""
    parts = []
    for number, name in enumerate(names):
        part = Landed.of(lake, name, f"{prefix}_{number}")
        path = local(lake, name, folder / f"{part.view}.parquet")
        places = ", ".join(part.places)
        connection.raw_sql(
            f"CREATE VIEW {part.view} AS SELECT {places}, {number * OBJECT + 1} + number AS key FROM "
            f"read_parquet({quoted(path)}, file_row_number = true) AS landed({places}, number)"
        )
        parts.append(part)
    return parts


class DuckDBEngine:
    """See dawnlist.components.clean.engine.Engine."""

    def __init__(self, folder: Path) -> None:
        """`folder` has room for the narrow rows of the step, some 60 bytes each."""
        self.folder = folder
        self.connection: Connection = connect(folder)

    def close(self) -> None:
        self.connection.disconnect()

    def load(self, lake: Lake, names: list[str], prefix: str) -> list[Landed]:
        return load(self.connection, lake, names, self.folder, prefix)

    def keep(self, name: str, rows: Rows) -> Rows:
        self.connection.raw_sql(f"CREATE OR REPLACE TABLE {name} AS {self.connection.compile(rows)}")
        return self.connection.table(name)

    def stored(self, lake: Lake, name: str, table: Any, days: list[date]) -> Rows | None:
        if table is None or not days:
            return None
        found = lake.scan(table).filter(pc.field("event_date").isin(pa.array(days, pa.date32())))
        self.connection.con.register(f"{name}_of_days", found)
        return self.connection.table(f"{name}_of_days")

    def arrow(self, rows: Rows) -> pa.Table:
        return self.connection.to_pyarrow(rows)

    def write(self, lake: Lake, name: str, rows: Rows, schema: pa.Schema) -> list[DayFile]:
        # on a cursor, so that a result which a failure leaves half read is in nobody's way
        cursor = self.connection.con.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        with ThreadPoolExecutor() as pool:
            batches = cursor.sql(str(self.connection.compile(rows))).to_arrow_reader(BATCH)
            chunks = (chunk.cast(schema) for chunk in _chunks(batches))
            return [
                file for chunk in chunks for file in pool.map(lambda part: self._file(lake, name, *part), _days(chunk))
            ]

    def _file(self, lake: Lake, name: str, day: str, rows: pa.Table) -> DayFile:
        place = ("tables", name, f"event_date={day}", f"part-{uuid.uuid4()}.zstd.parquet")
        is_local = isinstance(lake.filesystem, pafs.LocalFileSystem)
        path = Path(lake.path(*place)) if is_local else self.folder / place[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        alike = [column for column in rows.column_names if column not in UNIQUE]
        pq.write_table(rows, path, compression="zstd", compression_level=1, use_dictionary=alike)
        size = path.stat().st_size
        if not is_local:
            lake.upload(path, *place)
            path.unlink()
        nulls = {column: rows[column].null_count for column in rows.column_names}
        return DayFile("/".join(place[2:]), day, rows.num_rows, size, nulls)


def _chunks(batches: pa.RecordBatchReader) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= CHUNK:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _days(chunk: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """(ISO date, its rows without the partition's column) for each day in the chunk."""
    ordered = chunk.sort_by("event_date")
    counts = pc.value_counts(ordered["event_date"])
    start = 0
    for day, rows in zip(counts.field("values"), counts.field("counts"), strict=True):
        yield day.as_py().isoformat(), ordered.slice(start, rows.as_py()).drop_columns(["event_date"])
        start += rows.as_py()
