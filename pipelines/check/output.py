"""Print a check of a source for people."""

from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from dawnlist.pipelines.check.source_check import SourceCheck, TableCheck
from dawnlist.pipelines.terminal import out, print_line
from dawnlist.urls import replace_unprintable
from dawnlist.values import cut_text

MAX_CELL: Final = 40
"""Characters of a value in a table."""


def print_source_check(
    check: SourceCheck, weights: dict[str, float], events: dict[str, str]
) -> None:
    """Print what becomes of the sample.

    Args:
        check: The check.
        weights: The weight of each event type.
        events: The event type of each of the source's own names.
    """
    print_line(f"windows: {check.time_index}")
    tables = {"interactions": check.interactions, "items": check.items, "users": check.users}
    for name, table in tables.items():
        if table is None:
            print_line(f"\n{name}: the source has none")
        else:
            print_line(f"\n{name}: {table.rows:,} rows looked at")
            _print_columns(table)
    _print_events(check.events, weights, events)
    _print_clean_rows(check.clean_rows)
    _print_rejected(check)


def _print_columns(table: TableCheck) -> None:
    rows = []
    for column in table.columns:
        read_as = ", ".join(column.read_as) or "not used"
        rows.append([column.name, column.type, read_as, column.example or ""])
    _print_table(["column", "type", "is read as", "example"], rows)


def _print_events(
    counts: dict[str, int], weights: dict[str, float], events: dict[str, str]
) -> None:
    if not counts:
        return
    rows = []
    for name, count in counts.items():
        event_type = events.get(name.strip().lower(), name.strip().lower())
        weight = weights.get(event_type)
        meaning = f"{event_type}, weight {weight}"
        if weight is None:
            meaning = "unknown, rejected: name it in source.events or source.weights"
        elif not weight:
            meaning = f"{event_type}, not wanted"
        rows.append([name, f"{count:,}", meaning])
    print_line("\nevents")
    _print_table(["the source's name", "rows", "counts as"], rows)


def _print_clean_rows(clean_rows: list[dict[str, Any]]) -> None:
    print_line("\nthe first rows as they are in the lake after a run")
    if not clean_rows:
        print_line("none: no row of the sample can be used")
        return
    rows = [[str(value) for value in row.values()] for row in clean_rows]
    _print_table(list(clean_rows[0]), rows)


def _print_rejected(check: SourceCheck) -> None:
    rows, rejected = check.interactions.rows, check.interactions.rejected
    share = rejected / rows if rows else 0.0
    print_line(f"\nrejected: {rejected:,} of {rows:,} rows ({share:.1%})")
    for reason, count in check.reasons.items():
        print_line(f"  {count:,}  {reason}")


def _print_table(names: list[str], rows: list[list[str]]) -> None:
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        cells = [escape(replace_unprintable(cut_text(cell, MAX_CELL))) for cell in row]
        table.add_row(*cells)
    out.print(table)
