"""Parse filter expressions.

    expression  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | "(" expression ")" | comparison
    comparison  = column sign value | column ["not"] "in" values | column ["not"] "has" value or values
                | column "is" ["not"] "missing" | column
    sign        = "=" | "==" | "!=" | "<" | "<=" | ">" | ">="
    values      = "(" value { "," value } ")"
    value       = text in quotes | number | "true" | "false"

Keywords are read in any case. A column whose name is a keyword or has blanks stands in backticks.
"""

import math
from typing import Final

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
from dawnlist.filters.tokens import Token, explain_position, split_expression

MAX_DEPTH: Final = 20
"""Parentheses and negations inside each other."""
MAX_VALUES: Final = 200
"""Values in one expression. Each comparison has one or more of them."""
KEYWORDS: Final = ("and", "or", "not", "in", "has", "is", "missing", "true", "false")
_SIGNS: Final[dict[str, Operator]] = {
    "=": "=", "==": "=", "!=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip


def parse_expression(text: str) -> Expression:
    """Parse a filter expression.

    Raises:
        ExpressionError: the text is no expression. The message says where and why.
    """
    return _Parser(text).parse()


class _Parser:
    """Reads the tokens of one expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = split_expression(text)
        self._position = 0
        self._values = 0

    def parse(self) -> Expression:
        expression = self._read_disjunction(0)
        if self._next.kind != "end":
            raise self._explain("expected and, or, or the end")
        return expression

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _explain(self, problem: str) -> ExpressionError:
        return ExpressionError(explain_position(self._text, self._next.position, problem))

    def _take(self) -> Token:
        token = self._next
        self._position += 1
        return token

    def _take_word(self, word: str) -> bool:
        """Take the next token if it is this keyword."""
        token = self._next
        if token.kind != "name" or token.is_quoted or token.text.lower() != word:
            return False
        self._position += 1
        return True

    def _take_sign(self, sign: str) -> bool:
        """Take the next token if it is this sign."""
        if self._next.kind != "sign" or self._next.text != sign:
            return False
        self._position += 1
        return True

    def _read_disjunction(self, depth: int) -> Expression:
        operands = [self._read_conjunction(depth)]
        while self._take_word("or"):
            operands.append(self._read_conjunction(depth))
        if len(operands) == 1:
            return operands[0]
        return Combination("or", tuple(operands))

    def _read_conjunction(self, depth: int) -> Expression:
        operands = [self._read_negation(depth)]
        while self._take_word("and"):
            operands.append(self._read_negation(depth))
        if len(operands) == 1:
            return operands[0]
        return Combination("and", tuple(operands))

    def _read_negation(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise self._explain(f"it is nested more than {MAX_DEPTH} deep")
        if self._take_word("not"):
            return Negation(self._read_negation(depth + 1))
        if self._take_sign("("):
            expression = self._read_disjunction(depth + 1)
            self._expect_sign(")")
            return expression
        return self._read_comparison()

    def _expect_sign(self, sign: str) -> None:
        if not self._take_sign(sign):
            raise self._explain(f"expected {sign}")

    def _read_comparison(self) -> Expression:
        column = self._read_column()
        if self._next.kind == "sign" and self._next.text in _SIGNS:
            sign = self._take().text
            comparison = Comparison(column, _SIGNS[sign], (self._read_value(),))
            if sign == "!=":
                return Negation(comparison)
            return comparison
        if self._take_word("is"):
            return self._read_missing(column)
        if self._take_word("not"):
            return Negation(self._read_membership(column))
        if self._is_word("in") or self._is_word("has"):
            return self._read_membership(column)
        return self._read_boolean_column(column)

    def _is_word(self, word: str) -> bool:
        token = self._next
        return token.kind == "name" and not token.is_quoted and token.text.lower() == word

    def _read_column(self) -> str:
        token = self._next
        is_keyword = not token.is_quoted and token.text.lower() in KEYWORDS
        if token.kind != "name" or is_keyword:
            raise self._explain("expected a column")
        return self._take().text

    def _read_missing(self, column: str) -> Expression:
        """Read what follows `is`."""
        is_negated = self._take_word("not")
        if not self._take_word("missing"):
            raise self._explain("expected missing")
        if is_negated:
            return Negation(MissingTest(column))
        return MissingTest(column)

    def _read_membership(self, column: str) -> Expression:
        """Read `in (...)`, `has value` or `has (...)`."""
        if self._take_word("in"):
            return Comparison(column, "in", self._read_values())
        if not self._take_word("has"):
            raise self._explain("expected in or has")
        if self._next.kind == "sign":
            return Comparison(column, "has", self._read_values())
        return Comparison(column, "has", (self._read_value(),))

    def _read_boolean_column(self, column: str) -> Expression:
        """Return the comparison that a column alone stands for."""
        ends = self._next.kind == "end" or self._next.text == ")"
        if not (ends or self._is_word("and") or self._is_word("or")):
            raise self._explain("expected =, !=, <, <=, >, >=, in, has or is")
        self._count_value()
        return Comparison(column, "=", (True,))

    def _read_values(self) -> tuple[Value, ...]:
        self._expect_sign("(")
        values = [self._read_value()]
        while self._take_sign(","):
            values.append(self._read_value())
        self._expect_sign(")")
        return tuple(values)

    def _count_value(self) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise self._explain(f"the filter has more than {MAX_VALUES} values")

    def _read_value(self) -> Value:
        self._count_value()
        token = self._next
        if token.kind == "text":
            return self._take().text
        if token.kind == "number":
            number = float(token.text)
            if math.isinf(number):
                raise self._explain("the number is too large")
            self._position += 1
            return number
        if self._take_word("true"):
            return True
        if self._take_word("false"):
            return False
        raise self._explain('expected a value: text in quotes such as "A", a number, true or false')
