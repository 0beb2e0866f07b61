"""Read Parquet with DuckDB, with its types; bytes become text."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.components.fetch.formats.columns import FileColumns, refuse_many_columns
from dawnlist.components.fetch.formats.file_errors import explain_unreadable_file
from dawnlist.components.fetch.source_files import SourceFile
from dawnlist.rows.sql_dialects import IbisConnection, quote_sql_text

_CONTROL_CHARACTERS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"


def inspect_parquet(connection: IbisConnection, file: SourceFile, path: Path) -> FileColumns:
    """Find the columns of a Parquet file.

    Raises:
        ValueError: It is damaged, or has too many columns.
    """
    try:
        with pq.ParquetFile(path) as parquet_file:
            names = list(parquet_file.schema_arrow.names)
    except (pa.ArrowInvalid, OSError) as error:
        line = str(error).splitlines()[0]
        raise ValueError(
            f"{file.label!r} can't be read as Parquet, it is damaged or was cut off ({line}): "
            "copy it again"
        ) from None
    refuse_many_columns(file.label, names)
    cells = ", ".join(f"c{index}" for index in range(len(names)))
    rows = f"SELECT * FROM read_parquet({quote_sql_text(str(path))}) AS rows({cells})"
    try:
        types = connection.con.sql(f"SELECT * FROM ({rows}) LIMIT 0").types
    except duckdb.Error as error:
        raise explain_unreadable_file(file, path, error) from None
    byte_columns = [f"c{index}" for index, kind in enumerate(types) if str(kind) == "BLOB"]
    if byte_columns:
        texts = ", ".join(f"{_read_bytes(column)} AS {column}" for column in byte_columns)
        rows = f"SELECT * REPLACE ({texts}) FROM ({rows})"
    return FileColumns(names, rows)


def _read_bytes(column: str) -> str:
    """Read bytes as text where they are UTF-8 without control characters, else as hexadecimal."""
    text = f"TRY(decode({column}))"
    is_text = f"NOT regexp_matches({text}, '{_CONTROL_CHARACTERS}')"
    return f"CASE WHEN {is_text} THEN {text} ELSE lower(hex({column})) END"
