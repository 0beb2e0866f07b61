"""Columns of items in the form that filters are computed from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.arrays import BoolArray, Float64Array, Int64Array

ColumnKind = Literal["text", "list", "number", "boolean", "time"]
MISSING_TIME: Final = np.iinfo(np.int64).min
"""The microseconds that stand for a missing time."""


class AttributeIndex:
    """Finds the items that have a value of an attribute: a column of text or of lists of text."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        array = column.combine_chunks()
        item_rows = np.arange(len(array))
        self.kind: ColumnKind = "text"
        if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            self.kind = "list"
            item_rows = pc.list_parent_indices(array).to_numpy()
            array = pc.list_flatten(array)
        encoded = array.cast(pa.string()).dictionary_encode()
        codes = pc.fill_null(encoded.indices, -1).to_numpy()
        order = np.argsort(codes, kind="stable")
        # The items of one value stand together; `_begins` says where each value's items begin.
        self._items = item_rows[order]
        self._begins = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
        values = encoded.dictionary.to_pylist()
        self._codes: Mapping[str, int] = {value: code for code, value in enumerate(values)}

    def mark(self, values: Iterable[str], mask: BoolArray) -> None:
        """Set `mask`, shape (items,), to True for each item that has one of the values."""
        for value in values:
            code = self._codes.get(value)
            if code is not None:
                items = self._items[self._begins[code] : self._begins[code + 1]]
                mask[items] = True

    def mark_present(self, mask: BoolArray) -> None:
        """Set `mask`, shape (items,), to True for each item that has any value."""
        mask[self._items[self._begins[0] :]] = True


@dataclass(frozen=True, eq=False)
class NumberColumn:
    """A column of numbers, shape (items,); NaN where an item has none."""

    numbers: Float64Array
    kind: ColumnKind = "number"


@dataclass(frozen=True, eq=False)
class BooleanColumn:
    """A column of booleans: masks of shape (items,) of those that are true, and that are false."""

    is_true: BoolArray
    is_false: BoolArray
    kind: ColumnKind = "boolean"


@dataclass(frozen=True, eq=False)
class TimeColumn:
    """A column of times, shape (items,): microseconds since 1970 (UTC), or MISSING_TIME."""

    microseconds: Int64Array
    kind: ColumnKind = "time"


ItemColumn = AttributeIndex | NumberColumn | BooleanColumn | TimeColumn


def build_item_column(column: pa.ChunkedArray) -> ItemColumn:
    """Build the column in the form of its Arrow type. A date begins at midnight UTC.

    Raises:
        TypeError: filters cannot use a column of this type.
    """
    column = _cast_to_plain_type(column)
    kind = column.type
    if pa.types.is_boolean(kind):
        values = pc.fill_null(column, False).to_numpy()
        is_false = pc.fill_null(pc.invert(column), False).to_numpy()
        return BooleanColumn(values, is_false)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        times = column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        return TimeColumn(pc.fill_null(times.cast(pa.int64()), MISSING_TIME).to_numpy())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64(), safe=False)
        return NumberColumn(pc.fill_null(numbers, float("nan")).to_numpy())
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if _is_text(kind) or (is_list and not pa.types.is_nested(kind.value_type)):
        return AttributeIndex(column)
    raise TypeError(f"a filter cannot use a column of the type {kind}")


def _cast_to_plain_type(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without dictionary, view or null type: these are text or what they stand for."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_string_view(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.string())
    return column


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
