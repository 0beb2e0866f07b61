"""How a table's rows become Arrow batches: ADBC for PostgreSQL and SQLite, SQLAlchemy for the rest.

Chosen by figures: docs/INGEST.md. Each read is one statement in a read-only transaction of its own, streamed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from dawnlist.components.fetch.dialects import (
    cast_for_landing,
    create_source_engine,
    list_opening_statements,
)
from dawnlist.settings import SourceSettings

DATABASE_BATCH_ROWS = 65_536
_START, _STOP = "dawnlist.start", "dawnlist.stop"
_BIND_WINDOW = f"SELECT set_config('{_START}', $1, true), set_config('{_STOP}', $2, true)"
RecordBatches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class ColumnWindow:
    """The rows whose `column` lies in [first, last), in the form that the column has."""

    column: str
    first: Any
    """None: the column has no value yet, so that no row lies in the window."""
    last: Any


def read_source_table(
    url: sa.URL, settings: SourceSettings, table: sa.TableClause, window: ColumnWindow | None
) -> RecordBatches:
    """The table's rows, or those of the window; the first batch has no rows, so that the columns are always known."""
    reader = {"postgresql": _read_postgresql, "sqlite": _read_sqlite}.get(
        url.get_backend_name(), _read_with_sqlalchemy
    )
    return reader(url, settings, table, window)


def build_window_condition(table: sa.TableClause, window: ColumnWindow) -> Any:
    """The condition that a row lies in the window, its limits as bound parameters."""
    column = table.c[window.column]
    return sa.false() if window.first is None else (column >= window.first) & (column < window.last)


def compile_postgresql_query(table: sa.TableClause, window: ColumnWindow | None) -> str:
    """What is sent to PostgreSQL: its COPY, which ADBC reads by, takes no parameters, but reads bound settings."""
    query = sa.select(*(cast_for_landing(column, "postgresql") for column in table.c))
    if window:
        first, last = _cast_setting(_START, window.first), _cast_setting(_STOP, window.last)
        query = query.where(build_window_condition(table, ColumnWindow(window.column, first, last)))
    # another paramstyle than the driver's: a % in a name stays single
    return str(query.compile(dialect=postgresql.dialect(paramstyle="named")))  # type: ignore[no-untyped-call]


def _build_empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _cast_setting(name: str, value: Any) -> Any:
    """A setting of the transaction as the type of `value`; stable, so that an index is searched with it."""
    if value is None:
        return None
    kinds: list[tuple[type, Any]] = [
        (datetime, sa.TIMESTAMP(timezone=getattr(value, "tzinfo", None) is not None)),
        (date, sa.Date()),
        (str, sa.Text()),
        (int, sa.BigInteger()),
    ]
    kind = next((kind for python, kind in kinds if isinstance(value, python)), sa.Numeric())
    return sa.cast(sa.literal_column(f"current_setting('{name}')"), kind)


def _read_postgresql(
    url: sa.URL, settings: SourceSettings, table: sa.TableClause, window: ColumnWindow | None
) -> RecordBatches:
    from adbc_driver_postgresql import dbapi

    uri = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with dbapi.connect(uri) as connection, connection.cursor() as cursor:
        for statement in list_opening_statements(postgresql.dialect(), settings):  # type: ignore[no-untyped-call]
            cursor.execute(statement)
        if window:
            cursor.execute(_BIND_WINDOW, (str(window.first), str(window.last)))
        cursor.execute(compile_postgresql_query(table, window))
        reader = cursor.fetch_record_batch()
        yield _build_empty_batch(reader.schema)
        for batch in reader:
            yield _restore_infinities(batch)


def _restore_infinities(batch: pa.RecordBatch) -> pa.RecordBatch:
    """PostgreSQL's infinity as DuckDB has it, the highest and the lowest number; the driver overflows to others."""
    columns = [_restore_column_infinities(column) for column in batch.columns]
    return pa.record_batch(columns, schema=batch.schema)


