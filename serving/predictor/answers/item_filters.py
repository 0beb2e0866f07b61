"""The filters of one version's items, by lists of values and by expressions."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from dawnlist.arrays import BoolArray
from dawnlist.filters.columns import AttributeIndex, ItemColumn, build_item_column
from dawnlist.filters.masks import compute_mask
from dawnlist.filters.parser import parse_expression

MAX_CACHED_MASKS: Final = 64
"""Expressions whose masks are kept, the last ones that were used. A mask has a byte an item."""


class ItemFilters:
    """Computes which items filters match. It belongs to one event loop."""

    def __init__(self, columns: Mapping[str, ItemColumn], items: int) -> None:
        self._columns = columns
        self._items = items
        self._masks: OrderedDict[str, BoolArray] = OrderedDict()
        self.attributes: dict[str, AttributeIndex] = {}
        """The columns of text and of lists, which can be filtered by their values."""
        for name, column in columns.items():
            if isinstance(column, AttributeIndex):
                self.attributes[name] = column

    @classmethod
    def from_catalogue(cls, catalogue: pa.Table, other_columns: Collection[str]) -> "ItemFilters":
        """Index all columns of a catalogue but `other_columns`."""
        columns = {}
        for name in catalogue.column_names:
            if name not in other_columns:
                columns[name] = build_item_column(catalogue[name])
        return cls(columns, catalogue.num_rows)

    def match_values(self, filters: Iterable[tuple[str, Sequence[str]]]) -> BoolArray | None:
        """Return which items have a value of each attribute, shape (items,); None without filters.

        Raises:
            KeyError: there is no such attribute.
        """
        mask: BoolArray | None = None
        for name, values in filters:
            matches = np.zeros(self._items, dtype=bool)
            self.attributes[name].mark(values, matches)
            mask = matches if mask is None else mask & matches
        return mask

    def compute_mask(self, expression: str) -> BoolArray:
        """Return which items an expression matches, shape (items,). Nobody may change the array.

        Raises:
            ExpressionError: the expression is wrong, or does not fit the columns.
        """
        mask = self._masks.get(expression)
        if mask is None:
            mask = compute_mask(parse_expression(expression), self._columns, self._items)
            self._masks[expression] = mask
            if len(self._masks) > MAX_CACHED_MASKS:
                self._masks.popitem(last=False)
        self._masks.move_to_end(expression)
        return mask
