"""Read interactions from a SQL database: a window on an indexed column, read-only, as a stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import sqlalchemy as sa

from dawnlist.components.fetch.arrivals import count_rows_by_hour
from dawnlist.components.fetch.database_errors import translate_database_errors
from dawnlist.components.fetch.database_readers import (
    ColumnWindow,
    build_window_condition,
    read_source_table,
)
from dawnlist.components.fetch.dialects import (
    cast_to_text,
    create_source_engine,
    list_opening_statements,
    parse_database_url,
)
from dawnlist.components.fetch.formats.paths import add_paths_to_batches
from dawnlist.components.fetch.read_ahead import RecordBatches
from dawnlist.components.fetch.window_bounds import convert_window_bounds
from dawnlist.rows.column_aliases import find_paths, match_interaction_columns
from dawnlist.settings import SourceSettings

MAX_LISTED_TABLES: Final = 50
"""Tables that a message lists."""
SYSTEM_SCHEMAS: Final = (
    "information_schema", "performance_schema", "mysql", "sys", "main", "temp",
    "db_accessadmin", "db_backupoperator", "db_datareader", "db_datawriter", "db_ddladmin",
    "db_denydatareader", "db_denydatawriter", "db_owner", "db_securityadmin", "guest", "INFORMATION_SCHEMA",
)  # fmt: skip
"""Schemas of the databases themselves."""
_DAYS_PER_STATEMENT = 500
"""Days that one statement counts, a column each: fewer than any database's limit of columns."""


@dataclass(frozen=True)
class DatabaseSource:
    """A PostgreSQL, SQLite, MySQL, MariaDB or SQL Server database as a DataSource.

    Each call makes one or two transactions: one to look at the table, one to read it in a single
    statement.

    Raises:
        ValueError, ConnectionError, PermissionError, TimeoutError, FileNotFoundError: With a
            message of one line.
    """

    url: str
    """The URL of the database, without a password."""
    settings: SourceSettings
    """The names of tables and columns, and the timeout of statements."""

    gives_whole_days = False

    def interactions(self, start: datetime, end: datetime) -> RecordBatches:
        """Read the rows whose time column lies in [start, end)."""
        with self._connect() as connection:
            table = self._timed(connection)
            [window] = self._windows(connection, table, [(start, end)])
        yield from self._read_table(table, window)

    def check_columns(self) -> None:
        """Raise ValueError if columns are missing that every event needs."""
        with self._connect() as connection:
            table = self._timed(connection)
        names = list(table.c.keys())
        paths = [path.name for path in find_paths(names, self.settings.columns)]
        match_interaction_columns([*names, *paths], self.settings, f"table {table.name!r}")

    def read_sample(self, table: str, rows: int) -> RecordBatches | None:
        """Read up to `rows` rows of a table, those that the database gives first.

        Args:
            table: interactions, items or users.
            rows: The number of rows.

        Returns None when the source has no such table of items or users.
        """
        with self._connect() as connection:
            if table == "interactions":
                source_table: sa.TableClause | None = self._timed(connection)
            else:
                source_table = _reflect_table(connection, getattr(self.settings, table))
        if source_table is None:
            return None
        first_rows = sa.select(*source_table.c).limit(sa.literal_column(str(rows)))
        limited_table: Any = first_rows.subquery(source_table.name)
        return self._read_table(limited_table, None)

    def describe_time_index(self) -> str:
        """Say whether the time column has an index, by which windows are found without a scan."""
        with self._connect() as connection:
            table = self._timed(connection)
            inspector = sa.inspect(connection)
            schema = getattr(table, "schema", None)
            key = inspector.get_pk_constraint(table.name, schema)
            indexes = [key.get("constrained_columns") or []]
            for index in inspector.get_indexes(table.name, schema):
                indexes.append([str(column) for column in index["column_names"]])
        column = self.settings.time_column
        if any(columns[:1] == [column] for columns in indexes):
            return f"{column} of {self.settings.interactions} has an index"
        return (
            f"{column} of {self.settings.interactions} has no index that begins with it, so each "
            "window reads the whole table: add one, or name an indexed column in source.time_column"
        )

    def read_whole_table(self, table: str) -> RecordBatches | None:
        """Read all rows of the table `items` or `users`; None when there is no such table."""
        with self._connect() as connection:
            source_table = _reflect_table(connection, getattr(self.settings, table))
        if source_table is None:
            return None
        return self._read_table(source_table, None)

    def describe_newest(self) -> str | None:
        """Return the highest value of the time column as text; None when there is no row."""
        with self._connect() as connection:
            column = self._timed(connection).c[self.settings.time_column]
            newest = sa.func.max(column, type_=column.type)
            text = cast_to_text(newest, connection.dialect.name)
            value = connection.execute(sa.select(text)).scalar()
        return None if value is None else str(value)

    def list_passed_over(self, end: datetime) -> list[str]:
        """List nothing: a database has no files."""
        return []

    def find_local_day(self, moment: datetime) -> date:
        """Return the UTC day of a time."""
        return moment.date()

    def count_arrivals(
        self,
        landed: Path,
        start: datetime,
        end: datetime,
    ) -> dict[str, int]:
        """Count the rows of a file of interactions by the hour of the time column."""
        columns = pq.read_schema(landed).names
        return count_rows_by_hour(landed, [columns.index(self.settings.time_column)])

    def count_rows_by_day(self, days: list[date]) -> dict[date, int]:
        """Count the rows of each UTC day by the time column, each day in the column's index."""
        if not days:
            return {}
        with self._connect() as connection:
            table = self._timed(connection)
            periods = [_get_day_period(day) for day in days]
            columns = []
            for window in self._windows(connection, table, periods):
                condition = build_window_condition(table, window)
                count = sa.select(sa.func.count()).select_from(table).where(condition)
                columns.append(count.scalar_subquery())
            counts: list[int] = []
            for first in range(0, len(columns), _DAYS_PER_STATEMENT):
                query = sa.select(*columns[first : first + _DAYS_PER_STATEMENT])
                counts.extend(connection.execute(query).one())
        return dict(zip(days, counts, strict=True))

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        """Open a read-only transaction; errors of the database come out as built-in exceptions."""
        engine = create_source_engine(parse_database_url(self.url), self.settings)
        try:
            with translate_database_errors(self.url), engine.connect() as connection:
                for statement in list_opening_statements(engine.dialect, self.settings):
                    connection.exec_driver_sql(statement)
                yield connection
        finally:
            engine.dispose()

    def _read_table(self, table: sa.TableClause, window: ColumnWindow | None) -> RecordBatches:
        url = parse_database_url(self.url)
        with translate_database_errors(self.url):
            batches = read_source_table(url, self.settings, table, window)
            yield from add_paths_to_batches(batches, self.settings.columns)

    def _timed(self, connection: sa.Connection) -> sa.TableClause:
        """Reflect the table of the interactions.

        Raises:
            ValueError: The table or its time column is missing. The message says what there is.
        """
        name, column = self.settings.interactions, self.settings.time_column
        table = _reflect_table(connection, name)
        if table is None:
            raise ValueError(
                f"the source has no table {name!r} (it has: {_list_tables(connection)}): "
                "name it in the settings, source.interactions"
            )
        if column not in table.c:
            raise ValueError(
                f"table {table.name!r} has no column {column!r} to cut the window on "
                f"(it has: {', '.join(table.c.keys())}): "
                "name an indexed one in the settings, source.time_column"
            )
        return table

    def _windows(
        self,
        connection: sa.Connection,
        table: sa.TableClause,
        periods: list[tuple[datetime, datetime]],
    ) -> list[ColumnWindow]:
        """Convert periods to windows in the form that the time column has."""
        name = self.settings.time_column
        oldest, newest = _read_value_range(connection, table.c[name])
        if newest is None:
            has_rows = connection.execute(sa.select(sa.exists().select_from(table))).scalar()
            if has_rows:
                raise ValueError(
                    f"the time column {name!r} of table {table.name!r} has no value in any row: "
                    "name another one in the settings, source.time_column"
                )
            return [ColumnWindow(name, None, None)] * len(periods)
        windows = []
        for start, end in periods:
            first, last = convert_window_bounds(oldest, newest, start, end)
            windows.append(ColumnWindow(name, first, last))
        return windows


