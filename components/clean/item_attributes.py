"""Parse the columns of items that filters may use (the setting items.columns)."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.components.clean.availability import parse_yes_or_no
from dawnlist.components.clean.genres import parse_genres
from dawnlist.filters.attributes import ARROW_TYPES
from dawnlist.filters.columns import ColumnKind
from dawnlist.rows import coercions
from dawnlist.rows.times import parse_moment
from dawnlist.settings import SourceSettings


def add_parsed_columns(
    texts: Any, kinds: Mapping[str, ColumnKind], settings: SourceSettings
) -> Any:
    """Add the numbers and times that the texts stand for, as columns `parsed_NAME`.

    Args:
        texts: A table of the engine that has a clean text for each column of `kinds`.
    """
    parsed = {}
    for name, kind in kinds.items():
        if kind == "number":
            parsed[f"parsed_{name}"] = coercions.parse_number(texts[name])
        if kind == "time":
            parsed[f"parsed_{name}"] = parse_moment(
                texts[name], settings.time_zone, settings.time_format
            )
    if not parsed:
        return texts
    return texts.mutate(**parsed)


def read_parsed_columns(
    rows: pa.Table, kinds: Mapping[str, ColumnKind]
) -> dict[str, pa.ChunkedArray]:
    """Return the values of each attribute in the types of ARROW_TYPES.

    Args:
        rows: The texts, and the columns that `add_parsed_columns` has added.
    """
    columns = {}
    for name, kind in kinds.items():
        if kind == "text":
            column = rows[name]
        elif kind == "list":
            column = pa.chunked_array([parse_genres(rows[name])])
        elif kind == "boolean":
            flags = [parse_yes_or_no(text, frozenset()) for text in rows[name].to_pylist()]
            column = pa.chunked_array([pa.array(flags, pa.bool_())])
        else:
            column = rows[f"parsed_{name}"]
        columns[name] = column.cast(ARROW_TYPES[kind])
    return columns


def count_attributes(
    rows: pa.Table, columns: Mapping[str, pa.ChunkedArray]
) -> dict[str, dict[str, int]]:
    """Count for each column the values, and the texts that could not be read as such."""
    counts = {}
    for name, column in columns.items():
        texts = len(rows[name]) - rows[name].null_count
        values = int(pc.sum(pc.is_valid(column)).as_py() or 0)
        counts[name] = {"values": values, "unreadable": texts - values}
    return counts
