"""The parts of a filter expression, as the parser builds them (docs/FILTERS.md)."""

from dataclasses import dataclass
from typing import Final, Literal

Value = str | float | bool
"""A value that is written in an expression. A time is written as text."""
Operator = Literal["=", "<", "<=", ">", ">=", "in", "has"]

ORDER_OPERATORS: Final[tuple[Operator, ...]] = ("<", "<=", ">", ">=")


class ExpressionError(ValueError):
    """An expression cannot be read, or does not fit the columns. The message is one line."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares the value that an item has in a column. An item without a value does not match."""

    column: str
    operator: Operator
    values: tuple[Value, ...]
    """One value; for `in` and `has` one or more, of which any may match."""


@dataclass(frozen=True, slots=True)
class MissingTest:
    """Matches the items that have no value in a column."""

    column: str


@dataclass(frozen=True, slots=True)
class Negation:
    """Matches the items that `operand` does not match."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Combination:
    """Matches the items that all operands match (`and`), or at least one of them (`or`)."""

    word: Literal["and", "or"]
    operands: tuple["Expression", ...]


Expression = Comparison | MissingTest | Negation | Combination
