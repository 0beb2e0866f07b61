"""SQL over the lake, in a DuckDB that can read the lake's tables and nothing else.

    interactions, quarantine, items, users      the Delta tables
    events, dead_events                         what the collector landed, and what it refused
    shown                                       what the predictor's answers showed
    landing.interactions, landing.items, …      the landing objects, with their columns united by
                                                name, and the column landing_object

Both are Arrow datasets, into which DuckDB pushes columns and filters: with a condition on
event_date only the files of those days are opened.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from dawnlist.explore.landing_datasets import open_landing_datasets
from dawnlist.lake.lake import Lake
from dawnlist.schema import (
    DEAD_EVENTS_SCHEMA,
    EVENTS_SCHEMA,
    INTERACTIONS_SCHEMA,
    ITEMS_SCHEMA,
    QUARANTINE_SCHEMA,
    SHOWN_SCHEMA,
    USERS_SCHEMA,
)

if TYPE_CHECKING:  # it imports pandas where that is installed
    import pyarrow.dataset as pads

QUERY_MEMORY = "1GB"
"""How much memory DuckDB may use. A sort of more data goes through a temporary folder."""
QUERY_BATCH_ROWS = 100_000
"""How many rows of an answer are in one batch."""
_LOCKDOWN_STATEMENTS = (
    "SET TimeZone = 'UTC'",
    "SET errors_as_json = true",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_CONNECTION_CONFIG: dict[str, str | int | float | list[str]] = {
    "memory_limit": QUERY_MEMORY,
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
# these tables can be queried before they have rows: without rejected rows there is no quarantine
_TABLE_SCHEMAS = {
    "interactions": INTERACTIONS_SCHEMA,
    "quarantine": QUARANTINE_SCHEMA,
    "items": ITEMS_SCHEMA,
    "users": USERS_SCHEMA,
    "events": EVENTS_SCHEMA,
    "shown": SHOWN_SCHEMA,
    "dead_events": DEAD_EVENTS_SCHEMA,
}
_EXPLAIN_PREFIX = re.compile(r"\s*explain\b(\s+analyze\b)?(\s*\([^()]*\))?", re.IGNORECASE)
_READ_ONLY_ADVICE = "give SELECT, WITH, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN: the lake is only read"
_LOCKDOWN_ERRORS = ("disabled by configuration", "disabled through configuration", "been locked")

TableVersions = Mapping[str, int]
"""Delta table -> the version of it to read. Tables that are not named are read at their newest."""


def query_lake(lake: Lake, sql: str, versions: TableVersions | None = None) -> pa.Table:
    """Answer one SQL statement; the answer has to fit into memory.

    See `open_query_stream`, which also says what is raised.
    """
    with open_query_stream(lake, sql, versions) as reader:
        return reader.read_all()


@contextmanager
def open_query_stream(
    lake: Lake,
    sql: str,
    versions: TableVersions | None = None,
    limit: int | None = None,
    other_tables: Mapping[str, pa.RecordBatchReader] | None = None,
) -> Iterator[pa.RecordBatchReader]:
    """Answer one SQL statement as a stream of batches, with at most `limit` rows.

    `other_tables` are read once each, and copied to where DuckDB keeps what memory does not hold.

    Raises:
        ValueError: The statement is wrong, or it would do more than read. The message says where.
        FileNotFoundError: The lake is empty.
    """
    with tempfile.TemporaryDirectory(prefix="dawnlist-sql-") as folder:
        connection = duckdb.connect(config={**_CONNECTION_CONFIG, "temp_directory": folder})
        try:
            table_names = _register_tables(connection, lake, sql, versions or {})
            table_names += _copy_tables(connection, other_tables or {})
            for setting in _LOCKDOWN_STATEMENTS:
                connection.execute(setting)
            _check_statement(connection, sql)
            with _translate_errors(sql, table_names):
                reader = _execute_query(connection, sql, limit)
            batches = _stream_batches(reader, sql, table_names)
            yield pa.RecordBatchReader.from_batches(reader.schema, batches)
        finally:
            connection.close()


def _execute_query(
    connection: duckdb.DuckDBPyConnection, sql: str, limit: int | None
) -> pa.RecordBatchReader:
    try:
        relation = connection.sql(sql)
    except duckdb.Error:
        # this fails too, with an error that has the position in the text
        connection.execute(sql)
        raise
    if limit is not None:
        relation = relation.limit(limit)
    elif len(set(relation.columns)) < len(relation.columns):
        # no file format has two columns of one name; this renames them to a, a_1, as a limit does
        relation = relation.select("*")
    return relation.to_arrow_reader(QUERY_BATCH_ROWS)


def _stream_batches(
    reader: pa.RecordBatchReader, sql: str, table_names: list[str]
) -> Iterator[pa.RecordBatch]:
    with _translate_errors(sql, table_names):
        yield from reader


def _check_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Check that `sql` is one statement that only reads; raises ValueError."""
    with _translate_errors(sql, []):
        statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise ValueError(f"the query holds {len(statements)} statements: give one")
    statement_type = statements[0].type
    if statement_type == duckdb.StatementType.EXPLAIN:
        prefix = _EXPLAIN_PREFIX.match(sql)
        if not prefix:
            raise ValueError("the query explains something after a comment: begin with EXPLAIN")
        # EXPLAIN ANALYZE runs the statement that it explains
        _check_statement(connection, sql[prefix.end() :])
    elif statement_type != duckdb.StatementType.SELECT:
        raise ValueError(f"{statement_type.name} is refused: {_READ_ONLY_ADVICE}")


