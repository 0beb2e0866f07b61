"""Compute which items a filter expression matches."""

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from dawnlist.arrays import AnyArray, BoolArray
from dawnlist.filters.columns import (
    MISSING_TIME,
    AttributeIndex,
    BooleanColumn,
    ColumnKind,
    ItemColumn,
    NumberColumn,
    TimeColumn,
)
from dawnlist.filters.expression import (
    Combination,
    Comparison,
    Expression,
    ExpressionError,
    MissingTest,
    Negation,
    Operator,
    Value,
)
from dawnlist.values import describe_value

_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ALLOWED_OPERATORS: Final[Mapping[ColumnKind, tuple[Operator, ...]]] = {
    "text": ("=", "in"),
    "list": ("has",),
    "number": ("=", "in", "<", "<=", ">", ">="),
    "boolean": ("=",),
    "time": ("=", "in", "<", "<=", ">", ">="),
}
"""What each kind of column can be compared by; `!=` is the opposite of `=`."""
_VALUE_NAMES: Final[Mapping[ColumnKind, str]] = {
    "text": 'text in quotes, such as "A"',
    "list": 'text in quotes, such as "A"',
    "number": "a number, such as 20",
    "boolean": "true or false",
    "time": 'a time in quotes, such as "2026-01-31" or "2026-01-31T12:00:00Z"',
}


def compute_mask(
    expression: Expression, columns: Mapping[str, ItemColumn], items: int
) -> BoolArray:
    """Return which items an expression matches, shape (items,).

    A comparison does not match an item that has no value in the column; `not` matches the items
    that are left, also those without a value.

    Raises:
        ExpressionError: a column does not exist, or cannot be compared with the value.
    """
    match expression:
        case Combination():
            return _combine_masks(expression, columns, items)
        case Negation():
            return ~compute_mask(expression.operand, columns, items)
        case MissingTest():
            return ~_mark_present(_find_column(columns, expression.column), items)
        case Comparison():
            column = _find_column(columns, expression.column)
            _check_operator(expression, column.kind)
            return _compare_column(column, expression, items)


def _combine_masks(
    combination: Combination, columns: Mapping[str, ItemColumn], items: int
) -> BoolArray:
    """Join the masks of all operands. Each one is computed, so that each one is checked."""
    join: Any = np.logical_and
    if combination.word == "or":
        join = np.logical_or
    mask = compute_mask(combination.operands[0], columns, items)
    for operand in combination.operands[1:]:
        mask = join(mask, compute_mask(operand, columns, items))
    return mask


def _find_column(columns: Mapping[str, ItemColumn], name: str) -> ItemColumn:
    column = columns.get(name)
    if column is not None:
        return column
    if not columns:
        raise ExpressionError(
            f"there is no column {describe_value(name)}: this shop names no columns for filters"
        )
    known = ", ".join(f"{known} ({columns[known].kind})" for known in sorted(columns))
    raise ExpressionError(f"there is no column {describe_value(name)}: the columns are {known}")


def _check_operator(comparison: Comparison, kind: ColumnKind) -> None:
    allowed = ALLOWED_OPERATORS[kind]
    if comparison.operator not in allowed:
        raise ExpressionError(
            f"{comparison.column} is a column of the kind {kind}: compare it by "
            f"{', '.join(allowed)}, not by {comparison.operator}"
        )


def _explain_value(comparison: Comparison, kind: ColumnKind, value: Value) -> ExpressionError:
    return ExpressionError(
        f"{comparison.column} is a column of the kind {kind} and cannot be compared with "
        f"{describe_value(value)}: give {_VALUE_NAMES[kind]}"
    )


def _compare_column(column: ItemColumn, comparison: Comparison, items: int) -> BoolArray:
    match column:
        case AttributeIndex():
            texts = [_read_text(comparison, column.kind, value) for value in comparison.values]
            mask = np.zeros(items, dtype=bool)
            column.mark(texts, mask)
            return mask
        case NumberColumn():
            numbers = [_read_number(comparison, value) for value in comparison.values]
            return _compare_numbers(column.numbers, comparison.operator, numbers)
        case TimeColumn():
            times = [_read_time(comparison, value) for value in comparison.values]
            mask = _compare_numbers(column.microseconds, comparison.operator, times)
            has_time: BoolArray = column.microseconds != MISSING_TIME
            return mask & has_time
        case BooleanColumn():
            return _compare_boolean(column, comparison)


def _compare_numbers(values: AnyArray, operator_name: Operator, limits: list[Any]) -> BoolArray:
    """Compare each value with the limit, or for `in` with all of them. NaN matches nothing."""
    if operator_name == "in":
        mask: BoolArray = np.isin(values, limits)
        return mask
    compared: BoolArray = _COMPARE[operator_name](values, limits[0])
    return compared


def _compare_boolean(column: BooleanColumn, comparison: Comparison) -> BoolArray:
    value = comparison.values[0]
    if value is True:
        return column.is_true
    if value is False:
        return column.is_false
    raise _explain_value(comparison, column.kind, value)


def _mark_present(column: ItemColumn, items: int) -> BoolArray:
    """Return which items have a value, shape (items,)."""
    match column:
        case AttributeIndex():
            mask: BoolArray = np.zeros(items, dtype=bool)
            column.mark_present(mask)
            return mask
        case NumberColumn():
            return ~np.isnan(column.numbers)
        case TimeColumn():
            present: BoolArray = column.microseconds != MISSING_TIME
            return present
        case BooleanColumn():
            return column.is_true | column.is_false


def _read_text(comparison: Comparison, kind: ColumnKind, value: Value) -> str:
    if not isinstance(value, str):
        raise _explain_value(comparison, kind, value)
    return value


def _read_number(comparison: Comparison, value: Value) -> float:
    if isinstance(value, bool) or not isinstance(value, float):
        raise _explain_value(comparison, "number", value)
    return value


def _read_time(comparison: Comparison, value: Value) -> int:
    """Return the microseconds since 1970 of a time; one without a zone is in UTC."""
    if not isinstance(value, str):
        raise _explain_value(comparison, "time", value)
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        since_1970 = time - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _explain_value(comparison, "time", value) from None
    return (since_1970.days * 86_400 + since_1970.seconds) * 1_000_000 + since_1970.microseconds
