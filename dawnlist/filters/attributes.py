"""Attributes of items: their values in the columns that filters may use.

The items table holds them as one JSON object an item, so that its columns are the same for each
shop. A catalogue has them as columns.
"""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from dawnlist.filters.columns import ColumnKind
from dawnlist.schema import UTC_MICROSECONDS

ARROW_TYPES: Final[Mapping[ColumnKind, pa.DataType]] = {
    "text": pa.string(),
    "list": pa.list_(pa.string()),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "time": UTC_MICROSECONDS,
}


def format_attributes(columns: Mapping[str, pa.ChunkedArray], items: int) -> pa.Array:
    """Write the attributes of each item as a JSON object, shape (items,).

    Args:
        columns: The values of each attribute, in the types of ARROW_TYPES.
        items: The number of items. An item without values gets null.
    """
    objects: list[dict[str, Any]] = [{} for _ in range(items)]
    for name, column in columns.items():
        for attributes, value in zip(objects, column.to_pylist(), strict=True):
            if isinstance(value, datetime):
                value = value.isoformat()
            if value is not None:
                attributes[name] = value
    texts = []
    for attributes in objects:
        text = None
        if attributes:
            text = json.dumps(attributes, ensure_ascii=False)
        texts.append(text)
    return pa.array(texts, pa.string())


def read_attributes(texts: pa.ChunkedArray, kinds: Mapping[str, ColumnKind]) -> dict[str, pa.Array]:
    """Read attributes from what `format_attributes` has written, in the types of ARROW_TYPES.

    A value of another kind, which an item has until it is cleaned anew, becomes null.
    """
    values: dict[str, list[Any]] = {name: [] for name in kinds}
    for text in texts.to_pylist():
        attributes = json.loads(text or "{}")
        if not isinstance(attributes, dict):
            attributes = {}
        for name, kind in kinds.items():
            values[name].append(_READERS[kind](attributes.get(name)))
    return {name: pa.array(values[name], ARROW_TYPES[kind]) for name, kind in kinds.items()}


def _read_text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value


def _read_list(value: Any) -> list[str] | None:
    if not isinstance(value, list):
        return None
    return [element for element in value if isinstance(element, str)]


def _read_number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not math.isfinite(number):
        return None
    return number


def _read_boolean(value: Any) -> bool | None:
    if not isinstance(value, bool):
        return None
    return value


def _read_time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


_READERS: Final[Mapping[ColumnKind, Callable[[Any], Any]]] = {
    "text": _read_text,
    "list": _read_list,
    "number": _read_number,
    "boolean": _read_boolean,
    "time": _read_time,
}