def _register_tables(
    connection: duckdb.DuckDBPyConnection, lake: Lake, sql: str, versions: TableVersions
) -> list[str]:
    """Register the tables that `sql` names, or all when it names none.

    Returns the names of all tables, those of landing with their schema.
    """
    stored_tables = lake.names("tables")
    landing_tables = lake.names("landing")
    if not stored_tables and not landing_tables:
        raise FileNotFoundError(
            f"there is nothing in the lake {lake.uri}: `dawnlist run --local` fills it"
        )
    _check_versions(versions, stored_tables)
    table_names = list(dict.fromkeys([*_TABLE_SCHEMAS, *stored_tables]))
    text = sql.lower()
    mentioned = {name for name in (*table_names, *landing_tables) if name.lower() in text}
    for name in table_names:
        if name in mentioned or not mentioned:
            is_stored = name in stored_tables
            rows = _open_at_version(lake, name, versions.get(name)) if is_stored else None
            if rows is None:
                rows = _TABLE_SCHEMAS[name].empty_table()
            connection.register(name, rows)
    connection.execute("CREATE SCHEMA landing")
    for name in landing_tables:
        is_mentioned = name in mentioned and "landing" in text
        if is_mentioned or not mentioned:
            _register_landing_view(connection, lake, name)
    return table_names + [f"landing.{name}" for name in landing_tables]


def _copy_tables(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.RecordBatchReader]
) -> list[str]:
    """Copy tables that can be read only once; returns their names."""
    for name, rows in tables.items():
        connection.register(f"{name}_stream", rows)
        quoted = _quote_identifier(name)
        stream = _quote_identifier(f"{name}_stream")
        connection.execute(f"CREATE TABLE {quoted} AS SELECT * FROM {stream}")
        connection.unregister(f"{name}_stream")
    return list(tables)


def _check_versions(versions: TableVersions, stored_tables: list[str]) -> None:
    unknown = sorted(set(versions) - set(stored_tables))
    if unknown:
        raise ValueError(
            f"there is no table {unknown[0]!r} to read at a version: "
            f"there are {', '.join(stored_tables)}"
        )


def _open_at_version(lake: Lake, name: str, version: int | None) -> "pads.Dataset | None":
    from deltalake.exceptions import DeltaError

    try:
        return lake.rows(name, version)
    except DeltaError:
        if version is None:
            raise
    table = lake.table(name)
    newest = table.version() if table else "none"
    raise ValueError(
        f"table {name!r} has no version {version} that can still be read: its newest is {newest}"
    )


def _register_landing_view(connection: duckdb.DuckDBPyConnection, lake: Lake, table: str) -> None:
    """Create the view landing.{table}, which unites the columns of all its datasets by name."""
    selects = []
    for number, dataset in enumerate(open_landing_datasets(lake, table)):
        name = f"landing_{table}_{number}"
        connection.register(name, dataset)
        selects.append(f"SELECT * FROM {_quote_identifier(name)}")
    if selects:
        query = " UNION ALL BY NAME ".join(selects)
        connection.execute(f"CREATE VIEW landing.{_quote_identifier(table)} AS {query}")


def _quote_identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _translate_errors(sql: str, table_names: list[str]) -> Iterator[None]:
    """Raise DuckDB's errors as ValueErrors in one line, with the position in `sql`."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise ValueError(_explain_error(str(error), sql, table_names)) from None


def _explain_error(message: str, sql: str, table_names: list[str]) -> str:
    error_type, _, details_json = message.partition(": ")
    details: dict[str, Any] = {}
    with suppress(ValueError):
        details = dict(json.loads(details_json))
    text = str(details.get("exception_message", details_json or message))
    if details.get("error_subtype") == "MISSING_ENTRY" and details.get("type") == "Table":
        text = f"there is no table {details['name']!r}: there are {', '.join(table_names)}"
    elif any(lockdown_error in text for lockdown_error in _LOCKDOWN_ERRORS):
        text = f"{text}: only the lake can be read"
    elif error_type == "Out of Memory Error":
        text = (
            f"the query needs more than {QUERY_MEMORY} of memory: "
            "name fewer columns, days or groups"
        )
    position = ""
    if "position" in details:
        position = _format_position(sql, int(details["position"]))
    return f"the query can't be answered: {' '.join(text.split())}{position}"


def _format_position(sql: str, byte_offset: int) -> str:
    before = sql.encode()[:byte_offset].decode(errors="ignore")
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    return f" (line {line}, column {column})"
