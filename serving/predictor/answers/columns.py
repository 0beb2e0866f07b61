"""Columns of the catalogue. Their texts stay in Arrow's memory until an answer needs them.

Converting hundreds of thousands of texts to Python strings at once, while a version is loaded,
would delay requests.
"""

from bisect import bisect_left
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.arrays import Int64Array


class TextColumn:
    """A column of text, read by row; a missing text is ""."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        array = pc.fill_null(column.cast(pa.large_string()).combine_chunks(), "")
        _, offsets, data = array.buffers()
        first = array.offset
        self._offsets = memoryview(offsets).cast("q")[first : first + len(array) + 1]
        self._data = memoryview(data or b"")
        self._array = array
        self._strings: list[str | None] = [None] * len(array)

    def __len__(self) -> int:
        return len(self._strings)

    def __getitem__(self, row: int) -> str:
        text = self._strings[row]
        if text is None:
            encoded = self._data[self._offsets[row] : self._offsets[row + 1]]
            text = str(encoded, "utf-8")
            self._strings[row] = text
        return text

    def take(self, rows: Iterable[int]) -> list[str]:
        """Return the texts of the given rows."""
        strings = self._strings
        return [strings[row] or self[row] for row in rows]


class IdColumn(TextColumn):
    """A column of unique ids that can also be searched by id."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        super().__init__(column)
        order = pc.sort_indices(column.combine_chunks()).to_numpy().astype(np.int64)
        self._sorted_rows: memoryview[int] = memoryview(order.data).cast("B").cast("q")

    def find_row(self, item_id: str) -> int | None:
        """Return the row of an id, or None for an unknown id."""
        sorted_rows = self._sorted_rows
        position = bisect_left(sorted_rows, item_id, key=self.__getitem__)
        if position == len(sorted_rows):
            return None
        row = sorted_rows[position]
        if self[row] != item_id:
            return None
        return row

    def find_rows(self, item_ids: Iterable[str]) -> set[int]:
        """Return the rows of those ids that are in the column."""
        rows = set()
        for item_id in item_ids:
            row = self.find_row(item_id)
            if row is not None:
                rows.add(row)
        return rows

    def find_all_rows(self, item_ids: Iterable[str]) -> Int64Array:
        """Return the rows of those ids that are in the column, ascending.

        For thousands of ids this is faster than `find_rows`, and other threads can run meanwhile.
        """
        is_named = pc.is_in(self._array, value_set=pa.array(list(item_ids), pa.large_string()))
        return np.flatnonzero(is_named)
