"""Print the rows of a query and the catalogue of a crawl as tables for people."""

from typing import Any

import pyarrow as pa
from rich.cells import cell_len, set_cell_size
from rich.markup import escape
from rich.table import Table

from dawnlist.explore.schema_changes import format_schema_change
from dawnlist.pipelines.query_output import encode_json, iter_json_values
from dawnlist.pipelines.terminal import err, out, print_line
from dawnlist.urls import replace_unprintable

_FULL_COLUMN_WIDTH = 24
"""A table needs at most this many characters for a column. Longer values are cut when the terminal
is too narrow."""
_NULL = "null"


def show_rows(reader: pa.RecordBatchReader, limit: int | None) -> None:
    """Print rows as a table or, when the terminal is too narrow for it, with a value a line.

    Args:
        reader: The rows.
        limit: Print at most this many rows; 0 or None prints all.
    """
    rows, has_more = _read_rows(reader, limit)
    names = [replace_unprintable(name) for name in reader.schema.names]
    if names == ["explain_key", "explain_value"]:
        _print_plans(rows)
        return
    cells = [names]
    for row in rows:
        cells.append([_format_cell(value) for value in row])
    if len(names) > 1 and not _fits_terminal(cells):
        _print_records(cells)
    else:
        _print_rows(cells, reader.schema)
    if not rows:
        err.print("no rows")
    if has_more:
        err.print(f"first {limit} of more; --limit 0 for all", soft_wrap=True)


def _read_rows(
    reader: pa.RecordBatchReader, limit: int | None
) -> tuple[list[tuple[Any, ...]], bool]:
    """Read up to `limit` rows, and say whether there are more."""
    rows: list[tuple[Any, ...]] = []
    for batch in reader:
        rows += zip(*map(iter_json_values, batch.columns), strict=True)
        if limit and len(rows) > limit:
            return rows[:limit], True
    return rows, False


def _print_plans(rows: list[tuple[Any, ...]]) -> None:
    """Print the answer of EXPLAIN, whose lines must stay as they are."""
    for _, plan in rows:
        lines = [replace_unprintable(line) for line in plan.splitlines()]
        out.print("\n".join(lines), markup=False, soft_wrap=True)


def _fits_terminal(cells: list[list[str]]) -> bool:
    """Say whether the terminal is wide enough for a table of the cells."""
    widths = [min(width, _FULL_COLUMN_WIDTH) for width in _measure_columns(cells)]
    gaps = 2 * len(widths)
    return sum(widths) + gaps <= out.width