def _get_day_period(day: date) -> tuple[datetime, datetime]:
    """Return the UTC midnights at which a day begins and ends."""
    midnight = datetime.combine(day, time(), UTC)
    return midnight, midnight + timedelta(days=1)


def _reflect_table(connection: sa.Connection, name: str) -> sa.TableClause | None:
    """Look up the columns of TABLE or SCHEMA.TABLE; None when it does not exist."""
    schema, _, table_name = name.rpartition(".")
    try:
        reflected_columns = sa.inspect(connection).get_columns(table_name, schema or None)
    except sa.exc.NoSuchTableError:
        return None
    # SQLite only declares types: a value is compared as it is stored.
    is_untyped = connection.dialect.name == "sqlite"
    columns: list[sa.ColumnClause[Any]] = []
    for reflected_column in reflected_columns:
        kind = sa.types.NullType() if is_untyped else reflected_column["type"]
        columns.append(sa.column(reflected_column["name"], kind))
    return sa.table(table_name, *columns, schema=schema or None)


def _list_tables(connection: sa.Connection) -> str:
    """List the tables and views, those of other schemas as SCHEMA.TABLE, for a message."""
    inspector = sa.inspect(connection)
    names = [*inspector.get_table_names(), *inspector.get_view_names()]
    for schema in inspector.get_schema_names():
        is_own = schema == inspector.default_schema_name
        if is_own or schema in SYSTEM_SCHEMAS or schema.startswith("pg_"):
            continue
        tables = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
        names += [f"{schema}.{table}" for table in tables]
    listed = ", ".join(names[:MAX_LISTED_TABLES]) or "none"
    if len(names) > MAX_LISTED_TABLES:
        listed += f" and {len(names) - MAX_LISTED_TABLES} more"
    return listed


def _read_value_range(connection: sa.Connection, column: sa.ColumnClause[Any]) -> tuple[Any, Any]:
    """Read the column's lowest and highest value, each with one look-up in the index.

    A column that has the type of a time is not read: any time tells the form of its values.
    """
    if isinstance(column.type, sa.DateTime):
        zone = UTC if column.type.timezone else None
        moment = datetime.min.replace(tzinfo=zone)
        return moment, moment
    if isinstance(column.type, sa.Date):
        return date.min, date.min
    lowest = sa.select(sa.func.min(column)).scalar_subquery()
    highest = sa.select(sa.func.max(column)).scalar_subquery()
    oldest, newest = connection.execute(sa.select(lowest, highest)).one()
    return oldest, newest
