"""Compare the tables and columns that two crawls found."""

from collections.abc import Iterable
from typing import Any

from dawnlist.rows.column_aliases import (
    match_columns,
)
from dawnlist.settings import SourceSettings
from dawnlist.source_columns import (
    INTERACTION_ALIASES,
    ITEM_ALIASES,
    USER_ALIASES,
)

SchemaChange = dict[str, Any]
"""table, change, column, was, is.

The change is new, lost, retyped or renamed; of a whole table it is new table or lost table, and
there is no column.
"""

# a day of whole prices is no change of a column of prices
_WIDER_TYPES = {
    "integer": ("float", "text"),
    "date": ("timestamp", "text"),
    "float": ("text",),
    "timestamp": ("text",),
}
"""Inferred type -> the types that include it."""
_TABLE_ALIASES = {"interactions": INTERACTION_ALIASES, "items": ITEM_ALIASES, "users": USER_ALIASES}


def widen_type(first: str | None, second: str | None) -> str | None:
    """Find the narrowest inferred type that includes both.

    None is the type of a column without values, so the other type includes it.
    """
    if first is None:
        return second
    if second is None or first == second:
        return first
    if second in _WIDER_TYPES.get(first, ()):
        return second
    if first in _WIDER_TYPES.get(second, ()):
        return first
    return "text"


def compare_columns(
    table: str,
    old_columns: list[dict[str, Any]],
    new_columns: list[dict[str, Any]],
    settings: SourceSettings,
) -> list[SchemaChange]:
    """List lost, new, renamed and retyped columns, each in the order of the columns.

    A column may have been renamed when one lost column and one new column have the same meaning.
    """
    before = _index_by_name(old_columns)
    after = _index_by_name(new_columns)
    lost = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    changes: list[SchemaChange] = []
    for name in lost:
        type_text = _format_type(before[name])
        changes.append({"table": table, "change": "lost", "column": name, "was": type_text})
    for name in new:
        type_text = _format_type(after[name])
        changes.append({"table": table, "change": "new", "column": name, "is": type_text})
    changes += _find_renamed_columns(table, lost, new, settings)
    changes += _find_retyped_columns(table, before, after)
    return changes


def _index_by_name(columns: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in columns}


def _find_renamed_columns(
    table: str, lost: list[str], new: list[str], settings: SourceSettings
) -> list[SchemaChange]:
    changes = []
    aliases = _TABLE_ALIASES.get(table.rpartition(".")[2], {})
    for canonical, names in aliases.items():
        lost_names = _select_columns(lost, {canonical: names}, settings)
        new_names = _select_columns(new, {canonical: names}, settings)
        if len(lost_names) == 1 and len(new_names) == 1:
            change = {"change": "renamed", "column": lost_names[0], "is": new_names[0]}
            changes.append({"table": table, **change})
    return changes


def _find_retyped_columns(
    table: str, before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]
) -> list[SchemaChange]:
    changes = []
    for name in before:
        if name in after and _is_retyped(before[name], after[name]):
            types = {"was": _format_type(before[name]), "is": _format_type(after[name])}
            changes.append({"table": table, "change": "retyped", "column": name, **types})
    return changes


def compare_tables(old_tables: Iterable[str], new_tables: Iterable[str]) -> list[SchemaChange]:
    """List lost and new tables, in the order of the tables."""
    before = dict.fromkeys(old_tables)
    after = dict.fromkeys(new_tables)
    changes: list[SchemaChange] = []
    for name in before:
        if name not in after:
            changes.append({"table": name, "change": "lost table"})
    for name in after:
        if name not in before:
            changes.append({"table": name, "change": "new table"})
    return changes


def format_schema_change(change: SchemaChange) -> str:
    """Format a change as one line for people."""
    table, kind = change["table"], change["change"]
    if kind in ("new table", "lost table"):
        return f"{kind} {table}"
    if kind == "renamed":
        return f"{table}: maybe renamed: {change['column']} -> {change['is']}"
    types = [change[key] for key in ("was", "is") if key in change]
    return f"{table}: {kind} {change['column']} ({' -> '.join(types)})"


def _select_columns(
    names: list[str], aliases: dict[str, tuple[str, ...]], settings: SourceSettings
) -> list[str]:
    """Select the columns with the meaning of the only canonical column in `aliases`."""
    selected = []
    for positions in match_columns(names, aliases, settings.columns).values():
        selected += [names[position] for position in positions]
    return selected


def _is_retyped(old: dict[str, Any], new: dict[str, Any]) -> bool:
    if old["type"] != new["type"]:
        return True
    # a column that only got narrower values is not retyped
    first_type = old["inferred"] or new["inferred"]
    return bool(widen_type(old["inferred"], new["inferred"]) != first_type)


def _format_type(column: dict[str, Any]) -> str:
    inferred = column["inferred"]
    if inferred in (None, "text"):
        return str(column["type"])
    return f"{column['type']} of {inferred}"
