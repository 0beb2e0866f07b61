"""Puts a simulated shop where production would have it: SQLite, PostgreSQL or a folder of CSV files.

A target is written whole or not at all, and one that holds something already is never touched.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from dawnlist.simulate.shop import CountProgress, SimulatedShop
from dawnlist.urls import SOURCE_PASSWORD

SHOP_BATCH_ROWS = 50_000


def _ignore_progress(done: int, total: int) -> None:
    """No progress bar."""


def write_shop(shop: SimulatedShop, url: str, progress: CountProgress = _ignore_progress) -> None:
    """Write all tables to `sqlite:///path.db`, `postgresql://user@host/database`, `file:///folder` or a folder's path.

    Calls `progress(rows done, rows in all)`. A PostgreSQL password is read from DAWNLIST_SOURCE_PASSWORD only.
    Raises FileExistsError for a target that isn't empty, ValueError for another kind of URL.
    """
    total = sum(table.num_rows for table in shop.tables().values())
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        progress(done, total)

    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        _write_sqlite(shop, _parse_path(url, "sqlite://"), count)
    elif scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        _write_postgresql(shop, "postgresql" + url[len(scheme) :], count)
    elif scheme in ("", "file"):
        _write_folder(shop, _parse_path(url, "file://") if scheme else Path(url), count)
    else:
        raise ValueError(
            f"can't write a shop to {scheme}://…; give sqlite:///FILE, postgresql://…, file:///… or a folder"
        )


def _parse_path(url: str, prefix: str) -> Path:
    """sqlite:///a.db is relative, sqlite:////a.db absolute, as in SQLAlchemy; file:///a is absolute."""
    rest = url[len(prefix) :]
    if prefix == "sqlite://":
        rest = rest[1:]
    if not rest:
        raise ValueError(f"{url} names no file; write sqlite:///shop.db or file:///folder")
    return Path(unquote(rest))


def _iterate_batches(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, SHOP_BATCH_ROWS):
        yield table.slice(start, SHOP_BATCH_ROWS)


def _write_sqlite(shop: SimulatedShop, path: Path, count: Callable[[int], None]) -> None:
    if path.exists() and path.stat().st_size:
        raise FileExistsError(
            f"{path} exists already; a shop is only written to a new file: remove it or name another"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        unfinished = Path(folder) / "shop.db"
        connection = sqlite3.connect(unfinished, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            for name, table in shop.tables().items():
                columns = ", ".join(f"{column} TEXT" for column in table.column_names)
                connection.execute(f"CREATE TABLE {name} ({columns})")
                insert = f"INSERT INTO {name} VALUES ({', '.join('?' * table.num_columns)})"
                for batch in _iterate_batches(table):
                    connection.executemany(
                        insert, zip(*(column.to_pylist() for column in batch.columns), strict=True)
                    )
                    count(batch.num_rows)
            connection.execute(
                "CREATE INDEX interactions_received_at ON interactions (received_at)"
            )
            connection.execute("COMMIT")
        finally:
            connection.close()
        unfinished.replace(path)


def _encode_csv(table: pa.Table, header: bool = False) -> bytes:
    """CSV in which NULL is nothing at all and an empty text is a pair of quotes."""
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(
        table, sink, pyarrow.csv.WriteOptions(include_header=header, quoting_style="needed")
    )
    return bytes(sink.getvalue())


def _write_postgresql(shop: SimulatedShop, url: str, count: Callable[[int], None]) -> None:
    import psycopg

    # psycopg leaves a password of None out
    with psycopg.connect(url, password=os.environ.get(SOURCE_PASSWORD)) as connection:
        for name, table in shop.tables().items():
            types = {"received_at": "timestamptz"} if name == "interactions" else {}
            columns = ", ".join(
                f"{column} {types.get(column, 'text')}" for column in table.column_names
            )
            connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})".encode())
            if connection.execute(f"SELECT 1 FROM {name} LIMIT 1".encode()).fetchone():
                raise FileExistsError(
                    f"table {name} of the database has rows already; a shop is only written to empty tables: "
                    "drop them or name another database"
                )
            copy = f"COPY {name} ({', '.join(table.column_names)}) FROM STDIN (FORMAT csv)"
            with connection.cursor() as cursor, cursor.copy(copy.encode()) as sink:
                for batch in _iterate_batches(table):
                    sink.write(_encode_csv(batch))
                    count(batch.num_rows)
        connection.execute(
            "CREATE INDEX IF NOT EXISTS interactions_received_at ON interactions (received_at)"
        )


def _write_folder(shop: SimulatedShop, path: Path, count: Callable[[int], None]) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(
            f"{path} isn't empty; a shop is only written to a new folder: remove it or name another"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        for name, table in shop.tables().items():
            if name != "interactions":
                (unfinished / f"{name}.csv").write_bytes(_encode_csv(table, header=True))
                count(table.num_rows)
        (unfinished / "interactions").mkdir()
        for day, table in _split_by_day(shop):
            (unfinished / "interactions" / f"{day}.csv").write_bytes(
                _encode_csv(table, header=True)
            )
            count(table.num_rows)
        unfinished.chmod(0o755)
        unfinished.replace(path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _split_by_day(shop: SimulatedShop) -> Iterator[tuple[str, pa.Table]]:
    """(day, its rows by received_at): one file each, with one column for the agent, `ua` from the rename on."""
    rows = shop.interactions
    day = (
        pc.utf8_slice_codeunits(rows["received_at"], 0, 10)
        .combine_chunks()
        .to_numpy(zero_copy_only=False)
    )
    days, first = np.unique(day, return_index=True)
    renamed = shop.config.rename_day
    for number, (name, start) in enumerate(zip(days, first, strict=True)):
        end = first[number + 1] if number + 1 < len(first) else rows.num_rows
        opened = (date.fromisoformat(str(name)) - shop.config.start).days
        gone = "user_agent" if renamed is not None and opened >= renamed else "ua"
        yield str(name), rows.slice(start, end - start).drop_columns([gone])
