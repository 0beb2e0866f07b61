"""SQL over the lake, in a DuckDB that is shut in: it reads the lake's tables and nothing else, and writes nothing.

    interactions, quarantine, items, users      the Delta tables
    landing.interactions, landing.items, …      the landing objects, their columns united by name, and landing_object

Both are Arrow datasets, into which DuckDB pushes columns and filters: a condition on event_date opens that day's files.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import StoredObject
from dawnlist.schema import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, QUARANTINE_SCHEMA, USERS_SCHEMA

if TYPE_CHECKING:  # brings pandas along where there is one
    import pyarrow.dataset as pads

QUERY_MEMORY = "1GB"
"""What DuckDB may hold; a sort of more goes through a temporary folder."""
QUERY_BATCH_ROWS = 100_000
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
_TABLE_SCHEMAS = {
    "interactions": INTERACTIONS_SCHEMA,
    "quarantine": QUARANTINE_SCHEMA,
    "items": ITEMS_SCHEMA,
    "users": USERS_SCHEMA,
}
"""Tables that can be asked before they have rows: where nothing was ever rejected there is no quarantine."""
_EXPLAIN_PREFIX = re.compile(r"\s*explain\b(\s+analyze\b)?(\s*\([^()]*\))?", re.IGNORECASE)
_READ_ONLY_ADVICE = "give SELECT, WITH, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN: the lake is only read"

TableVersions = Mapping[str, int]
"""Delta table -> the version of it to read; the newest of those that are not named."""


def query_lake(lake: Lake, sql: str, versions: TableVersions | None = None) -> pa.Table:
    """The answer to one statement, whole; for more rows than fit into memory there is `answer`."""
    with open_query_stream(lake, sql, versions) as reader:
        return reader.read_all()


@contextmanager
def open_query_stream(
    lake: Lake, sql: str, versions: TableVersions | None = None, limit: int | None = None
) -> Iterator[pa.RecordBatchReader]:
    """The answer to one statement as a stream of batches, cut after `limit` rows.

    ValueError, with the place in the text, when the statement is wrong or would do more than read; FileNotFoundError
    when the lake is empty.
    """
    with tempfile.TemporaryDirectory(prefix="dawnlist-sql-") as folder:
        connection = duckdb.connect(config={**_CONNECTION_CONFIG, "temp_directory": folder})
        try:
            known = _register_tables(connection, lake, sql, versions or {})
            for setting in _LOCKDOWN_STATEMENTS:
                connection.execute(setting)
            _check_statement(connection, sql)
            with _translate_errors(sql, known):
                reader = _execute_query(connection, sql, limit)
            yield pa.RecordBatchReader.from_batches(
                reader.schema, _stream_batches(reader, sql, known)
            )
        finally:
            connection.close()


def _execute_query(
    connection: duckdb.DuckDBPyConnection, sql: str, limit: int | None
) -> pa.RecordBatchReader:
    try:
        relation = connection.sql(sql)
    except duckdb.Error:
        connection.execute(sql)  # fails in the same way, and says where in the text
        raise
    if limit is not None:
        relation = relation.limit(limit)
    elif len(set(relation.columns)) < len(relation.columns):
        relation = relation.select(
            "*"
        )  # a, a_1, as a limit names them: no format has two columns of one name
    return relation.to_arrow_reader(QUERY_BATCH_ROWS)


def _stream_batches(
    reader: pa.RecordBatchReader, sql: str, known: list[str]
) -> Iterator[pa.RecordBatch]:
    with _translate_errors(sql, known):
        yield from reader


def _check_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """ValueError unless `sql` is one statement that only reads."""
    with _translate_errors(sql, []):
        statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise ValueError(f"the query holds {len(statements)} statements: give one")
    [kind] = [statement.type for statement in statements]
    if kind == duckdb.StatementType.EXPLAIN:
        explained = _EXPLAIN_PREFIX.match(sql)
        if not explained:
            raise ValueError("the query explains something after a comment: begin with EXPLAIN")
        _check_statement(
            connection, sql[explained.end() :]
        )  # EXPLAIN ANALYZE runs what it explains
    elif kind != duckdb.StatementType.SELECT:
        raise ValueError(f"{kind.name} is refused: {_READ_ONLY_ADVICE}")


def _register_tables(
    connection: duckdb.DuckDBPyConnection, lake: Lake, sql: str, versions: TableVersions
) -> list[str]:
    """Show the connection the tables that `sql` names, or all when it names none. Returns the names of all."""
    tables, landing = lake.names("tables"), lake.names("landing")
    if not tables and not landing:
        raise FileNotFoundError(
            f"there is nothing in the lake {lake.uri}: `dawnlist run --local` fills it"
        )
    if unknown := sorted(set(versions) - set(tables)):
        raise ValueError(
            f"there is no table {unknown[0]!r} to read at a version: there are {', '.join(tables)}"
        )
    text = sql.lower()
    known = [*_TABLE_SCHEMAS, *(name for name in tables if name not in _TABLE_SCHEMAS)]
    named = {name for name in (*known, *landing) if name.lower() in text}
    for name in known:
        if name in named or not named:
            rows = _open_at_version(lake, name, versions.get(name)) if name in tables else None
            connection.register(name, _TABLE_SCHEMAS[name].empty_table() if rows is None else rows)
    connection.execute("CREATE SCHEMA landing")
    for name in landing:
        if (name in named and "landing" in text) or not named:
            _register_landing_view(connection, lake, name)
    return [*known, *(f"landing.{name}" for name in landing)]


def _open_at_version(lake: Lake, name: str, version: int | None) -> "pads.Dataset | None":
    from deltalake.exceptions import DeltaError

    try:
        return lake.rows(name, version)
    except DeltaError:
        if version is None:
            raise
    newest = lake.table(name)
    raise ValueError(
        f"table {name!r} has no version {version} that can still be read: its newest is "
        f"{newest.version() if newest else 'none'}"
    )


def _register_landing_view(connection: duckdb.DuckDBPyConnection, lake: Lake, table: str) -> None:
    """The view landing.{table}: each set of objects with the same columns is one dataset, and DuckDB unites them."""
    parts = []
    for number, dataset in enumerate(open_landing_datasets(lake, table)):
        name = f"landing_{table}_{number}"
        connection.register(name, dataset)
        parts.append(f"SELECT * FROM {_quote_identifier(name)}")
    if parts:
        connection.execute(
            f"CREATE VIEW landing.{_quote_identifier(table)} AS {' UNION ALL BY NAME '.join(parts)}"
        )


def list_landing_objects(lake: Lake, table: str) -> list[StoredObject]:
    """The Parquet objects below `landing/{table}`, by name."""
    found = (found for found in lake.walk("landing", table) if found.name.endswith(".parquet"))
    return sorted(found, key=lambda found: found.name)


def open_landing_datasets(lake: Lake, table: str) -> "list[pads.FileSystemDataset]":
    """The landing objects of a table, those with the same columns and types together.

    The column landing_object holds the object's name, as interactions.source and quarantine.source_object do.
    """
    import pyarrow.dataset as pads

    parquet = pads.ParquetFileFormat()

    def columns(name: str) -> pa.Schema:
        try:
            return parquet.inspect(lake.path(name), lake.filesystem).remove_metadata()
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"landing object {name} can't be read: {error}") from None

    groups: dict[pa.Schema, list[str]] = {}
    names = [found.name for found in list_landing_objects(lake, table)]
    with ThreadPoolExecutor(8) as pool:
        for name, schema in zip(names, pool.map(columns, names), strict=True):
            groups.setdefault(schema, []).append(name)
    return [
        pads.FileSystemDataset.from_paths(
            [lake.path(name) for name in group],
            schema=schema.append(pa.field("landing_object", pa.string())),
            format=parquet,
            filesystem=lake.filesystem,
            partitions=[pads.field("landing_object") == name for name in group],
        )
        for schema, group in groups.items()
    ]


def _quote_identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _translate_errors(sql: str, known: list[str]) -> Iterator[None]:
    """Say what DuckDB raises in one line, with the place in `sql`."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise ValueError(_explain_error(str(error), sql, known)) from None


def _explain_error(message: str, sql: str, known: list[str]) -> str:
    kind, _, rest = message.partition(": ")
    found: dict[str, Any] = {}
    with suppress(ValueError):
        found = dict(json.loads(rest))
    text = str(found.get("exception_message", rest or message))
    if found.get("error_subtype") == "MISSING_ENTRY" and found.get("type") == "Table":
        text = f"there is no table {found['name']!r}: there are {', '.join(known)}"
    elif (
        "disabled by configuration" in text
        or "disabled through configuration" in text
        or "been locked" in text
    ):
        text = f"{text}: only the lake can be read"
    elif kind == "Out of Memory Error":
        text = f"the query needs more than {QUERY_MEMORY} of memory: name fewer columns, days or groups"
    place = ""
    if "position" in found:
        before = sql.encode()[: int(found["position"])].decode(errors="ignore")
        place = f" (line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))})"
    return f"the query can't be answered: {' '.join(text.split())}{place}"
