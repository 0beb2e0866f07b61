"""Read a table as Arrow batches: with ADBC from PostgreSQL and SQLite, else with SQLAlchemy.

docs/INGEST.md has the measurements behind this choice. Each read is one statement in a read-only
transaction of its own, and its result is streamed.
"""

import itertools
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from dawnlist.components.fetch.dialects import (
    cast_for_landing,
    create_source_engine,
    list_opening_statements,
)
from dawnlist.components.fetch.driver_values import (
    decode_bytes,
    decode_schema,
    escape_invalid_texts,
    read_marked_bytes,
    restore_infinities,
)
from dawnlist.components.fetch.read_ahead import RecordBatches
from dawnlist.settings import SourceSettings

DATABASE_BATCH_ROWS = 65_536
_START, _STOP = "dawnlist.start", "dawnlist.stop"
_BIND_WINDOW = f"SELECT set_config('{_START}', $1, true), set_config('{_STOP}', $2, true)"


@dataclass(frozen=True)
class ColumnWindow:
    """The rows whose `column` lies in [first, last)."""

    column: str
    """The name of the time column."""
    first: Any
    """The lower bound in the form of the column's values; None when the column has no value yet."""
    last: Any
    """The upper bound, which lies outside."""


def read_source_table(
    url: sa.URL,
    settings: SourceSettings,
    table: sa.TableClause,
    window: ColumnWindow | None,
) -> RecordBatches:
    """Read the table's rows, or only those of the window.

    The first batch has no rows, so that the columns are known even when the table is empty.
    """
    readers = {"postgresql": _read_postgresql, "sqlite": _read_sqlite}
    read_table = readers.get(url.get_backend_name(), _read_with_sqlalchemy)
    return read_table(url, settings, table, window)


def build_window_condition(table: sa.TableClause, window: ColumnWindow) -> Any:
    """Build the condition that a row lies in the window, with the bounds as parameters."""
    if window.first is None:
        return sa.false()
    column = table.c[window.column]
    return (column >= window.first) & (column < window.last)


def compile_postgresql_query(table: sa.TableClause, window: ColumnWindow | None) -> str:
    """Compile the query that is sent to PostgreSQL.

    ADBC reads by COPY, which takes no parameters. So the bounds of the window are settings of the
    transaction, and the query reads those.
    """
    query = _select_columns(table, "postgresql")
    if window:
        first = _cast_setting(_START, window.first)
        last = _cast_setting(_STOP, window.last)
        bound_window = ColumnWindow(window.column, first, last)
        query = query.where(build_window_condition(table, bound_window))
    # This paramstyle is not the driver's: a % in a name must stay single.
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    return str(query.compile(dialect=dialect))


def _select_columns(table: sa.TableClause, dialect: str) -> sa.Select[Any]:
    return sa.select(*(cast_for_landing(column, dialect) for column in table.c))


def _select_window(
    table: sa.TableClause,
    dialect: str,
    window: ColumnWindow | None,
) -> sa.Select[Any]:
    query = _select_columns(table, dialect)
    if window is None:
        return query
    return query.where(build_window_condition(table, window))


def _build_empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _cast_setting(name: str, value: Any) -> Any:
    """Read a setting of the transaction as the type of `value`.

    PostgreSQL knows such an expression as stable, so it searches an index with it.
    """
    if value is None:
        return None
    kind = _choose_setting_type(value)
    return sa.cast(sa.literal_column(f"current_setting('{name}')"), kind)


def _choose_setting_type(value: Any) -> Any:
    # A datetime is a date too, so it comes first.
    if isinstance(value, datetime):
        return sa.TIMESTAMP(timezone=value.tzinfo is not None)
    if isinstance(value, date):
        return sa.Date()
    if isinstance(value, str):
        return sa.Text()
    if isinstance(value, int):
        return sa.BigInteger()
    return sa.Numeric()


