"""Classify the values of a column by how they look: integer, decimal comma, date, ..."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.rows.coercions import NULL_PATTERN

_VALUE_PATTERNS = {
    "null text": rf"(?i)^\s*({NULL_PATTERN})?\s*$",
    "integer": r"^\s*[+-]?\d+\s*$",
    "decimal point": r"^\s*[+-]?(\d+\.\d*|\.\d+)\s*$",
    "decimal comma": r"^\s*[+-]?[\d.]*,\d+\s*$",
    "exponent": r"(?i)^\s*[+-]?\d*\.?\d+e[+-]?\d+\s*$",
    "date": r"^\s*\d{4}[-/]\d\d?[-/]\d\d?\s*$",
    "ISO time with a zone": r"^\s*\d{4}[-/]\d\d?[-/]\d\d?[T ][\d:.,]+ ?(Z|UTC|[+-][\d:]+)\s*$",
    "ISO time without a zone": r"^\s*\d{4}[-/]\d\d?[-/]\d\d?[T ][\d:.,]+\s*$",
    "address": r"(?i)^\s*(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f]*:[0-9a-f:.]*)\s*$",
}
"""Kind of value -> its pattern. The first match counts; a value without a match is text."""
_EPOCHS = (
    (11, "epoch seconds"),
    (14, "epoch milliseconds"),
    (17, "epoch microseconds"),
    (20, "epoch nanoseconds"),
)
"""The most digits that an epoch time of each unit has."""


def count_value_kinds(cells: pa.ChunkedArray, is_time: bool) -> dict[str, int]:
    """Count the values of each kind. Integers of a time column count as epochs of some unit."""
    kinds: dict[str, int] = {}
    for kind, pattern in _VALUE_PATTERNS.items():
        matches = pc.match_substring_regex(cells, pattern)
        matching_cells = cells.filter(matches)
        if kind == "integer" and is_time:
            digits = pc.utf8_ltrim(pc.utf8_trim_whitespace(matching_cells), "+-")
            kinds |= _count_epoch_units(pc.utf8_length(digits))
        elif len(matching_cells):
            kinds[kind] = len(matching_cells)
        cells = cells.filter(pc.invert(matches))
    if len(cells):
        kinds["text"] = len(cells)
    return kinds


def _count_epoch_units(digit_counts: pa.ChunkedArray) -> dict[str, int]:
    """Count epoch times by unit, by the number of digits. Longer numbers are integers."""
    units: Counter[str] = Counter()
    for digit_count, rows in sorted(Counter(digit_counts.to_pylist()).items()):
        units[_infer_epoch_unit(digit_count)] += rows
    return dict(units)


def _infer_epoch_unit(digit_count: int) -> str:
    for most_digits, unit in _EPOCHS:
        if digit_count <= most_digits:
            return unit
    return "integer"
