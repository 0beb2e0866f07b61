"""Show one file as a view in DuckDB, with each value as the source wrote it."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.components.fetch.file_errors import (
    build_encoding_error,
    explain_unreadable_file,
    find_broken_json_line,
)
from dawnlist.components.fetch.layouts import FORMATS_BY_SUFFIX, TableFiles
from dawnlist.components.fetch.source_files import (
    COMPRESSIONS,
    FILE_BLOCK_BYTES,
    LocalCopies,
    SourceFile,
)
from dawnlist.rows.sql_dialects import IbisConnection, quote_sql_text

FILE_BATCH_ROWS = 100_000
DELIMITERS = (",", "\t", ";", "|")
_MAX_JSON_OBJECT_BYTES = 64 * FILE_BLOCK_BYTES


@dataclass(frozen=True)
class FileView:
    """A file that is ready to be read."""

    file: SourceFile
    select: str
    """A SQL query for its columns as c0, c1, ...: DuckDB takes 'Event' and 'event' for one name."""
    path: Path
    """The local copy of the file: uncompressed, and UTF-8 unless it is Parquet."""
    names: tuple[str, ...]
    """The source's names of c0, c1, ..., each once."""
    types: tuple[pa.DataType, ...]
    """The types of c0, c1, ..."""


@dataclass(frozen=True)
class _Columns:
    """The columns of a file and the query that selects them."""

    names: list[str]
    """The source's names of c0, c1, ..."""
    select: str


def open_utc_duckdb() -> IbisConnection:
    """Open a new in-memory DuckDB that works in UTC."""
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return connection


def prepare_file_view(
    connection: IbisConnection,
    copies: LocalCopies,
    file: SourceFile,
    table: TableFiles,
) -> FileView:
    """Find out the columns of a file and their types.

    Raises:
        ValueError: The file can't be read. The message is one line.
    """
    file_format = table.format or FORMATS_BY_SUFFIX[file.ending]
    path = _copy_file(copies, file, table, file_format)
    columns = _inspect_file(connection, file, path, table, file_format)
    columns = _add_flag_columns(columns, file, table)
    try:
        result = connection.con.sql(f"SELECT * FROM ({columns.select}) LIMIT 0")
        types = tuple(result.to_arrow_reader(1).schema.types)
    except duckdb.Error as error:
        raise explain_unreadable_file(file, path, error) from None
    return FileView(file, columns.select, path, _make_unique_names(columns.names), types)


def _copy_file(
    copies: LocalCopies,
    file: SourceFile,
    table: TableFiles,
    file_format: str,
) -> Path:
    """Make a local copy that DuckDB can read. ValueError when the file is empty."""
    compression = file.compression
    if table.compression is not None:
        compression = COMPRESSIONS.get(table.compression)
    encodings = ("utf-8",) if file_format == "parquet" else table.encoding
    path = copies.get_local_path(file, compression, encodings)
    if not path.stat().st_size:
        raise ValueError(f"{file.label!r} is empty: take it away, or write it again")
    return path


def _inspect_file(
    connection: IbisConnection,
    file: SourceFile,
    path: Path,
    table: TableFiles,
    file_format: str,
) -> _Columns:
    if file_format == "csv":
        return _inspect_csv(file, path, table)
    if file_format == "jsonl":
        return _inspect_jsonl(connection, file, path)
    return _inspect_parquet(file, path)


def _add_flag_columns(
    columns: _Columns,
    file: SourceFile,
    table: TableFiles,
) -> _Columns:
    """Add the columns of the table's flags: they list the names of the columns that hold 1.

    Raises:
        ValueError: The file has no such column.
    """
    names, select = list(columns.names), columns.select
    for flag_name, flag_columns in table.flags.items():
        cells = []
        for column in flag_columns:
            if column not in columns.names:
                raise ValueError(
                    f"{file.label!r} has no column {column!r}, "
                    f"which is a flag of {flag_name!r} in its mapping"
                )
            index = columns.names.index(column)
            cells.append(f"CASE WHEN c{index} = '1' THEN {quote_sql_text(column)} END")
        select = f"SELECT *, concat_ws('|', {', '.join(cells)}) AS c{len(names)} FROM ({select})"
        names.append(flag_name)
    return _Columns(names, select)


def view_query(connection: IbisConnection, query: str) -> Any:
    """Show a query as an Ibis table, which is valid until the next call."""
    connection.raw_sql(f"CREATE OR REPLACE VIEW shown AS {query}")
    return connection.table("shown")


