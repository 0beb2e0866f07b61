"""The catalogue's texts in Arrow's memory, made Python strings one by one as answers need them.

Hundreds of thousands of strings made at once while a version is loaded would hold requests up.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


class TextColumn:
    """A column of text; a missing one is ""."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        array = pc.fill_null(column.cast(pa.large_string()).combine_chunks(), "")
        _, offsets, data = array.buffers()
        self._begins = memoryview(offsets).cast("q")[array.offset : array.offset + len(array) + 1]
        self._data = memoryview(data or b"")
        self._made: list[str | None] = [None] * len(array)

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, row: int) -> str:
        text = self._made[row]
        if text is None:
            text = self._made[row] = str(
                self._data[self._begins[row] : self._begins[row + 1]], "utf-8"
            )
        return text

    def take(self, rows: Iterable[int]) -> list[str]:
        """The texts of some rows."""
        made = self._made
        return [made[row] or self[row] for row in rows]


class IdColumn(TextColumn):
    """A column of ids, each once, that can be asked where one is."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        super().__init__(column)
        order = pc.sort_indices(column.combine_chunks()).to_numpy().astype(np.int64)
        self._order: memoryview[int] = memoryview(order.data).cast("B").cast("q")

    def find_row(self, text: str) -> int | None:
        """The row of an id, None for an unknown one."""
        at = bisect_left(self._order, text, key=self.__getitem__)
        if at == len(self._order) or self[self._order[at]] != text:
            return None
        return self._order[at]

    def find_rows(self, texts: Iterable[str]) -> set[int]:
        """The rows of the ids that are known."""
        return {row for text in texts if (row := self.find_row(text)) is not None}


class AttributeIndex:
    """Which items have which value of an attribute: a column of text, or of lists of text."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        array = column.combine_chunks()
        parents = np.arange(len(array))
        if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            parents = pc.list_parent_indices(array).to_numpy()
            array = pc.list_flatten(array)
        coded = array.cast(pa.string()).dictionary_encode()
        codes = pc.fill_null(coded.indices, -1).to_numpy()
        order = np.argsort(codes, kind="stable")
        self._items = parents[order]
        self._begins = np.searchsorted(codes[order], np.arange(len(coded.dictionary) + 1))
        self._codes: Mapping[str, int] = {
            text: code for code, text in enumerate(coded.dictionary.to_pylist())
        }

    def mark(self, values: Iterable[str], mask: npt.NDArray[np.bool_]) -> None:
        """Set `mask` where an item has one of the values."""
        for value in values:
            code = self._codes.get(value)
            if code is not None:
                mask[self._items[self._begins[code] : self._begins[code + 1]]] = True
