"""Which library reads PostgreSQL fastest and in bounded memory: rows/s to Parquet and peak memory of each.

python benchmarks/readers.py --rows 10000000        (needs the extras local and bench)

Each reader runs in a process of its own and feeds the same Parquet writer, the one of fetch.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pyarrow as pa
from clicks import START, TABLE, child, fill, markdown, peak_megabytes, server

BATCH = 65_536
NAMES = [
    *("event_id", "user_id", "item_id", "event", "event_time"),
    *("rating", "session_id", "user_agent", "ip", "received_at"),
]
TEXTS = ", ".join(f"{name}::text" for name in NAMES)
Batches = Iterator[pa.RecordBatch]


def dawnlist(url: str) -> Batches:
    """As fetch reads: ADBC, typed, the window bound, one read-only transaction."""
    from datetime import timedelta

    from dawnlist.components.fetch.database import DatabaseSource
    from dawnlist.settings import SourceSettings

    return DatabaseSource(url, SourceSettings()).interactions(START, START + timedelta(days=3660))


def adbc(url: str, columns: str = "*") -> Batches:
    """ADBC with the types of the columns."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {TABLE}")
        yield from cursor.fetch_record_batch()


def adbc_text(url: str) -> Batches:
    """ADBC with every column cast to text by the server."""
    yield from adbc(url, TEXTS)


def connectorx(url: str) -> Batches:
    """connectorx, streamed; it has no bound parameters."""
    import connectorx as cx

    host = quote(parse_qs(urlsplit(url).query)["host"][0], safe="")
    uri = f"postgresql://postgres:none@{host}/postgres"
    yield from cx.read_sql(
        uri, f"SELECT * FROM {TABLE}", return_type="arrow_stream", batch_size=BATCH
    )


def copy_csv(url: str) -> Batches:
    """psycopg's COPY as CSV, parsed by Arrow; every column as text."""
    import psycopg
    import pyarrow.csv

    copy = f"COPY {TABLE} TO STDOUT (FORMAT csv)".encode()
    with (
        psycopg.connect(url) as connection,
        connection.cursor() as cursor,
        cursor.copy(copy) as source,
    ):
        yield from pyarrow.csv.open_csv(
            io.BufferedReader(_Copied(source), 1 << 20),
            pyarrow.csv.ReadOptions(column_names=NAMES, block_size=8 << 20),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(NAMES, pa.string())
            ),
        )


class _Copied(io.RawIOBase):
    """The rows of a COPY as a file."""

    def __init__(self, source: Any) -> None:
        self.source, self.rest = source, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.rest:
            data = self.source.read()
            if not data:
                return 0
            self.rest = memoryview(data)
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        return size


def sqlalchemy(url: str) -> Batches:
    """SQLAlchemy and psycopg with a server-side cursor; every column as text."""
    import sqlalchemy as sa

    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    schema = pa.schema([(name, pa.string()) for name in NAMES])
    with engine.connect() as connection:
        streamed = connection.execution_options(stream_results=True, max_row_buffer=BATCH)
        for rows in streamed.execute(sa.text(f"SELECT {TEXTS} FROM {TABLE}")).partitions(BATCH):
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            yield pa.record_batch(columns, schema=schema)


READERS: dict[str, Callable[[str], Batches]] = {
    function.__name__: function
    for function in (dawnlist, adbc, adbc_text, connectorx, copy_csv, sqlalchemy)
}


def read(name: str, url: str) -> None:
    """In the child: read all rows into a Parquet file, and print the figures."""
    from dawnlist.components.fetch.parquet import write_batches

    with tempfile.TemporaryDirectory() as folder:
        clock = time.perf_counter()
        rows = write_batches(READERS[name](url), Path(folder) / "clicks.parquet", {})
        seconds = time.perf_counter() - clock
    print(json.dumps({"rows": rows, "seconds": seconds, "peak": peak_megabytes()}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.reader:
        read(given.reader, given.url)
    else:
        compare(given.rows)


def compare(rows: int) -> None:
    """Run each reader over a table of `rows` rows, and print the table."""
    figures = []
    with server() as url:
        fill(url, rows, 3650)
        for name, function in READERS.items():
            found = child(__file__, "--reader", name, "--url", url)
            assert found["rows"] == rows, (name, found)
            about = str(function.__doc__).partition(";")[0].rstrip(".")
            speed = round(found["rows"] / found["seconds"])
            figures.append({"reader": about, "rows/s to Parquet": speed, "peak MB": found["peak"]})
    print(f"{rows:,} rows of {len(NAMES)} columns\n")
    markdown(figures)


if __name__ == "__main__":
    main()