def _measure_columns(cells: list[list[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*cells, strict=True)]


def _print_rows(cells: list[list[str]], schema: pa.Schema) -> None:
    numeric_columns = set()
    for index, field in enumerate(schema):
        if _is_number(field.type):
            numeric_columns.add(index)
    out.print(_build_table(shorten_cells(cells, out.width), numeric_columns))


def _is_number(kind: pa.DataType) -> bool:
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(is_number)


def _print_records(cells: list[list[str]]) -> None:
    """Print each row as lines of a column's name and its value. The first cells are the names."""
    names = cells[0]
    longest = max(map(cell_len, names))
    for number, row in enumerate(cells[1:], 1):
        out.print(f"[dim]row {number}[/]")
        for name, text in zip(names, row, strict=True):
            padding = " " * (longest - cell_len(name))
            out.print(f"{name}{padding}  {text}", markup=False, soft_wrap=True)


def show_catalogue(catalogue: dict[str, Any]) -> None:
    """Print the catalogue of a crawl: a table of columns for each table, and what changed."""
    for name, entry in catalogue["tables"].items():
        _show_catalogue_entry(name, entry)
    for change in catalogue["changes"]:
        print_line(f"changed  {replace_unprintable(format_schema_change(change))}")
    for damaged_file in catalogue["unreadable"]:
        print_line(f"damaged  {replace_unprintable(damaged_file)}")


def _show_catalogue_entry(name: str, entry: dict[str, Any]) -> None:
    title = f"[bold]{escape(replace_unprintable(name))}[/]"
    out.print(f"{title}  {escape(_describe_table_size(entry))}", soft_wrap=True)
    cells = [["  column", "type", "nulls", "distinct", "from", "to", "examples"]]
    for column in entry["columns"]:
        column_cells = _build_column_cells(column, entry)
        cells.append([replace_unprintable(cell) for cell in column_cells])
    headings = cells[0]
    rows = shorten_cells(cells, out.width)[1:]
    out.print(_build_table([headings, *rows], right_columns={2, 3}))
    sample = _describe_sample(name, entry)
    if sample:
        out.print(
            f"  [dim]distinct values and examples are from {escape(sample)}[/]", soft_wrap=True
        )


def _describe_table_size(entry: dict[str, Any]) -> str:
    megabytes = entry["bytes"] / 1e6
    size = f"{entry['rows']:,} rows, {megabytes:,.1f} MB in {entry['files']:,} files"
    partitions = entry["partitions"]
    if not partitions:
        return size
    count, unit = partitions["count"], partitions["by"]
    return f"{size}, {count} {unit}s, {partitions['first']} to {partitions['last']}"


def _describe_sample(name: str, entry: dict[str, Any]) -> str:
    """Name the rows that distinct values and examples come from; empty when these are all rows."""
    if name.startswith("landing."):
        return "the newest object" if entry["files"] > 1 else ""
    if entry["partitions"]:
        return str(entry["partitions"]["last"])
    return "the first rows" if entry["sampled"] else ""


def _build_column_cells(column: dict[str, Any], entry: dict[str, Any]) -> list[str]:
    if column["masked"]:
        low, high = "hidden", ""
    else:
        low, high = _format_optional(column["min"]), _format_optional(column["max"])
    nulls = ""
    if column["nulls"] is not None and entry["rows"]:
        nulls = _format_share(column["nulls"] / entry["rows"])
    kind = column["type"]
    if column["inferred"] not in (None, "text"):
        kind = f"{column['inferred']} as {column['type']}"
    distinct = ""
    if column["distinct"] is not None:
        distinct = f"{column['distinct']:,}"
    examples = ", ".join(map(_format_optional, column["examples"]))
    return [f"  {column['name']}", kind, nulls, distinct, low, high, examples]


def _format_share(share: float) -> str:
    if share == 0:
        return "0"
    if share < 0.001:
        return "<0.1%"
    return f"{share:.1%}"


def _format_optional(value: Any) -> str:
    if value is None:
        return ""
    return _format_value(value)


def _format_cell(value: Any) -> str:
    if value is None:
        return _NULL
    return replace_unprintable(_format_value(value))


def _format_value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.1f}"
    text: str = encode_json(value)
    return text


def shorten_cells(cells: list[list[str]], room: int) -> list[list[str]]:
    """Cut the longest cells of a table so that its rows fit into `room` characters."""
    widths = _measure_columns(cells)
    longest = max(widths)
    while longest > 1 and _sum_cut_widths(widths, longest) > room:
        longest -= 1
    shortened = []
    for row in cells:
        shortened.append([_cut_cell(cell, longest) for cell in row])
    return shortened


def _sum_cut_widths(widths: list[int], longest: int) -> int:
    """Compute the width of a table with gaps whose columns are at most `longest` wide."""
    return sum(min(width, longest) + 2 for width in widths)


def _cut_cell(cell: str, longest: int) -> str:
    if cell_len(cell) <= longest:
        return cell
    return f"{set_cell_size(cell, longest - 1)}…"


def _build_table(cells: list[list[str]], right_columns: set[int]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(cells[0]):
        justify: Any = "right" if index in right_columns else "left"
        table.add_column(escape(name), justify=justify, no_wrap=True)
    for row in cells[1:]:
        table.add_row(*map(_mark_up_cell, row))
    return table


def _mark_up_cell(cell: str) -> str:
    if cell == _NULL:
        return "[dim]null[/]"
    return escape(cell)
