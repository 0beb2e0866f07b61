"""Items and users: the source's tables, whole, with the same ids as the interactions."""

import json
import re
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from dawnlist.components.clean.duckdb_engine import create_landed_views
from dawnlist.components.clean.landed_objects import LandedObject
from dawnlist.components.clean.table_commits import overwrite_table
from dawnlist.lake.lake import Lake
from dawnlist.rows import coercions
from dawnlist.rows.column_aliases import (
    ITEM_ALIASES,
    USER_ALIASES,
    describe_missing_column,
    match_columns,
)
from dawnlist.rows.sql_dialects import IbisConnection
from dawnlist.schema import ITEMS_SCHEMA, USERS_SCHEMA
from dawnlist.settings import SourceSettings

PROSE = ("title", "text")
"""Columns in which a line's end parts words."""
NO_GENRES = "(no genres listed)"
"""What MovieLens writes for none."""


def clean_items(
    lake: Lake, connection: IbisConnection, name: str, settings: SourceSettings, folder: Path
) -> dict[str, int]:
    """Replace the table `items`; an empty source leaves it as it is. Returns rows, rejected (no id), duplicates."""
    part = create_landed_views(connection, lake, [name], folder, "items")[0]
    texts = _select_entity_texts(connection, part, ITEM_ALIASES, "item_id", settings)
    texts = texts.mutate(
        text=texts.text.nullif(texts.title)
    )  # a description that stands in for a title is no other
    return _replace_table(lake, connection, part, texts, "items", "item_id", ITEMS_SCHEMA)


def clean_users(
    lake: Lake, connection: IbisConnection, name: str, settings: SourceSettings, folder: Path
) -> dict[str, int]:
    """Replace the table `users`; an empty source leaves it as it is. Returns rows, rejected (no id), duplicates."""
    part = create_landed_views(connection, lake, [name], folder, "users")[0]
    texts = _select_entity_texts(connection, part, USER_ALIASES, "user_id", settings)
    lower = texts.mutate(email=texts.email.lower(), role=texts.role.lower())
    return _replace_table(lake, connection, part, lower, "users", "user_id", USERS_SCHEMA)


def _select_entity_texts(
    connection: IbisConnection,
    part: LandedObject,
    aliases: dict[str, tuple[str, ...]],
    key: str,
    settings: SourceSettings,
) -> Any:
    found = match_columns(part.columns, aliases, settings.fill_from_hints(part.hints).columns)
    if part.rows and key not in found:
        raise ValueError(describe_missing_column(key, part.columns, part.name))
    raw = connection.table(part.view)
    given = {
        name: [_join_list_column(raw[f"c{place}"]) for place in found.get(name, [])]
        for name in aliases
    }
    prose = {
        name: [coercions.clean_prose(value) for value in given[name]]
        for name in PROSE
        if name in given
    }
    columns = {name: coercions.coalesce_text(values) for name, values in (given | prose).items()}
    return raw.select("key", **columns | {key: coercions.clean_identifier(columns[key])})


def _join_list_column(column: Any) -> Any:
    """A list, which Parquet may hold, as the text that other sources write for it."""
    return (
        column.map(lambda value: value.cast("string")).join("|")
        if column.type().is_array()
        else column
    )


def _replace_table(
    lake: Lake,
    connection: IbisConnection,
    part: LandedObject,
    texts: Any,
    name: str,
    key: str,
    schema: pa.Schema,
) -> dict[str, int]:
    good = texts.filter(texts[key].notnull())
    last = ibis.row_number().over(group_by=key, order_by=ibis.desc("key"))
    newest = good.mutate(place=last).filter(lambda row: row.place == 0)
    rows = connection.to_pyarrow(newest.select(*schema.names).order_by(key))
    if name == "items":
        rows = rows.set_column(2, schema.field("genres"), parse_genres(rows["genres"]))
    known = int(connection.execute(good.count()))
    if rows.num_rows:
        overwrite_table(lake, name, pa.table(rows.columns, schema=schema))
    return {
        "rows": rows.num_rows,
        "rejected": part.rows - known,
        "duplicates": known - rows.num_rows,
    }


def parse_genres(texts: Any) -> pa.Array:
    """'A|B', 'A, B', '{A,B}' or '["A", "B"]' -> [A, B]; NULL stays NULL."""
    lists = (None if text is None else _split_genres(text) for text in texts.to_pylist())
    return pa.array(
        [[] if parts == [NO_GENRES] else parts for parts in lists], pa.list_(pa.string())
    )


def _split_genres(text: str) -> list[str]:
    if text.startswith("["):
        try:
            return list(dict.fromkeys(_collect_leaves(json.loads(text))))
        except ValueError:
            pass  # a list as Python writes it
    found = _LIST.fullmatch(text)
    parts = (found["inside"] if found else text).replace(",", "|").split("|")
    kept = (part.strip(" \t\"'") if found else part.strip() for part in parts)
    return [part for part in kept if part]


def _collect_leaves(value: Any) -> list[str]:
    """The texts of a JSON list; Amazon's categories are lists of paths, which are lists."""
    if isinstance(value, list):
        return [leaf for part in value for leaf in _collect_leaves(part)]
    return [value.strip()] if isinstance(value, str) and value.strip() else []


_LIST = re.compile(r"[\[{](?P<inside>.*)[\]}]", re.DOTALL)
"""What PostgreSQL, JSON and Python write for a list."""