def _restore_column_infinities(column: pa.Array) -> pa.Array:
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date32(column.type)):
        return column
    whole, days = (
        (pa.int32(), 10_957)
        if pa.types.is_date32(column.type)
        else (pa.int64(), 946_684_800_000_000)
    )
    top = 2 ** (whole.bit_width - 1) - 1
    numbers = column.view(whole)  # since 1970; the server counts from 2000, `days` later
    lowest = -top - 1 + days
    if column.null_count == len(column) or pc.min(numbers).as_py() > lowest:
        return column
    ends = pc.if_else(pc.equal(numbers, lowest), pa.scalar(-top, whole), pa.scalar(top, whole))
    return pc.if_else(pc.less_equal(numbers, lowest), ends, numbers).view(column.type)


def _read_sqlite(
    url: sa.URL, settings: SourceSettings, table: sa.TableClause, window: ColumnWindow | None
) -> RecordBatches:
    from adbc_driver_sqlite import StatementOptions, dbapi

    columns = [cast_for_landing(column, "sqlite") for column in table.c]
    query = sa.select(*columns)
    query = query.where(build_window_condition(table, window)) if window else query
    # the driver takes a column's type from the first rows: one of texts goes ahead, and is dropped again
    ahead: Any = sa.select(*(sa.literal_column("''").label(column.name) for column in table.c))
    compiled = sa.union_all(ahead, query).compile(dialect=sqlite.dialect())
    values = [compiled.params[name] for name in compiled.positiontup or ()]
    options = {StatementOptions.BATCH_ROWS.value: str(DATABASE_BATCH_ROWS)}
    uri = f"{url.database}?mode=ro"
    with dbapi.connect(uri) as connection, connection.cursor(adbc_stmt_kwargs=options) as cursor:
        cursor.execute(str(compiled), values or None)
        reader = cursor.fetch_record_batch()
        yield _build_empty_batch(reader.schema)
        yield _escape_invalid_texts(reader.read_next_batch().slice(1))
        yield from map(_escape_invalid_texts, reader)


def _escape_invalid_texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    """SQLite's texts that are no UTF-8, of another encoding or of a BLOB, as DuckDB shows bytes: caf\\xE9."""
    columns = [
        _escape_invalid_column(column) if pa.types.is_string(column.type) else column
        for column in batch.columns
    ]
    return pa.record_batch(columns, schema=batch.schema)


def _escape_invalid_column(column: pa.Array) -> pa.Array:
    try:
        column.validate(full=True)
        return column
    except pa.ArrowInvalid:
        return pa.array(
            [_decode_or_escape(value) for value in column.cast(pa.binary()).to_pylist()],
            pa.string(),
        )


def _decode_or_escape(value: bytes | None) -> str | None:
    try:
        return value if value is None else value.decode()
    except UnicodeDecodeError:
        return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02X}" for byte in value or b"")


def _read_with_sqlalchemy(
    url: sa.URL, settings: SourceSettings, table: sa.TableClause, window: ColumnWindow | None
) -> RecordBatches:
    opened = create_source_engine(url, settings)
    query = sa.select(*(cast_for_landing(column, opened.dialect.name) for column in table.c))
    query = query.where(build_window_condition(table, window)) if window else query
    kinds = [
        pa.float64() if isinstance(kind.type, sa.Float) else pa.string()
        for kind in query.selected_columns
    ]
    schema = pa.schema(list(zip(table.c.keys(), kinds, strict=True)))
    yield _build_empty_batch(schema)
    try:
        with opened.connect() as connection:
            for statement in list_opening_statements(opened.dialect, settings):
                connection.exec_driver_sql(statement)
            streamed = connection.execution_options(
                stream_results=True, max_row_buffer=DATABASE_BATCH_ROWS
            )
            # PyMySQL reads a result that is given up to its end when it is closed
            with streamed.execute(query) as result:
                yield from _stream_result(result, schema)
    finally:
        opened.dispose()


def _stream_result(result: sa.CursorResult[Any], schema: pa.Schema) -> RecordBatches:
    cursor = result.cursor
    try:
        for rows in result.partitions(DATABASE_BATCH_ROWS):
            columns = zip(zip(*rows, strict=True), schema.types, strict=True)
            yield pa.record_batch([pa.array(*pair) for pair in columns], schema=schema)
    except sa.exc.DBAPIError:
        unread = getattr(cursor, "_result", None)
        if (
            unread is not None
        ):  # PyMySQL would read on from a connection that broke, whenever it is collected
            unread.unbuffered_active = False
        raise