def _read_postgresql(
    url: sa.URL,
    settings: SourceSettings,
    table: sa.TableClause,
    window: ColumnWindow | None,
) -> RecordBatches:
    from adbc_driver_postgresql import dbapi

    uri = url.set(drivername="postgresql").render_as_string(hide_password=False)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    with dbapi.connect(uri) as connection, connection.cursor() as cursor:
        for statement in list_opening_statements(dialect, settings):
            cursor.execute(statement)
        if window:
            cursor.execute(_BIND_WINDOW, (str(window.first), str(window.last)))
        cursor.execute(compile_postgresql_query(table, window))
        reader = cursor.fetch_record_batch()
        yield _build_empty_batch(decode_schema(reader.schema))
        for batch in reader:
            yield decode_bytes(restore_infinities(batch))


def _read_sqlite(
    url: sa.URL,
    settings: SourceSettings,
    table: sa.TableClause,
    window: ColumnWindow | None,
) -> RecordBatches:
    from adbc_driver_sqlite import StatementOptions, dbapi

    query, parameters = _compile_sqlite_query(table, window)
    options = {StatementOptions.BATCH_ROWS.value: str(DATABASE_BATCH_ROWS)}
    uri = f"{url.database}?mode=ro"
    with dbapi.connect(uri) as connection, connection.cursor(adbc_stmt_kwargs=options) as cursor:
        cursor.execute(query, parameters or None)
        reader = cursor.fetch_record_batch()
        yield _build_empty_batch(reader.schema)
        text_row_and_more = reader.read_next_batch()
        for batch in itertools.chain([text_row_and_more.slice(1)], reader):
            yield escape_invalid_texts(read_marked_bytes(batch))


def _compile_sqlite_query(
    table: sa.TableClause, window: ColumnWindow | None
) -> tuple[str, list[Any]]:
    """Compile the query and its parameters. Its first row has an empty text in each column.

    The driver infers the type of a column from the first rows, so this row makes all of them texts.
    """
    empty_texts: list[Any] = [sa.literal_column("''").label(column.name) for column in table.c]
    text_row: Any = sa.select(*empty_texts)
    rows = _select_window(table, "sqlite", window)
    compiled = sa.union_all(text_row, rows).compile(dialect=sqlite.dialect())
    names = compiled.positiontup or ()
    return str(compiled), [compiled.params[name] for name in names]


def _read_with_sqlalchemy(
    url: sa.URL,
    settings: SourceSettings,
    table: sa.TableClause,
    window: ColumnWindow | None,
) -> RecordBatches:
    engine = create_source_engine(url, settings)
    query = _select_window(table, engine.dialect.name, window)
    schema = _infer_schema(table, query)
    yield _build_empty_batch(decode_schema(schema))
    try:
        with engine.connect() as connection:
            for statement in list_opening_statements(engine.dialect, settings):
                connection.exec_driver_sql(statement)
            streamed = connection.execution_options(
                stream_results=True, max_row_buffer=DATABASE_BATCH_ROWS
            )
            # When a result is closed early, PyMySQL reads the rest of it first.
            with streamed.execute(query) as result:
                yield from _stream_result(result, schema)
    finally:
        engine.dispose()


def _infer_schema(table: sa.TableClause, query: sa.Select[Any]) -> pa.Schema:
    """Columns that are selected as floats or bytes have these types; all others are text."""
    fields = []
    for name, column in zip(table.c.keys(), query.selected_columns, strict=True):
        kind = pa.string()
        if isinstance(column.type, sa.Float):
            kind = pa.float64()
        elif isinstance(column.type, sa.types._Binary):
            kind = pa.binary()
        fields.append(pa.field(name, kind))
    return pa.schema(fields)


def _stream_result(result: sa.CursorResult[Any], schema: pa.Schema) -> RecordBatches:
    cursor = result.cursor
    try:
        for rows in result.partitions(DATABASE_BATCH_ROWS):
            columns = zip(zip(*rows, strict=True), schema.types, strict=True)
            arrays = [pa.array(values, kind) for values, kind in columns]
            yield decode_bytes(pa.record_batch(arrays, schema=schema))
    except sa.exc.DBAPIError:
        unread_result = getattr(cursor, "_result", None)
        if unread_result is not None:
            # PyMySQL would go on reading from the broken connection once this is garbage.
            unread_result.unbuffered_active = False
        raise
