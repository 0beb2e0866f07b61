"""Show one file as a view in DuckDB, with each value as the source wrote it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from dawnlist.components.fetch.formats.columns import FileColumns
from dawnlist.components.fetch.formats.compression import BY_CONTENT, COMPRESSIONS
from dawnlist.components.fetch.formats.csv_files import guess_delimiter, inspect_csv
from dawnlist.components.fetch.formats.escaped_text import rewrite_escaped_text
from dawnlist.components.fetch.formats.file_errors import explain_unreadable_file
from dawnlist.components.fetch.formats.json_files import inspect_json, strip_byte_order_mark
from dawnlist.components.fetch.formats.local_copies import LocalCopies
from dawnlist.components.fetch.formats.parquet_files import inspect_parquet
from dawnlist.components.fetch.layouts import FORMATS_BY_SUFFIX, TableFiles
from dawnlist.components.fetch.source_files import SourceFile
from dawnlist.rows.sql_dialects import IbisConnection, quote_sql_text

FILE_BATCH_ROWS = 100_000
"""The most rows of a batch."""
_BATCH_CELLS = 2_000_000
"""About the most cells of a batch: files of many columns get smaller batches."""
_MIN_BATCH_ROWS = 2048


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
    if file_format == "csv":
        path, columns = _inspect_text(copies, file, path, table)
    elif file_format == "jsonl":
        path = strip_byte_order_mark(path, copies.add_path())
        columns = inspect_json(connection, file, path)
    else:
        columns = inspect_parquet(connection, file, path)
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
    compression: str | None = BY_CONTENT
    if table.compression is not None:
        compression = COMPRESSIONS.get(table.compression)
    encodings = None if file_format == "parquet" else table.encoding
    path = copies.get_local_path(file, compression, encodings)
    if not path.stat().st_size:
        raise ValueError(f"{file.label!r} is empty: take it away, or write it again")
    return path


def _inspect_text(
    copies: LocalCopies, file: SourceFile, path: Path, table: TableFiles
) -> tuple[Path, FileColumns]:
    """Inspect a CSV. One without quotes that escapes characters is rewritten with quotes."""
    if table.quote or not table.escape:
        return path, inspect_csv(file, path, table)
    delimiter = table.delimiter or guess_delimiter(file, path)
    quoted = copies.add_path()
    rewrite_escaped_text(file, path, quoted, delimiter, table.escape)
    plain_table = replace(table, delimiter=",", quote='"', escape="")
    return quoted, inspect_csv(file, quoted, plain_table)


def _add_flag_columns(
    columns: FileColumns,
    file: SourceFile,
    table: TableFiles,
) -> FileColumns:
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
    return FileColumns(names, select)


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
    rows = min(FILE_BATCH_ROWS, max(_MIN_BATCH_ROWS, _BATCH_CELLS // len(view.names)))
    try:
        yield from connection.con.sql(query).to_arrow_reader(rows)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        # Once the first batch is read, the errors are Arrow's.
        raise explain_unreadable_file(view.file, view.path, error) from None


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
