"""Interactions from a SQL database: a window on an indexed column, in a read-only transaction, streamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from dawnlist.components.fetch.arrivals import count_rows_by_hour
from dawnlist.components.fetch.database_errors import translate_database_errors
from dawnlist.components.fetch.database_readers import (
    ColumnWindow,
    RecordBatches,
    build_window_condition,
    read_source_table,
)
from dawnlist.components.fetch.dialects import (
    cast_to_text,
    create_source_engine,
    list_opening_statements,
    parse_database_url,
)
from dawnlist.components.fetch.window_bounds import convert_window_bounds
from dawnlist.settings import SourceSettings

_DAYS_PER_STATEMENT = 500
"""Days that are counted by one statement: fewer columns than any database allows."""


@dataclass(frozen=True)
class DatabaseSource:
    """A PostgreSQL, SQLite, MySQL, MariaDB or SQL Server database.

    Each call is a transaction or two: what the table looks like, then the one statement that reads it. ValueError,
    ConnectionError, PermissionError, TimeoutError or FileNotFoundError in one line.
    """

    url: str
    settings: SourceSettings

    daily = False

    def interactions(self, start: datetime, end: datetime) -> RecordBatches:
        """The rows whose time column lies in [start, end)."""
        with self._connect() as connection:
            table = self._timed(connection)
            window = self._windows(connection, table, [(start, end)])[0]
        yield from self._read(table, window)

    def read_whole_table(self, table: str) -> RecordBatches | None:
        """All rows of the items or users table; None when the database has none."""
        with self._connect() as connection:
            found = _reflect_table(connection, getattr(self.settings, table))
        return None if found is None else self._read(found, None)

    def newest(self) -> str | None:
        """The time column's highest value."""
        with self._connect() as connection:
            column = self._timed(connection).c[self.settings.time_column]
            value = cast_to_text(sa.func.max(column, type_=column.type), connection.dialect.name)
            found = connection.execute(sa.select(value)).scalar()
        return None if found is None else str(found)

    def count_arrivals(self, landed: Path, start: datetime, end: datetime) -> dict[str, int]:
        """The rows of a file that `interactions(start, end)` was written to, by the hour of the time column."""
        return count_rows_by_hour(
            landed, [pq.read_schema(landed).names.index(self.settings.time_column)]
        )

    def count_rows_by_day(self, days: list[date]) -> dict[date, int]:
        """The rows of each UTC day by the time column, each counted in its index."""
        if not days:
            return {}
        with self._connect() as connection:
            table = self._timed(connection)
            midnights = [datetime.combine(day, time(), UTC) for day in days]
            windows = self._windows(
                connection, table, [(day, day + timedelta(days=1)) for day in midnights]
            )
            one = sa.select(sa.func.count()).select_from(table)
            columns = [
                one.where(build_window_condition(table, window)).scalar_subquery()
                for window in windows
            ]
            chunks = [
                columns[first : first + _DAYS_PER_STATEMENT]
                for first in range(0, len(columns), _DAYS_PER_STATEMENT)
            ]
            rows = [row for chunk in chunks for row in connection.execute(sa.select(*chunk)).one()]
        return dict(zip(days, rows, strict=True))

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        opened = create_source_engine(parse_database_url(self.url), self.settings)
        try:
            with translate_database_errors(self.url), opened.connect() as connection:
                for statement in list_opening_statements(opened.dialect, self.settings):
                    connection.exec_driver_sql(statement)
                yield connection
        finally:
            opened.dispose()

    def _read(self, table: sa.TableClause, window: ColumnWindow | None) -> RecordBatches:
        url = parse_database_url(self.url)
        with translate_database_errors(self.url):
            yield from read_source_table(url, self.settings, table, window)

    def _timed(self, connection: sa.Connection) -> sa.TableClause:
        """The table of the interactions; ValueError that says what there is, when it or its time column is missing."""
        name, column = self.settings.interactions, self.settings.time_column
        table = _reflect_table(connection, name)
        if table is None:
            found = ", ".join(sa.inspect(connection).get_table_names()) or "none"
            raise ValueError(
                f"the source has no table {name!r} (it has: {found}): name it in the settings, source.interactions"
            )
        if column not in table.c:
            raise ValueError(
                f"table {table.name!r} has no column {column!r} to cut the window on (it has: "
                f"{', '.join(table.c.keys())}): name an indexed one in the settings, source.time_column"
            )
        return table

    def _windows(
        self,
        connection: sa.Connection,
        table: sa.TableClause,
        times: list[tuple[datetime, datetime]],
    ) -> list[ColumnWindow]:
        """The windows in the form that the time column has."""
        name = self.settings.time_column
        oldest, newest = _read_value_range(connection, table.c[name])
        if newest is None:
            return [ColumnWindow(name, None, None)] * len(times)
        return [
            ColumnWindow(name, *convert_window_bounds(oldest, newest, start, end))
            for start, end in times
        ]


def _reflect_table(connection: sa.Connection, name: str) -> sa.TableClause | None:
    """The table as the database describes it, with SCHEMA.TABLE as its name or TABLE; None when there is none."""
    schema, _, bare = name.rpartition(".")
    try:
        columns = sa.inspect(connection).get_columns(bare, schema or None)
    except sa.exc.NoSuchTableError:
        return None
    # SQLite's types are only declared: what lies there is compared as it lies there
    untyped = connection.dialect.name == "sqlite"
    kinds = (sa.types.NullType() if untyped else column["type"] for column in columns)
    return sa.table(
        bare,
        *(sa.column(column["name"], kind) for column, kind in zip(columns, kinds, strict=True)),
        schema=schema or None,
    )


def _read_value_range(connection: sa.Connection, column: sa.ColumnClause[Any]) -> tuple[Any, Any]:
    """The column's lowest and highest value, two look-ups in its index; of a column of times, any such value."""
    if isinstance(column.type, sa.DateTime):
        zoned = datetime.min.replace(tzinfo=UTC if column.type.timezone else None)
        return zoned, zoned
    if isinstance(column.type, sa.Date):
        return date.min, date.min
    ends = (sa.select(extreme(column)).scalar_subquery() for extreme in (sa.func.min, sa.func.max))
    oldest, newest = connection.execute(sa.select(*ends)).one()
    return oldest, newest
