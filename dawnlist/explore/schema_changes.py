"""What changed in the columns of a table between two crawls."""

from collections.abc import Iterable
from typing import Any

from dawnlist.rows.column_aliases import (
    INTERACTION_ALIASES,
    ITEM_ALIASES,
    USER_ALIASES,
    match_columns,
)
from dawnlist.settings import SourceSettings

SchemaChange = dict[str, Any]
"""table, change (new, lost, retyped, renamed; of a whole table: new table, lost table), column, was, is."""

_WIDER_TYPES = {
    "integer": ("float", "text"),
    "date": ("timestamp", "text"),
    "float": ("text",),
    "timestamp": ("text",),
}
"""Inferred types that take in another one: a day of whole prices is no change of a column of prices."""
_TABLE_ALIASES = {"interactions": INTERACTION_ALIASES, "items": ITEM_ALIASES, "users": USER_ALIASES}


def widen_type(one: str | None, other: str | None) -> str | None:
    """The narrowest inferred type that takes in both; None says nothing, since all was null."""
    if one is None or other is None or one == other:
        return one or other
    if other in _WIDER_TYPES.get(one, ()):
        return other
    return one if one in _WIDER_TYPES.get(other, ()) else "text"


def compare_columns(
    table: str, was: list[dict[str, Any]], now: list[dict[str, Any]], settings: SourceSettings
) -> list[SchemaChange]:
    """New, lost, renamed and retyped columns, each in the order of the columns.

    A column is renamed, maybe, when it is the only lost one and another the only new one of the same meaning.
    """
    before, after = ({column["name"]: column for column in columns} for columns in (was, now))
    lost = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    found = [
        {"table": table, "change": "lost", "column": name, "was": _format_type(before[name])}
        for name in lost
    ]
    found += [
        {"table": table, "change": "new", "column": name, "is": _format_type(after[name])}
        for name in new
    ]
    for meaning in _TABLE_ALIASES.get(table.rpartition(".")[2], {}):
        gone, came = (_select_by_meaning(names, meaning, table, settings) for names in (lost, new))
        if len(gone) == len(came) == 1:
            found.append({"table": table, "change": "renamed", "column": gone[0], "is": came[0]})
    for name in before:
        if name in after and _is_retyped(before[name], after[name]):
            pair = {"was": _format_type(before[name]), "is": _format_type(after[name])}
            found.append({"table": table, "change": "retyped", "column": name, **pair})
    return found


def compare_tables(was: Iterable[str], now: Iterable[str]) -> list[SchemaChange]:
    """Tables that came or went."""
    before, after = dict.fromkeys(was), dict.fromkeys(now)
    lost = [{"table": name, "change": "lost table"} for name in before if name not in after]
    return lost + [{"table": name, "change": "new table"} for name in after if name not in before]


def format_schema_change(change: SchemaChange) -> str:
    """The change in words."""
    table, kind = change["table"], change["change"]
    if kind in ("new table", "lost table"):
        return f"{kind} {table}"
    if kind == "renamed":
        return f"{table}: maybe renamed: {change['column']} -> {change['is']}"
    said = [change[end] for end in ("was", "is") if end in change]
    return f"{table}: {kind} {change['column']} ({' -> '.join(said)})"


def _select_by_meaning(
    names: list[str], meaning: str, table: str, settings: SourceSettings
) -> list[str]:
    aliases = {meaning: _TABLE_ALIASES[table.rpartition(".")[2]][meaning]}
    return [
        names[place] for place in match_columns(names, aliases, settings.columns).get(meaning, [])
    ]


def _is_retyped(was: dict[str, Any], now: dict[str, Any]) -> bool:
    known = was["inferred"] or now["inferred"]
    return bool(was["type"] != now["type"] or widen_type(was["inferred"], now["inferred"]) != known)


def _format_type(column: dict[str, Any]) -> str:
    return (
        str(column["type"])
        if column["inferred"] in (None, "text")
        else f"{column['type']} of {column['inferred']}"
    )
