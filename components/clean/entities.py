"""Clean items and users: the source's whole tables, with the same ids as the interactions."""

from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from dawnlist.components.clean.availability import parse_availability
from dawnlist.components.clean.duckdb_engine import create_landed_views
from dawnlist.components.clean.genres import parse_genres
from dawnlist.components.clean.item_attributes import (
    add_parsed_columns,
    count_attributes,
    read_parsed_columns,
)
from dawnlist.components.clean.items_coverage import judge_items_table
from dawnlist.components.clean.landed_objects import LandedObject
from dawnlist.components.clean.table_commits import overwrite_table
from dawnlist.filters.attributes import format_attributes
from dawnlist.lake.lake import Lake
from dawnlist.rows import coercions, sql_dialects
from dawnlist.rows.column_aliases import (
    describe_missing_columns,
    match_columns,
)
from dawnlist.rows.sql_dialects import IbisConnection
from dawnlist.schema import ITEMS_SCHEMA, USERS_SCHEMA
from dawnlist.settings import Settings, SourceSettings
from dawnlist.source_columns import (
    ITEM_ALIASES,
    USER_ALIASES,
)

PROSE = ("title", "text")
"""Columns of prose, in which a line break separates words."""


def clean_items(
    lake: Lake,
    connection: IbisConnection,
    name: str,
    settings: Settings,
    as_of: datetime,
    folder: Path,
) -> dict[str, Any]:
    """Replace the table `items` with the rows of the landing object `name`.

    A source without rows leaves the table as it is, and so do rows that seem to be damaged. Returns
    rows, rejected (rows without an id), duplicates, for damaged rows the `problem`, and for each of
    the setting items.columns its values and the texts that could not be read.
    """
    kinds = settings.items.columns
    aliases = ITEM_ALIASES | {column: (column,) for column in kinds}
    json_columns = {"genres", *(column for column, kind in kinds.items() if kind == "list")}
    landed_object = create_landed_views(connection, lake, [name], folder, "items")[0]
    texts = _select_entity_texts(
        connection, landed_object, aliases, "item_id", settings.source, json_columns
    )
    # A description that only repeats the title says nothing more.
    texts = texts.mutate(text=texts.text.nullif(texts.title))
    items = add_parsed_columns(_select_newest_rows(texts, "item_id"), kinds, settings.source)
    source_rows = connection.to_pyarrow(items.drop("key", "rank").order_by("item_id"))
    attributes = read_parsed_columns(source_rows, kinds)
    rows = _parse_item_columns(source_rows, attributes, settings.items.unavailable_words)
    report: dict[str, Any] = _count_rows(connection, landed_object, texts, "item_id", rows.num_rows)
    if kinds:
        report["columns"] = count_attributes(source_rows, attributes)
    judged = judge_items_table(lake, rows, settings.items.max_coverage_fall, as_of)
    if judged.rows is not None:
        _replace_table(lake, "items", judged.rows, ITEMS_SCHEMA)
    if judged.problem:
        print(judged.problem)
        report["problem"] = judged.problem
    return report


def _parse_item_columns(
    source_rows: pa.Table,
    attributes: dict[str, pa.ChunkedArray],
    unavailable_words: list[str],
) -> pa.Table:
    """Parse the columns that are no text, and return the columns of the items table."""
    parsed = {
        "attributes": format_attributes(attributes, source_rows.num_rows),
        "genres": parse_genres(source_rows["genres"]),
        "available": parse_availability(source_rows, unavailable_words),
    }
    columns = []
    for name in ITEMS_SCHEMA.names:
        column = parsed.get(name)
        if column is None:
            column = source_rows[name]
        columns.append(column)
    return pa.table(columns, schema=ITEMS_SCHEMA)


def clean_users(
    lake: Lake,
    connection: IbisConnection,
    name: str,
    settings: SourceSettings,
    folder: Path,
) -> dict[str, int]:
    """Replace the table `users` with the rows of the landing object `name`.

    A source without rows leaves the table as it is. Returns rows, rejected (rows without an id) and
    duplicates.
    """
    landed_object = create_landed_views(connection, lake, [name], folder, "users")[0]
    texts = _select_entity_texts(
        connection, landed_object, USER_ALIASES, "user_id", settings, set()
    )
    texts = texts.mutate(email=texts.email.lower(), role=texts.role.lower())
    users = _select_newest_rows(texts, "user_id")
    rows = connection.to_pyarrow(users.select(*USERS_SCHEMA.names).order_by("user_id"))
    report = _count_rows(connection, landed_object, texts, "user_id", rows.num_rows)
    _replace_table(lake, "users", rows, USERS_SCHEMA)
    return report


def _select_entity_texts(
    connection: IbisConnection,
    landed_object: LandedObject,
    aliases: dict[str, tuple[str, ...]],
    id_column: str,
    settings: SourceSettings,
    json_columns: set[str],
) -> Any:
    """Select the row's key, its id, and a text for each other canonical column.

    Lists and objects of `json_columns` become JSON; lists of other columns are joined with "|".

    Raises:
        ValueError: The object has rows, but no column for the id.
    """
    column_settings = settings.fill_from_hints(landed_object.hints).columns
    matches = match_columns(landed_object.columns, aliases, column_settings)
    if landed_object.rows and id_column not in matches:
        raise ValueError(
            describe_missing_columns([id_column], landed_object.columns, landed_object.name)
        )
    raw = connection.table(landed_object.view)
    columns = {}
    for name in aliases:
        values = [
            _write_as_text(raw[f"c{index}"], name in json_columns)
            for index in matches.get(name, [])
        ]
        if name in PROSE:
            values = [coercions.clean_prose(value) for value in values]
        columns[name] = coercions.coalesce_text(values)
    columns[id_column] = coercions.clean_identifier(columns[id_column])
    return raw.select("key", **columns)


def _write_as_text(column: Any, is_json: bool) -> Any:
    """Write a list or an object, which Parquet may hold, as text that other sources write for it."""
    kind = column.type()
    if is_json and kind.is_nested():
        return sql_dialects.write_json(column)
    if not kind.is_array():
        return column
    return column.map(lambda value: value.cast("string")).join("|")


def _select_newest_rows(texts: Any, id_column: str) -> Any:
    """Select the last row of each id."""
    rows_with_id = texts.filter(texts[id_column].notnull())
    rank = ibis.row_number().over(group_by=id_column, order_by=ibis.desc("key"))
    ranked = rows_with_id.mutate(rank=rank)
    return ranked.filter(ranked["rank"] == 0)


def _replace_table(
    lake: Lake,
    name: str,
    rows: pa.Table,
    schema: pa.Schema,
) -> None:
    if rows.num_rows:
        overwrite_table(lake, name, pa.table(rows.columns, schema=schema))


def _count_rows(
    connection: IbisConnection,
    landed_object: LandedObject,
    texts: Any,
    id_column: str,
    rows: int,
) -> dict[str, int]:
    """Count the rows that were rejected and those that were duplicates; `rows` are left."""
    has_id = texts[id_column].notnull()
    rows_with_id = int(connection.execute(texts.filter(has_id).count()))
    return {
        "rows": rows,
        "rejected": landed_object.rows - rows_with_id,
        "duplicates": rows_with_id - rows,
    }
