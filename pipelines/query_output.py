"""How the answer to a query leaves the command: a table for people, CSV, JSON or Parquet for programs."""

import json
import math
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import IO, Any

import pyarrow as pa
from rich.cells import cell_len, set_cell_size
from rich.markup import escape
from rich.table import Table

from dawnlist.cuts import format_iso
from dawnlist.explore.schema_changes import format_schema_change
from dawnlist.pipelines.terminal import err, out
from dawnlist.urls import replace_unprintable

ANSWER_FORMATS = ("table", "csv", "json", "parquet")
_COLUMN_WIDTH = 24
"""A column of a table needs no more; a longer value is cut where there is no room."""
_NULL = "null"


def write_csv(reader: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    """A line of names, then a line a row; times in UTC, lists and structs as JSON text."""
    import pyarrow.csv as pacsv

    schema = pa.schema([_flatten_field(field) for field in reader.schema])
    with pacsv.CSVWriter(sink, schema) as writer:
        for batch in reader:
            columns = [
                column.cast(field.type)
                if _is_flat(column.type)
                else pa.array(map(_encode_json, iter_json_values(column)))
                for column, field in zip(batch.columns, schema, strict=True)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def write_json(reader: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    """One array of objects, a row a line, so that tools for lines and for JSON can both read it."""
    names, separator = reader.schema.names, b"[\n"
    for batch in reader:
        for values in zip(*map(iter_json_values, batch.columns), strict=True):
            row = json.dumps(
                dict(zip(names, values, strict=True)), ensure_ascii=False, allow_nan=False
            )
            sink.write(separator + row.encode())
            separator = b",\n"
    sink.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def write_parquet(reader: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    """The columns with the types that DuckDB gave them."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetWriter(sink, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
    except pa.ArrowNotImplementedError as error:
        raise ValueError(
            f"the answer can't be written as Parquet: {error}; cast that column to text"
        ) from None


def show_rows(reader: pa.RecordBatchReader, limit: int | None) -> None:
    """Print up to `limit` rows: as a table where its columns have room, else a value a line."""
    rows, more = _read_rows(reader, limit)
    names = [replace_unprintable(name) for name in reader.schema.names]
    if names == ["explain_key", "explain_value"]:
        for _, plan in rows:
            out.print(
                "\n".join(replace_unprintable(line) for line in plan.splitlines()),
                markup=False,
                soft_wrap=True,
            )
        return
    cells = [names, *([_format_cell(value) for value in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    if (
        sum(min(width, _COLUMN_WIDTH) for width in widths) + 2 * len(widths) > out.width
        and len(names) > 1
    ):
        _show_records(cells)
    else:
        right = {place for place, field in enumerate(reader.schema) if _is_number(field.type)}
        out.print(_build_table(shorten_cells(cells, out.width), right))
    if not rows:
        err.print("no rows")
    if more:
        err.print(f"first {limit} of more; --limit 0 for all", soft_wrap=True)


def show_catalogue(catalogue: dict[str, Any]) -> None:
    """Print what a crawl found, a table of columns for each table, and what changed."""
    for name, entry in catalogue["tables"].items():
        parts = entry["partitions"]
        spread = (
            f", {parts['count']} {parts['by']}s, {parts['first']} to {parts['last']}"
            if parts
            else ""
        )
        sizes = f"{entry['rows']:,} rows, {entry['bytes'] / 1e6:,.1f} MB in {entry['files']:,} files{spread}"
        out.print(f"[bold]{escape(replace_unprintable(name))}[/]  {escape(sizes)}", soft_wrap=True)
        headings = ["  column", "type", "nulls", "distinct", "from", "to", "examples"]
        cells = [
            [replace_unprintable(cell) for cell in _build_column_cells(column, entry)]
            for column in entry["columns"]
        ]
        out.print(
            _build_table(
                [headings, *shorten_cells([headings, *cells], out.width)[1:]], right={2, 3}
            )
        )
        if seen := _describe_sample(name, entry):
            out.print(f"  [dim]distinct values and examples: of {escape(seen)}[/]", soft_wrap=True)
    for change in catalogue["changes"]:
        out.print(
            f"changed  {escape(replace_unprintable(format_schema_change(change)))}", soft_wrap=True
        )
    for damaged in catalogue["unreadable"]:
        out.print(f"damaged  {escape(replace_unprintable(damaged))}", soft_wrap=True)


def _describe_sample(name: str, entry: dict[str, Any]) -> str:
    """Of which rows distinct values and examples are told, where these are not all."""
    if name.startswith("landing."):
        return "the newest object" if entry["files"] > 1 else ""
    if entry["partitions"]:
        return str(entry["partitions"]["last"])
    return "the first rows" if entry["sampled"] else ""


def _build_column_cells(column: dict[str, Any], entry: dict[str, Any]) -> list[str]:
    low, high = (
        ("hidden", "")
        if column["masked"]
        else (_format_optional(column["min"]), _format_optional(column["max"]))
    )
    nulls = (
        ""
        if column["nulls"] is None or not entry["rows"]
        else _format_share(column["nulls"] / entry["rows"])
    )
    kind = (
        column["type"]
        if column["inferred"] in (None, "text")
        else f"{column['inferred']} as {column['type']}"
    )
    about = "" if column["distinct"] is None else f"{column['distinct']:,}"
    return [
        f"  {column['name']}",
        kind,
        nulls,
        about,
        low,
        high,
        ", ".join(map(_format_optional, column["examples"])),
    ]


def _format_share(share: float) -> str:
    return "0" if share == 0 else "<0.1%" if share < 0.001 else f"{share:.1%}"


def _format_optional(value: Any) -> str:
    return "" if value is None else _format_value(value)


def _read_rows(
    reader: pa.RecordBatchReader, limit: int | None
) -> tuple[list[tuple[Any, ...]], bool]:
    rows: list[tuple[Any, ...]] = []
    for batch in reader:
        rows += zip(*map(iter_json_values, batch.columns), strict=True)
        if limit and len(rows) > limit:
            break
    return rows[: limit or None], bool(limit) and len(rows) > (limit or 0)


def shorten_cells(cells: list[list[str]], room: int) -> list[list[str]]:
    """The cells of a table, the longest cut so that its rows fit into `room`."""
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    longest = max(widths)
    while longest > 1 and sum(min(width, longest) + 2 for width in widths) > room:
        longest -= 1
    return [
        [
            cell if cell_len(cell) <= longest else f"{set_cell_size(cell, longest - 1)}…"
            for cell in row
        ]
        for row in cells
    ]


def _build_table(cells: list[list[str]], right: set[int]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(cells[0]):
        table.add_column(escape(name), justify="right" if place in right else "left", no_wrap=True)
    for row in cells[1:]:
        table.add_row(*("[dim]null[/]" if cell == _NULL else escape(cell) for cell in row))
    return table


def _show_records(cells: list[list[str]]) -> None:
    names, longest = cells[0], max(map(cell_len, cells[0]))
    for number, row in enumerate(cells[1:], 1):
        out.print(f"[dim]row {number}[/]")
        for name, text in zip(names, row, strict=True):
            out.print(
                f"{name}{' ' * (longest - cell_len(name))}  {text}", markup=False, soft_wrap=True
            )


def _format_cell(value: Any) -> str:
    return _NULL if value is None else replace_unprintable(_format_value(value))


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def iter_json_values(column: pa.Array) -> Iterator[Any]:
    """The values as JSON has them: times as ISO text in UTC, what is no number as None."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return map(_to_json_value, column.to_pylist())


def _to_json_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return format_iso(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _to_json_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_to_json_value(inner) for inner in value]
    return value.hex() if isinstance(value, bytes) else str(value)


def _format_value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.1f}"
    return value if isinstance(value, str) else _encode_json(value)


def _encode_json(value: Any) -> Any:
    return (
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )


def _is_flat(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_interval(kind))


def _flatten_field(field: pa.Field) -> pa.Field:
    """The field as CSV can have it: a dictionary as its values, what has no text of its own as JSON text."""
    if pa.types.is_dictionary(field.type):
        return field.with_type(field.type.value_type)
    return field if _is_flat(field.type) else field.with_type(pa.string())
