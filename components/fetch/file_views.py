"""One file as a view in DuckDB, each value as the source wrote it, and what is wrong with it in one line."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.components.fetch.layouts import FORMATS_BY_SUFFIX, TableFiles
from dawnlist.components.fetch.source_files import (
    COMPRESSIONS,
    FILE_BLOCK_BYTES,
    LocalCopies,
    SourceFile,
)
from dawnlist.rows.sql_dialects import IbisConnection

FILE_BATCH_ROWS = 100_000
DELIMITERS = (",", "\t", ";", "|")


@dataclass(frozen=True)
class FileView:
    """A file that is ready to be read."""

    file: SourceFile
    select: str
    """SQL that gives its columns as c0, c1, ..., since DuckDB takes 'Event' and 'event' for one name."""
    path: Path
    """Its plain local copy."""
    names: tuple[str, ...]
    """What the source calls c0, c1, ..."""
    types: tuple[pa.DataType, ...]


def open_utc_duckdb() -> IbisConnection:
    """A new in-memory DuckDB that reads and shows times in UTC."""
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return connection


def prepare_file_view(
    connection: IbisConnection, copies: LocalCopies, file: SourceFile, table: TableFiles
) -> FileView:
    """Look at a file: its columns and their types. ValueError in one line when it can't be read."""
    compression = (
        file.compression if table.compression is None else COMPRESSIONS.get(table.compression)
    )
    kind = table.format or FORMATS_BY_SUFFIX[file.ending]
    path = copies.get_local_path(
        file, compression, ("utf-8",) if kind == "parquet" else table.encoding
    )
    if not path.stat().st_size:
        raise ValueError(f"{file.label!r} is empty: take it away, or write it again")
    look = {"csv": _inspect_csv, "jsonl": _inspect_jsonl, "parquet": _inspect_parquet}[kind]
    names, select = look(connection, file, path, table)
    for place, (name, flags) in enumerate(table.flags.items(), len(names)):
        if absent := [flag for flag in flags if flag not in names]:
            raise ValueError(
                f"{file.label!r} has no column {absent[0]!r}, which is a flag of {name!r} in its mapping"
            )
        cells = ", ".join(
            f"CASE WHEN c{names.index(flag)} = '1' THEN {_quote_sql_text(flag)} END"
            for flag in flags
        )
        select = f"SELECT *, concat_ws('|', {cells}) AS c{place} FROM ({select})"
    unique = _make_unique_names([*names, *table.flags])
    try:
        schema = connection.con.sql(f"SELECT * FROM ({select}) LIMIT 0").to_arrow_reader(1).schema
    except duckdb.Error as error:
        raise explain_unreadable_file(file, path, error) from None
    return FileView(file, select, path, unique, tuple(schema.types))


def view_query(connection: IbisConnection, query: str) -> Any:
    """A query as an Ibis table, until the next one."""
    connection.raw_sql(f"CREATE OR REPLACE VIEW shown AS {query}")
    return connection.table("shown")


def stream_batches(
    connection: IbisConnection, part: FileView, query: str
) -> Iterator[pa.RecordBatch]:
    """Stream a query over a part."""
    try:
        yield from connection.con.sql(query).to_arrow_reader(FILE_BATCH_ROWS)
    except (
        duckdb.Error,
        pa.ArrowException,
        OSError,
    ) as error:  # Arrow's, once the first batch was read
        raise explain_unreadable_file(part.file, part.path, error) from None


def _inspect_csv(
    _: IbisConnection, file: SourceFile, path: Path, table: TableFiles
) -> tuple[list[str], str]:
    delimiter, quote = table.delimiter or ("\t" if file.ending == "tsv" else ""), table.quote
    names = list(table.columns)
    if not names:
        names, delimiter = _read_csv_header(file, path, delimiter, quote)
    cells = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(names)))
    return names, (
        f"SELECT * FROM read_csv({_quote_sql_text(str(path))}, columns = {{{cells}}}, auto_detect = false, "
        f"delim = {_quote_sql_text(delimiter or ',')}, quote = {_quote_sql_text(quote)}, escape = {_quote_sql_text(quote)}, "
        f"header = {'false' if table.columns else 'true'}, strict_mode = true, null_padding = false)"
    )


