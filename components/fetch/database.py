"""Interactions from a SQL database: a window on an indexed column, in a read-only transaction, streamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import sqlalchemy as sa

from components.fetch.bounds import bounds
from components.settings import SourceSettings
from components.urls import SOURCE_PASSWORD, masked, password

BATCH_ROWS = 50_000
STATEMENT_TIMEOUT_MS = 600_000


@dataclass(frozen=True)
class Database:
    """A SQLite or PostgreSQL database; values land as the text that the database gives for them."""

    url: str
    settings: SourceSettings

    def interactions(self, start: datetime, end: datetime) -> Iterator[pa.RecordBatch]:
        """The rows whose time column lies in [start, end)."""
        with self._connect() as connection:
            table = self._table(connection, self.settings.interactions)
            time = self._time_column(connection, table)
            oldest, newest = (_extreme(connection, extreme(time)) for extreme in (sa.func.min, sa.func.max))
            window = sa.false()
            if newest is not None:
                first, last = bounds(oldest, newest, start, end)
                window = (time >= first) & (time < last)
            yield from _batches(connection, _as_text(table).where(window))

    def whole(self, table: str) -> Iterator[pa.RecordBatch] | None:
        """All rows of the items or users table; None when the database has none."""
        name = getattr(self.settings, table)
        schema, _, bare = name.rpartition(".")
        with self._connect() as connection:
            if not sa.inspect(connection).has_table(bare, schema or None):
                return None
        return self._whole(name)

    def newest(self) -> str | None:
        """The time column's highest value."""
        with self._connect() as connection:
            table = self._table(connection, self.settings.interactions)
            value = _extreme(connection, sa.func.max(self._time_column(connection, table)))
        return None if value is None else str(value)

    def _whole(self, name: str) -> Iterator[pa.RecordBatch]:
        with self._connect() as connection:
            yield from _batches(connection, _as_text(self._table(connection, name)))

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        engine = _engine(self.url)
        try:
            with engine.connect() as connection:
                if engine.dialect.name == "postgresql":
                    connection.execute(sa.text("SET TRANSACTION READ ONLY"))
                    connection.execute(sa.text(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}"))
                yield connection
        except sa.exc.OperationalError as error:
            raise ConnectionError(
                f"the source {masked(self.url)!r} does not answer or refuses ({_first_line(error)}): check the host, "
                f"the database, the user, and that {SOURCE_PASSWORD} holds the password"
            ) from None
        except sa.exc.DBAPIError as error:
            raise ValueError(
                f"the source {masked(self.url)!r} can't be read ({_first_line(error)}): check the file or database, "
                "the user's rights, and the tables named in the settings, source"
            ) from None
        finally:
            engine.dispose()

    def _table(self, connection: sa.Connection, name: str) -> sa.Table:
        schema, _, table = name.rpartition(".")
        try:
            return sa.Table(table, sa.MetaData(), schema=schema or None, autoload_with=connection)
        except sa.exc.NoSuchTableError:
            found = ", ".join(sa.inspect(connection).get_table_names()) or "none"
            raise ValueError(
                f"the source has no table {name!r} (it has: {found}): name it in the settings, source.interactions"
            ) from None

    def _time_column(self, connection: sa.Connection, table: sa.Table) -> Any:
        name = self.settings.time_column
        if name not in table.c:
            raise ValueError(
                f"table {table.name!r} has no column {name!r} to cut the window on (it has: "
                f"{', '.join(column.name for column in table.c)}): name an indexed one in the settings, "
                "source.time_column"
            )
        # SQLite's types are only declared: what lies there is compared as it lies there
        untyped = connection.dialect.name == "sqlite"
        return sa.type_coerce(table.c[name], sa.types.NullType()) if untyped else table.c[name]


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError(
            f"source {masked(url)!r} is no database URL: give sqlite:///FILE or postgresql://USER@HOST/DATABASE"
        ) from None
    if parsed.get_backend_name() == "sqlite":
        # read-only and by URI: SQLite would otherwise create a missing file, and take part in locking
        database = f"file:{quote(str(_file(url, parsed).resolve()))}"
        return sa.create_engine(sa.URL.create("sqlite", database=database, query={"mode": "ro", "uri": "true"}))
    postgres = parsed.set(drivername="postgresql+psycopg", password=password(SOURCE_PASSWORD))
    return sa.create_engine(postgres, connect_args={"connect_timeout": 10})


def _file(url: str, parsed: sa.URL) -> Path:
    """The file as the URL writes it, or, when there is none, with %20 and the like decoded."""
    written = url.partition(":///")[2]
    places = [Path(place) for place in (written, parsed.database) if place]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"source {url!r}: there is no file {written!r}, check the path")
    return found


def _extreme(connection: sa.Connection, value: Any) -> Any:
    return connection.execute(sa.select(value)).scalar()


def _as_text(table: sa.Table) -> Any:
    """Every column as the database's own text of it: SQLite columns may hold ints, floats and strings side by side."""
    return sa.select(*(sa.cast(column, sa.Text).label(column.name) for column in table.c))


def _batches(connection: sa.Connection, query: Any) -> Iterator[pa.RecordBatch]:
    result = connection.execution_options(stream_results=True, yield_per=BATCH_ROWS).execute(query)
    schema = pa.schema([pa.field(name, pa.string()) for name in result.keys()])  # noqa: SIM118 - not a dict
    yield pa.RecordBatch.from_pylist([], schema=schema)  # the columns are known even when no row comes
    for rows in result.partitions():
        columns = zip(*rows, strict=True)
        yield pa.record_batch([pa.array(column, pa.string()) for column in columns], schema=schema)


def _first_line(error: sa.exc.DBAPIError) -> str:
    line = (str(error.orig).strip() or "no reason given").splitlines()[0]
    secret = password(SOURCE_PASSWORD)
    return line.replace(secret, "***") if secret else line
