"""Read JSON with DuckDB: an object a line, objects over several lines, or one array of objects."""

import shutil
from pathlib import Path

import duckdb

from dawnlist.components.fetch.formats.columns import (
    MAX_COLUMNS,
    FileColumns,
    quote_json_pointer,
    refuse_many_columns,
)
from dawnlist.components.fetch.formats.file_errors import (
    MAX_JSON_OBJECT_BYTES,
    explain_unreadable_file,
    find_broken_json_line,
)
from dawnlist.components.fetch.formats.local_copies import FILE_BLOCK_BYTES
from dawnlist.components.fetch.source_files import SourceFile
from dawnlist.rows.sql_dialects import IbisConnection, quote_sql_text

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ENDS_INSIDE_AN_OBJECT = (b"{", b"[", b",", b":")
"""How a line may end that is followed by more of the same object, and how the next may begin."""
_STARTS_INSIDE_AN_OBJECT = (b'"', b"}", b"]")


def strip_byte_order_mark(path: Path, copy: Path) -> Path:
    """Copy a file without the byte order mark, which DuckDB does not take; else return `path`."""
    with path.open("rb") as stream:
        if stream.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
            return path
        with copy.open("wb") as stripped:
            shutil.copyfileobj(stream, stripped, FILE_BLOCK_BYTES)
    return copy


def inspect_json(connection: IbisConnection, file: SourceFile, path: Path) -> FileColumns:
    """Find the columns of a JSON file: every key that any of its objects has.

    Raises:
        ValueError: The file can't be read, holds something else than objects, or has too many keys.
    """
    layout = _detect_layout(path)
    objects = (
        f"read_json_objects({quote_sql_text(str(path))}, format = '{layout}', "
        f"maximum_object_size = {MAX_JSON_OBJECT_BYTES})"
    )
    names = _read_keys(connection, file, path, objects, layout)
    pointers = ", ".join(quote_json_pointer([name]) for name in names)
    cells = ", ".join(f"v[{index + 1}] AS c{index}" for index in range(len(names)))
    texts = f"SELECT json_extract_string(json, [{pointers}]) AS v FROM {objects}"
    return FileColumns(names, f"SELECT {cells} FROM ({texts})")


def _read_keys(
    connection: IbisConnection, file: SourceFile, path: Path, objects: str, layout: str
) -> list[str]:
    shapes = f"SELECT DISTINCT json_type(json) AS kind, json_keys(json) AS keys FROM {objects}"
    query = (
        f"WITH shapes AS MATERIALIZED ({shapes}), keys AS (SELECT DISTINCT unnest(keys) AS key "
        f"FROM shapes LIMIT {MAX_COLUMNS + 1}) "
        "SELECT (SELECT count(*) FROM shapes WHERE kind IS DISTINCT FROM 'OBJECT'), "
        "(SELECT list(key ORDER BY key) FROM keys)"
    )
    try:
        [(other_values, names)] = connection.raw_sql(query).fetchall()
    except duckdb.Error as error:
        raise explain_unreadable_file(file, path, error) from None
    if other_values and layout == "newline_delimited":
        raise find_broken_json_line(file, path)
    if other_values or not names:
        raise ValueError(
            f"{file.label!r} holds values that are no JSON objects: give objects alone"
        )
    refuse_many_columns(file.label, names)
    return list(names)


def _detect_layout(path: Path) -> str:
    """Detect DuckDB's name of the layout from the first lines."""
    with path.open("rb") as stream:
        text = stream.read(FILE_BLOCK_BYTES).lstrip()
    if text.startswith(b"["):
        return "array"
    first_line, _, rest = text.partition(b"\n")
    is_open = first_line.strip().endswith(_ENDS_INSIDE_AN_OBJECT)
    # After a line that was cut, the next object follows.
    if is_open and rest.lstrip().startswith(_STARTS_INSIDE_AN_OBJECT):
        return "unstructured"
    return "newline_delimited"
