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

from dawnlist.components.fetch.layouts import FORMATS, Table
from dawnlist.components.fetch.stored import BLOCK_BYTES, COMPRESSIONS, Copies, Stored

Connection = Any
"""An Ibis connection to DuckDB."""
BATCH_ROWS = 100_000
DELIMITERS = (",", "\t", ";", "|")


@dataclass(frozen=True)
class Part:
    """A file that is ready to be read."""

    file: Stored
    select: str
    """SQL that gives its columns as c0, c1, ..., since DuckDB takes 'Event' and 'event' for one name."""
    path: Path
    """Its plain local copy."""
    names: tuple[str, ...]
    """What the source calls c0, c1, ..."""
    types: tuple[pa.DataType, ...]


def connect() -> Connection:
    """A new in-memory DuckDB that reads and shows times in UTC."""
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return connection


def prepared(connection: Connection, copies: Copies, file: Stored, table: Table) -> Part:
    """Look at a file: its columns and their types. ValueError in one line when it can't be read."""
    compression = file.compression if table.compression is None else COMPRESSIONS.get(table.compression)
    kind = table.format or FORMATS[file.ending]
    path = copies.of(file, compression, ("utf-8",) if kind == "parquet" else table.encoding)
    if not path.stat().st_size:
        raise ValueError(f"{file.shown!r} is empty: take it away, or write it again")
    look = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[kind]
    names, select = look(connection, file, path, table)
    for place, (name, flags) in enumerate(table.flags.items(), len(names)):
        if absent := [flag for flag in flags if flag not in names]:
            raise ValueError(f"{file.shown!r} has no column {absent[0]!r}, which is a flag of {name!r} in its mapping")
        cells = ", ".join(f"CASE WHEN c{names.index(flag)} = '1' THEN {_text(flag)} END" for flag in flags)
        select = f"SELECT *, concat_ws('|', {cells}) AS c{place} FROM ({select})"
    unique = _unique([*names, *table.flags])
    try:
        schema = connection.con.sql(f"SELECT * FROM ({select}) LIMIT 0").to_arrow_reader(1).schema
    except duckdb.Error as error:
        raise unreadable(file, path, error) from None
    return Part(file, select, path, unique, tuple(schema.types))


def shown_as_table(connection: Connection, query: str) -> Any:
    """A query as an Ibis table, until the next one."""
    connection.raw_sql(f"CREATE OR REPLACE VIEW shown AS {query}")
    return connection.table("shown")


def batches(connection: Connection, part: Part, query: str) -> Iterator[pa.RecordBatch]:
    """Stream a query over a part."""
    try:
        yield from connection.con.sql(query).to_arrow_reader(BATCH_ROWS)
    except (duckdb.Error, pa.ArrowException, OSError) as error:  # Arrow's, once the first batch was read
        raise unreadable(part.file, part.path, error) from None


def _csv(_: Connection, file: Stored, path: Path, table: Table) -> tuple[list[str], str]:
    delimiter, quote = table.delimiter or ("\t" if file.ending == "tsv" else ""), table.quote
    names = list(table.columns)
    if not names:
        names, delimiter = _header(file, path, delimiter, quote)
    cells = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(names)))
    return names, (
        f"SELECT * FROM read_csv({_text(str(path))}, columns = {{{cells}}}, auto_detect = false, "
        f"delim = {_text(delimiter or ',')}, quote = {_text(quote)}, escape = {_text(quote)}, "
        f"header = {'false' if table.columns else 'true'}, strict_mode = true, null_padding = false)"
    )


def _header(file: Stored, path: Path, delimiter: str, quote: str) -> tuple[list[str], str]:
    """The names of the columns, and what lies between them."""
    with path.open("rb") as lines:
        try:
            first = lines.readline(BLOCK_BYTES).decode("utf-8-sig")
            between = delimiter or max(DELIMITERS, key=first.count)
            if len(between) > 1 or not quote:
                return first.rstrip("\r\n").split(between), between
            names = next(csv.reader([first], delimiter=between, quotechar=quote), [])
        except UnicodeDecodeError:
            raise _other_encoding(file, 1) from None
        except csv.Error as error:
            raise ValueError(f"{file.shown!r} is no CSV: its header can't be read ({error})") from None
    if not any(names):
        raise ValueError(f"{file.shown!r} has no header: its first line is blank; a mapping file can name its columns")
    return names, between


