"""What changed in the columns of a table between two crawls."""

from collections.abc import Iterable
from typing import Any

from dawnlist.rows.columns import ALIASES, ITEM_ALIASES, USER_ALIASES, columns_of
from dawnlist.settings import SourceSettings

Change = dict[str, Any]
"""table, change (new, lost, retyped, renamed; of a whole table: new table, lost table), column, was, is."""

_WIDER = {"integer": ("float", "text"), "date": ("timestamp", "text"), "float": ("text",), "timestamp": ("text",)}
"""Inferred types that take in another one: a day of whole prices is no change of a column of prices."""
_ALIASES = {"interactions": ALIASES, "items": ITEM_ALIASES, "users": USER_ALIASES}


def widened(one: str | None, other: str | None) -> str | None:
    """The narrowest inferred type that takes in both; None says nothing, since all was null."""
    if one is None or other is None or one == other:
        return one or other
    if other in _WIDER.get(one, ()):
        return other
    return one if one in _WIDER.get(other, ()) else "text"


def changes(table: str, was: list[dict[str, Any]], now: list[dict[str, Any]], settings: SourceSettings) -> list[Change]:
    """New, lost, renamed and retyped columns, each in the order of the columns.

    A column is renamed, maybe, when it is the only lost one and another the only new one of the same meaning.
    """
    before, after = ({column["name"]: column for column in columns} for columns in (was, now))
    lost = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    found = [{"table": table, "change": "lost", "column": name, "was": _type(before[name])} for name in lost]
    found += [{"table": table, "change": "new", "column": name, "is": _type(after[name])} for name in new]
    for meaning in _ALIASES.get(table.rpartition(".")[2], {}):
        gone, came = (_meaning(names, meaning, table, settings) for names in (lost, new))
        if len(gone) == len(came) == 1:
            found.append({"table": table, "change": "renamed", "column": gone[0], "is": came[0]})
    for name in before:
        if name in after and _retyped(before[name], after[name]):
            pair = {"was": _type(before[name]), "is": _type(after[name])}
            found.append({"table": table, "change": "retyped", "column": name, **pair})
    return found


def table_changes(was: Iterable[str], now: Iterable[str]) -> list[Change]:
    """Tables that came or went."""
    before, after = dict.fromkeys(was), dict.fromkeys(now)
    lost = [{"table": name, "change": "lost table"} for name in before if name not in after]
    return lost + [{"table": name, "change": "new table"} for name in after if name not in before]


def line(change: Change) -> str:
    """The change in words."""
    table, kind = change["table"], change["change"]
    if kind in ("new table", "lost table"):
        return f"{kind} {table}"
    if kind == "renamed":
        return f"{table}: maybe renamed: {change['column']} -> {change['is']}"
    said = [change[end] for end in ("was", "is") if end in change]
    return f"{table}: {kind} {change['column']} ({' -> '.join(said)})"


def _meaning(names: list[str], meaning: str, table: str, settings: SourceSettings) -> list[str]:
    aliases = {meaning: _ALIASES[table.rpartition(".")[2]][meaning]}
    return [names[place] for place in columns_of(names, aliases, settings.columns).get(meaning, [])]


def _retyped(was: dict[str, Any], now: dict[str, Any]) -> bool:
    known = was["inferred"] or now["inferred"]
    return bool(was["type"] != now["type"] or widened(was["inferred"], now["inferred"]) != known)


def _type(column: dict[str, Any]) -> str:
    return str(column["type"]) if column["inferred"] in (None, "text") else f"{column['type']} of {column['inferred']}"
