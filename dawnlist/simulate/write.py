"""Write a simulated shop to where production has it: SQLite, PostgreSQL, or CSV files in a folder or bucket.

A target is written whole or not at all, and a target that isn't empty is never changed.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from dawnlist.secret_values import read_secret
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.shop import CountProgress, SimulatedShop, ignore_progress
from dawnlist.simulate.upload import BUCKET_SCHEMES, ShopExistsError, upload_shop
from dawnlist.urls import SOURCE_PASSWORD

if TYPE_CHECKING:
    import psycopg

SHOP_BATCH_ROWS = 50_000
"""How many rows are written at once."""


def write_shop(shop: SimulatedShop, url: str, progress: CountProgress = ignore_progress) -> None:
    """Write all tables of a shop.

    Args:
        shop: The shop.
        url: `sqlite:///path.db`, `postgresql://user@host/database`, `file:///folder`, a folder's
            path, `s3://bucket/prefix` or `gs://bucket/prefix`. A PostgreSQL password is only read
            from DAWNLIST_SOURCE_PASSWORD.
        progress: Called with the rows done and the rows in all, after each block of rows.

    Raises:
        ShopExistsError: The target isn't empty. In a bucket it holds a whole shop.
        FileExistsError: The target in a bucket holds something else than this shop.
        ValueError: The URL is of another kind, or names no file.
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
        folder = _parse_path(url, "file://") if scheme else Path(url)
        _write_folder(shop, folder, count)
    elif scheme in BUCKET_SCHEMES:
        _write_bucket(shop, url, count)
    else:
        raise ValueError(
            f"can't write a shop to {scheme}://…; "
            "give sqlite:///FILE, postgresql://…, a folder, s3://… or gs://…"
        )


def _parse_path(url: str, prefix: str) -> Path:
    """Take the path from a URL.

    As in SQLAlchemy, sqlite:///a.db is relative and sqlite:////a.db is absolute. file:///a is
    absolute.
    """
    path = url[len(prefix) :]
    if prefix == "sqlite://":
        path = path[1:]
    if not path:
        raise ValueError(f"{url} names no file; write sqlite:///shop.db or file:///folder")
    return Path(unquote(path))


def _iterate_batches(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, SHOP_BATCH_ROWS):
        yield table.slice(start, SHOP_BATCH_ROWS)


def _write_sqlite(shop: SimulatedShop, path: Path, count: Callable[[int], None]) -> None:
    if path.exists() and path.stat().st_size:
        raise ShopExistsError(
            f"{path} exists already; a shop is only written to a new file: "
            "remove it or name another"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        unfinished = Path(folder) / "shop.db"
        connection = sqlite3.connect(unfinished, isolation_level=None)
        try:
            _fill_sqlite(connection, shop, count)
        finally:
            connection.close()
        unfinished.replace(path)


def _fill_sqlite(
    connection: sqlite3.Connection, shop: SimulatedShop, count: Callable[[int], None]
) -> None:
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    for name, table in shop.tables().items():
        columns = ", ".join(f"{column} TEXT" for column in table.column_names)
        connection.execute(f"CREATE TABLE {name} ({columns})")
        placeholders = ", ".join("?" * table.num_columns)
        for batch in _iterate_batches(table):
            rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            connection.executemany(f"INSERT INTO {name} VALUES ({placeholders})", rows)
            count(batch.num_rows)
    connection.execute("CREATE INDEX interactions_received_at ON interactions (received_at)")
    connection.execute("COMMIT")


def _encode_csv(table: pa.Table, header: bool = False) -> bytes:
    """Encode a table as CSV; NULL is an empty field, and empty text a pair of quotes."""
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(
        table, sink, pyarrow.csv.WriteOptions(include_header=header, quoting_style="needed")
    )
    return bytes(sink.getvalue())


def _write_postgresql(shop: SimulatedShop, url: str, count: Callable[[int], None]) -> None:
    import psycopg

    # psycopg ignores a password of None
    with psycopg.connect(url, password=read_secret(SOURCE_PASSWORD)) as connection:
        for name, table in shop.tables().items():
            _create_postgresql_table(connection, name, table.column_names)
            copy = f"COPY {name} ({', '.join(table.column_names)}) FROM STDIN (FORMAT csv)"
            with connection.cursor() as cursor, cursor.copy(copy.encode()) as sink:
                for batch in _iterate_batches(table):
                    sink.write(_encode_csv(batch))
                    count(batch.num_rows)
        connection.execute(
            "CREATE INDEX IF NOT EXISTS interactions_received_at ON interactions (received_at)"
        )


def _create_postgresql_table(
    connection: "psycopg.Connection[Any]", name: str, column_names: list[str]
) -> None:
    """Create a table if there is none; raises ShopExistsError if it has rows."""
    definitions = []
    for column in column_names:
        is_time = name == "interactions" and column == "received_at"
        column_type = "timestamptz" if is_time else "text"
        definitions.append(f"{column} {column_type}")
    create = f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(definitions)})"
    connection.execute(create.encode())
    first_row = connection.execute(f"SELECT 1 FROM {name} LIMIT 1".encode()).fetchone()
    if first_row:
        raise ShopExistsError(
            f"table {name} of the database has rows already; "
            "a shop is only written to empty tables: drop them or name another database"
        )


def _write_folder(shop: SimulatedShop, path: Path, count: Callable[[int], None]) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ShopExistsError(
            f"{path} isn't empty; a shop is only written to a new folder: remove it or name another"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        _fill_folder(shop, unfinished, count)
        unfinished.chmod(0o755)
        unfinished.replace(path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _write_bucket(shop: SimulatedShop, url: str, count: Callable[[int], None]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _fill_folder(shop, folder, count)
        upload_shop(folder, url)


def _fill_folder(shop: SimulatedShop, folder: Path, count: Callable[[int], None]) -> None:
    for name, table in shop.tables().items():
        if name != "interactions":
            (folder / f"{name}.csv").write_bytes(_encode_csv(table, header=True))
            count(table.num_rows)
    interactions = folder / "interactions"
    interactions.mkdir()
    for day, table in _split_by_day(shop):
        (interactions / f"{day}.csv").write_bytes(_encode_csv(table, header=True))
        count(table.num_rows)


def _split_by_day(shop: SimulatedShop) -> Iterator[tuple[str, pa.Table]]:
    """Split the interactions by the day of received_at; gives each day and its rows.

    A day has one column for the user agent, which is called `ua` after the renaming.
    """
    rows = shop.interactions
    day_texts = pc.utf8_slice_codeunits(rows["received_at"], 0, 10)
    day_array = day_texts.combine_chunks().to_numpy(zero_copy_only=False)
    days, first = np.unique(day_array, return_index=True)
    ends = np.append(first[1:], rows.num_rows)
    for day, start, end in zip(days, first, ends, strict=True):
        day_number = (date.fromisoformat(str(day)) - shop.config.start).days
        unused_column = "ua" if _is_before_renaming(shop.config, day_number) else "user_agent"
        yield str(day), rows.slice(start, end - start).drop_columns([unused_column])


def _is_before_renaming(config: ShopConfig, day: int) -> bool:
    return config.rename_day is None or day < config.rename_day