def _jsonl(connection: Connection, file: Stored, path: Path, _: Table) -> tuple[list[str], str]:
    objects = f"read_ndjson_objects({_text(str(path))}, maximum_object_size = {64 * BLOCK_BYTES})"
    try:
        kinds = connection.raw_sql(f"SELECT DISTINCT json_type(json), json_keys(json) FROM {objects}").fetchall()
    except duckdb.Error as error:
        raise unreadable(file, path, error) from None
    if any(kind != "OBJECT" for kind, _ in kinds):
        raise _broken_line(file, path)
    names = sorted({key for _, keys in kinds for key in keys})
    pointers = ", ".join(_text("/" + name.replace("~", "~0").replace("/", "~1")) for name in names)
    cells = ", ".join(f"v[{place + 1}] AS c{place}" for place in range(len(names)))
    return names, f"SELECT {cells} FROM (SELECT json_extract_string(json, [{pointers}]) AS v FROM {objects})"


def _parquet(_: Connection, file: Stored, path: Path, __: Table) -> tuple[list[str], str]:
    try:
        with pq.ParquetFile(path) as found:
            names = list(found.schema_arrow.names)
    except (pa.ArrowInvalid, OSError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(
            f"{file.shown!r} can't be read as Parquet, it is damaged or was cut off ({said}): copy it again"
        ) from None
    cells = ", ".join(f"c{place}" for place in range(len(names)))
    return names, f"SELECT * FROM read_parquet({_text(str(path))}) AS rows({cells})"


def unreadable(file: Stored, path: Path, error: Exception) -> ValueError:
    """The line that says what is wrong with a file."""
    said = str(error)
    line = int(found[1]) if (found := re.search(r"on Line: (\d+)", said)) else None
    if "JSON" in said:
        return _broken_line(file, path)
    if "not utf-8" in said or "Invalid unicode" in said:
        return _other_encoding(file, line)
    if fields := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said):
        wrong = f"has {fields[2]} fields instead of {fields[1]}"
    elif "unterminated quote" in said:
        wrong = "has a quote that does not end, or stands inside a value"
    elif "state machine" in said:
        wrong = "mixes two kinds of line ends, or has quotes in a way that is no CSV"
    else:
        wrong = f"can't be read: {said.strip().splitlines()[0]}"
    return ValueError(f"{_place(file, line)} {wrong}: correct the file, nothing of it was taken in")


def _other_encoding(file: Stored, line: int | None) -> ValueError:
    return ValueError(
        f"{_place(file, line)} is not UTF-8: set the encoding in a mapping file, "
        "e.g. encoding: latin-1 (docs/SOURCES.md)"
    )


def _broken_line(file: Stored, path: Path) -> ValueError:
    """DuckDB miscounts the lines of JSON: look again."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                if line.strip() and not isinstance(json.loads(line), dict):
                    return ValueError(f"{_place(file, number)} is no JSON object: write one object a line")
            except UnicodeDecodeError:
                return _other_encoding(file, number)
            except json.JSONDecodeError as error:
                said = f"is no JSON ({error.msg}): correct the file, nothing of it was taken in"
                return ValueError(f"{_place(file, number)} {said}")
    return ValueError(f"{file.shown!r} is no JSON with one object a line")


def _place(file: Stored, line: int | None) -> str:
    return repr(file.shown) if line is None else f"{file.shown!r}, line {line},"


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names, of which a repeated one gets a number: Parquet could hold it twice, other readers could not."""
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        free = next(text for n in range(len(names)) if (text := f"{name}_{n}" if n else name) not in seen)
        seen[free] = place
    return tuple(seen)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