def stream_batches(
    connection: IbisConnection,
    view: FileView,
    query: str,
) -> Iterator[pa.RecordBatch]:
    """Stream the result of a query over a file.

    Raises:
        ValueError: The file can't be read. The message is one line.
    """
    try:
        yield from connection.con.sql(query).to_arrow_reader(FILE_BATCH_ROWS)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        # Once the first batch is read, the errors are Arrow's.
        raise explain_unreadable_file(view.file, view.path, error) from None


def _inspect_csv(
    file: SourceFile,
    path: Path,
    table: TableFiles,
) -> _Columns:
    delimiter = table.delimiter
    if not delimiter and file.ending == "tsv":
        delimiter = "\t"
    names, has_header = list(table.columns), not table.columns
    if has_header:
        names, delimiter = _read_csv_header(file, path, delimiter, table.quote)
    cells = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(names)))
    quote = quote_sql_text(table.quote)
    options = (
        f"columns = {{{cells}}}",
        "auto_detect = false",
        f"delim = {quote_sql_text(delimiter or ',')}",
        f"quote = {quote}",
        f"escape = {quote}",
        f"header = {str(has_header).lower()}",
        "strict_mode = true",
        "null_padding = false",
    )
    path_text = quote_sql_text(str(path))
    return _Columns(names, f"SELECT * FROM read_csv({path_text}, {', '.join(options)})")


def _read_csv_header(
    file: SourceFile,
    path: Path,
    delimiter: str,
    quote: str,
) -> tuple[list[str], str]:
    """Read the names of the columns, and infer the delimiter unless it is known."""
    with path.open("rb") as lines:
        try:
            header = lines.readline(FILE_BLOCK_BYTES).decode("utf-8-sig")
            delimiter = delimiter or max(DELIMITERS, key=header.count)
            if len(delimiter) > 1 or not quote:
                return header.rstrip("\r\n").split(delimiter), delimiter
            names = next(csv.reader([header], delimiter=delimiter, quotechar=quote), [])
        except UnicodeDecodeError:
            raise build_encoding_error(file, 1) from None
        except csv.Error as error:
            raise ValueError(
                f"{file.label!r} is no CSV: its header can't be read ({error})"
            ) from None
    if not any(names):
        raise ValueError(
            f"{file.label!r} has no header: its first line is blank; "
            "a mapping file can name its columns"
        )
    return names, delimiter


def _inspect_jsonl(
    connection: IbisConnection,
    file: SourceFile,
    path: Path,
) -> _Columns:
    """Every key that any object of the file has is a column."""
    limit = f"maximum_object_size = {_MAX_JSON_OBJECT_BYTES}"
    objects = f"read_ndjson_objects({quote_sql_text(str(path))}, {limit})"
    query = f"SELECT DISTINCT json_type(json), json_keys(json) FROM {objects}"
    try:
        shapes = connection.raw_sql(query).fetchall()
    except duckdb.Error as error:
        raise explain_unreadable_file(file, path, error) from None
    keys: set[str] = set()
    for kind, object_keys in shapes:
        if kind != "OBJECT":
            raise find_broken_json_line(file, path)
        keys.update(object_keys)
    names = sorted(keys)
    pointers = ", ".join(map(_quote_json_pointer, names))
    cells = ", ".join(f"v[{index + 1}] AS c{index}" for index in range(len(names)))
    texts = f"SELECT json_extract_string(json, [{pointers}]) AS v FROM {objects}"
    return _Columns(names, f"SELECT {cells} FROM ({texts})")


def _quote_json_pointer(key: str) -> str:
    """Quote the JSON pointer (RFC 6901) to a key as a SQL literal."""
    escaped_key = key.replace("~", "~0").replace("/", "~1")
    return quote_sql_text("/" + escaped_key)


def _inspect_parquet(file: SourceFile, path: Path) -> _Columns:
    try:
        with pq.ParquetFile(path) as parquet_file:
            names = list(parquet_file.schema_arrow.names)
    except (pa.ArrowInvalid, OSError) as error:
        line = str(error).splitlines()[0]
        raise ValueError(
            f"{file.label!r} can't be read as Parquet, it is damaged or was cut off ({line}): "
            "copy it again"
        ) from None
    cells = ", ".join(f"c{index}" for index in range(len(names)))
    path_text = quote_sql_text(str(path))
    return _Columns(names, f"SELECT * FROM read_parquet({path_text}) AS rows({cells})")


def _make_unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Add a number to repeated names: Parquet may hold a name twice, other readers may not."""
    unique_names: dict[str, None] = {}
    for name in names:
        unique_name, number = name, 0
        while unique_name in unique_names:
            number += 1
            unique_name = f"{name}_{number}"
        unique_names[unique_name] = None
    return tuple(unique_names)