def _read_csv_header(
    file: SourceFile, path: Path, delimiter: str, quote: str
) -> tuple[list[str], str]:
    """The names of the columns, and what lies between them."""
    with path.open("rb") as lines:
        try:
            first = lines.readline(FILE_BLOCK_BYTES).decode("utf-8-sig")
            between = delimiter or max(DELIMITERS, key=first.count)
            if len(between) > 1 or not quote:
                return first.rstrip("\r\n").split(between), between
            names = next(csv.reader([first], delimiter=between, quotechar=quote), [])
        except UnicodeDecodeError:
            raise _build_encoding_error(file, 1) from None
        except csv.Error as error:
            raise ValueError(
                f"{file.label!r} is no CSV: its header can't be read ({error})"
            ) from None
    if not any(names):
        raise ValueError(
            f"{file.label!r} has no header: its first line is blank; a mapping file can name its columns"
        )
    return names, between


def _inspect_jsonl(
    connection: IbisConnection, file: SourceFile, path: Path, _: TableFiles
) -> tuple[list[str], str]:
    objects = f"read_ndjson_objects({_quote_sql_text(str(path))}, maximum_object_size = {64 * FILE_BLOCK_BYTES})"
    try:
        kinds = connection.raw_sql(
            f"SELECT DISTINCT json_type(json), json_keys(json) FROM {objects}"
        ).fetchall()
    except duckdb.Error as error:
        raise explain_unreadable_file(file, path, error) from None
    if any(kind != "OBJECT" for kind, _ in kinds):
        raise _find_broken_json_line(file, path)
    names = sorted({key for _, keys in kinds for key in keys})
    pointers = ", ".join(
        _quote_sql_text("/" + name.replace("~", "~0").replace("/", "~1")) for name in names
    )
    cells = ", ".join(f"v[{place + 1}] AS c{place}" for place in range(len(names)))
    return (
        names,
        f"SELECT {cells} FROM (SELECT json_extract_string(json, [{pointers}]) AS v FROM {objects})",
    )


def _inspect_parquet(
    _: IbisConnection, file: SourceFile, path: Path, __: TableFiles
) -> tuple[list[str], str]:
    try:
        with pq.ParquetFile(path) as found:
            names = list(found.schema_arrow.names)
    except (pa.ArrowInvalid, OSError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(
            f"{file.label!r} can't be read as Parquet, it is damaged or was cut off ({said}): copy it again"
        ) from None
    cells = ", ".join(f"c{place}" for place in range(len(names)))
    return names, f"SELECT * FROM read_parquet({_quote_sql_text(str(path))}) AS rows({cells})"


def explain_unreadable_file(file: SourceFile, path: Path, error: Exception) -> ValueError:
    """The line that says what is wrong with a file."""
    said = str(error)
    line = int(found[1]) if (found := re.search(r"on Line: (\d+)", said)) else None
    if "JSON" in said:
        return _find_broken_json_line(file, path)
    if "not utf-8" in said or "Invalid unicode" in said:
        return _build_encoding_error(file, line)
    if fields := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said):
        wrong = f"has {fields[2]} fields instead of {fields[1]}"
    elif "unterminated quote" in said:
        wrong = "has a quote that does not end, or stands inside a value"
    elif "state machine" in said:
        wrong = "mixes two kinds of line ends, or has quotes in a way that is no CSV"
    else:
        wrong = f"can't be read: {said.strip().splitlines()[0]}"
    return ValueError(
        f"{_format_location(file, line)} {wrong}: correct the file, nothing of it was taken in"
    )


def _build_encoding_error(file: SourceFile, line: int | None) -> ValueError:
    return ValueError(
        f"{_format_location(file, line)} is not UTF-8: set the encoding in a mapping file, "
        "e.g. encoding: latin-1 (docs/SOURCES.md)"
    )


def _find_broken_json_line(file: SourceFile, path: Path) -> ValueError:
    """DuckDB miscounts the lines of JSON: look again."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                if line.strip() and not isinstance(json.loads(line), dict):
                    return ValueError(
                        f"{_format_location(file, number)} is no JSON object: write one object a line"
                    )
            except UnicodeDecodeError:
                return _build_encoding_error(file, number)
            except json.JSONDecodeError as error:
                said = f"is no JSON ({error.msg}): correct the file, nothing of it was taken in"
                return ValueError(f"{_format_location(file, number)} {said}")
    return ValueError(f"{file.label!r} is no JSON with one object a line")


def _format_location(file: SourceFile, line: int | None) -> str:
    return repr(file.label) if line is None else f"{file.label!r}, line {line},"


def _make_unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names, of which a repeated one gets a number: Parquet could hold it twice, other readers could not."""
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        free = next(
            text for n in range(len(names)) if (text := f"{name}_{n}" if n else name) not in seen
        )
        seen[free] = place
    return tuple(seen)


def _quote_sql_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
