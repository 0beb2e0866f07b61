"""Filter expressions: what they match, how they are refused, and that neither takes long."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dawnlist.filters.columns import ItemColumn, build_item_column
from dawnlist.filters.expression import (
    Combination,
    Comparison,
    Expression,
    ExpressionError,
    MissingTest,
    Negation,
)
from dawnlist.filters.masks import compute_mask
from dawnlist.filters.parser import MAX_DEPTH, MAX_VALUES, parse_expression
from dawnlist.filters.tokens import MAX_CHARACTERS

ITEMS = pa.table(
    {
        "brand": pa.array(["A", "B", None, "a b", 'q"t']),
        "genres": pa.array([["Horror", "War"], ["War"], [], None, [None, "Drama"]], pa.list_(pa.string())),
        "price": pa.array([10.0, 20.0, None, 30.5, -1.0]),
        "stock": pa.array([0, 5, 7, None, 2], pa.int32()),
        "sale": pa.array([True, False, None, True, False]),
        "released": pa.array(
            [datetime(2026, 1, 1), datetime(2026, 1, 2, 12), None, datetime(1969, 12, 31), datetime(2027, 1, 1)],
            pa.timestamp("ms", "UTC"),
        ),
        "in": pa.array(["x", "x", "y", "y", None]),
    }
)  # fmt: skip
COLUMNS: dict[str, ItemColumn] = {
    name: build_item_column(ITEMS[name]) for name in ITEMS.column_names
}


def match(text: str) -> list[int]:
    """The rows that an expression matches."""
    mask = compute_mask(parse_expression(text), COLUMNS, ITEMS.num_rows)
    assert mask.dtype == bool and mask.shape == (5,)
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("price < 20", [0, 4]),
        ("price <= 20", [0, 1, 4]),
        ("price > 20", [3]),
        ("price >= 20", [1, 3]),
        ("price = 20", [1]),
        ("price == 2e1", [1]),
        ("price != 20", [0, 2, 3, 4]),
        ("price in (10, 30.5, 7)", [0, 3]),
        ("price not in (10)", [1, 2, 3, 4]),
        ("price = -1", [4]),
        ("price < -.5", [4]),
        ("price is missing", [2]),
        ("price is not missing", [0, 1, 3, 4]),
        ("stock > 0", [1, 2, 4]),
        ('brand = "A"', [0]),
        ("brand = 'a b'", [3]),
        (r'brand = "q\"t"', [4]),
        ('brand in ("A", "B", "Z")', [0, 1]),
        ('brand != "A"', [1, 2, 3, 4]),
        ("brand is missing", [2]),
        ('genres has "War"', [0, 1]),
        ('genres has ("Horror", "Drama")', [0, 4]),
        ('genres not has "War"', [2, 3, 4]),
        ('not genres has "War"', [2, 3, 4]),
        ("genres is missing", [2, 3]),
        ("sale", [0, 3]),
        ("sale = true", [0, 3]),
        ("sale = FALSE", [1, 4]),
        ("not sale", [1, 2, 4]),
        ("sale is missing", [2]),
        ("(sale)", [0, 3]),
        ("sale or stock > 6", [0, 2, 3]),
        ('released < "2026-01-02"', [0, 3]),
        ('released >= "2026-01-02T12:00:00Z"', [1, 4]),
        ('released = "2026-01-02T13:00:00+01:00"', [1]),
        ('released > "1969-12-30"', [0, 1, 3, 4]),
        ("released is missing", [2]),
        ('released != "2026-01-01"', [1, 2, 3, 4]),
        ('`in` in ("x")', [0, 1]),
        ('price < 25 and brand in ("A", "B") and not genres has "Horror"', [1]),
        ("price < 15 or price > 25 and sale", [0, 3, 4]),
        ("(price < 15 or price > 25) and sale", [0, 3]),
        ("not not sale", [0, 3]),
        ("NOT sale AND price IS Missing", [2]),
    ],
)
def test_an_expression_matches(text: str, rows: list[int]) -> None:
    assert match(text) == rows


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the filter is empty"),
        ("  \n ", "the filter is empty"),
        ("price <", "ends too early: expected a value"),
        ("price", "price is a column of the kind number and cannot be compared with True: give a number"),
        ("price 20", "wrong at character 7, '20': expected =, !=, <, <=, >, >=, in, has or is"),
        ("price < 20 20", "wrong at character 12, '20': expected and, or, or the end"),
        ("price << 20", "wrong at character 8, '< 20': expected a value"),
        ("price < brand", "wrong at character 9, 'brand': expected a value"),
        ("price < 20 and", "ends too early: expected a column"),
        ("and price < 20", "wrong at character 1, 'and price < 20': expected a column"),
        ("(price < 20", "ends too early: expected )"),
        ("price in ()", "expected a value"),
        ("price in (1,)", "expected a value"),
        ("price in 1", "wrong at character 10, '1': expected ("),
        ("price not 3", "expected in or has"),
        ("price is 3", "expected missing"),
        ("price < 1e999", "the number is too large"),
        ('brand = "A', "nothing here begins like this"),
        ("price < 20; drop", "nothing here begins like this"),
        ("price < 20abc", "nothing here begins like this"),
        ("color = 3", "there is no column 'color': the columns are brand (text), genres (list), in (text), "
                      "price (number), released (time), sale (boolean), stock (number)"),
        ("sale or color", "there is no column 'color'"),
        ("brand < 'A'", "brand is a column of the kind text: compare it by =, in, not by <"),
        ("brand = 3", "brand is a column of the kind text and cannot be compared with 3.0: give text in quotes"),
        ("genres = 'War'", "genres is a column of the kind list: compare it by has, not by ="),
        ("price = '20'", "cannot be compared with '20': give a number"),
        ("price = true", "cannot be compared with True: give a number"),
        ("sale = 1", "cannot be compared with 1.0: give true or false"),
        ("released > 2026", "cannot be compared with 2026.0: give a time in quotes"),
        ("released > 'soon'", "cannot be compared with 'soon': give a time in quotes"),
        ("price has 3", "compare it by =, in, <, <=, >, >=, not by has"),
    ],
)  # fmt: skip
def test_a_wrong_expression_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as refusal:
        match(text)
    assert problem in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_shop_without_columns_says_so() -> None:
    with pytest.raises(ExpressionError, match="this shop names no columns for filters"):
        compute_mask(parse_expression("price < 3"), {}, 5)


def test_the_bounds_of_an_expression_are_exact() -> None:
    longest = "sale" + " " * (MAX_CHARACTERS - 4)
    assert match(longest) == [0, 3]
    with pytest.raises(ExpressionError, match="has 1,001 characters: give at most 1,000"):
        match(longest + " ")
    assert match("(" * MAX_DEPTH + "sale" + ")" * MAX_DEPTH) == [0, 3]
    with pytest.raises(ExpressionError, match="nested more than 20 deep"):
        match("(" * (MAX_DEPTH + 1) + "sale" + ")" * (MAX_DEPTH + 1))
    with pytest.raises(ExpressionError, match="nested more than 20 deep"):
        match("not " * (MAX_DEPTH + 1) + "sale")
    assert match("stock in (" + ",".join("5" for _ in range(MAX_VALUES)) + ")") == [1]
    with pytest.raises(ExpressionError, match="more than 200 values"):
        match("stock in (" + ",".join("5" for _ in range(MAX_VALUES + 1)) + ")")


def test_a_column_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot use a column of the type binary"):
        build_item_column(pa.chunked_array([pa.array([b"x"])]))


def test_columns_of_other_text_types_are_text_and_lists_of_objects_are_refused() -> None:
    words = pa.array(["A", None])
    for column in (
        words.dictionary_encode(),
        words.cast(pa.string_view()),
        words.cast(pa.large_string()),
    ):
        columns = {"c": build_item_column(pa.chunked_array([column]))}
        assert compute_mask(parse_expression("c = 'A'"), columns, 2).tolist() == [True, False]
    empty = {"c": build_item_column(pa.chunked_array([pa.nulls(2)]))}
    assert compute_mask(parse_expression("c is missing"), empty, 2).tolist() == [True, True]
    with pytest.raises(TypeError, match="cannot use a column of the type list<"):
        build_item_column(pa.chunked_array([pa.array([[{"a": 1}]])]))


def test_dates_decimals_and_times_without_zone_are_read() -> None:
    table = pa.table(
        {
            "day": pa.array([datetime(2026, 1, 1).date(), None]),
            "local": pa.array([datetime(2026, 1, 1, 0, 0, 1), None], pa.timestamp("ns")),
            "cost": pa.array([Decimal("1"), None], pa.decimal128(10, 2)),
        }
    )
    columns = {name: build_item_column(table[name]) for name in table.column_names}
    for text in ("day = '2026-01-01'", "local > '2026-01-01'", "cost = 1"):
        assert compute_mask(parse_expression(text), columns, 2).tolist() == [True, False]


# An interpreter that looks at one row at a time is what the masks must agree with.
ROWS: list[dict[str, Any]] = ITEMS.to_pylist()
COMPARISONS = [
    *(Comparison("price", sign, (20.0,)) for sign in ("=", "<", "<=", ">", ">=")),
    Comparison("stock", "in", (0.0, 7.0)),
    Comparison("brand", "in", ("A", "B")),
    Comparison("genres", "has", ("War", "Drama")),
    Comparison("sale", "=", (False,)),
    Comparison("released", ">=", ("2026-01-01",)),
    *(MissingTest(name) for name in ("price", "brand", "genres", "sale", "released")),
]  # fmt: skip
EXPRESSIONS = st.recursive(
    st.sampled_from(COMPARISONS),
    lambda inner: st.one_of(
        inner.map(Negation),
        st.builds(
            Combination,
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=1, max_size=3).map(tuple),
        ),
    ),
    max_leaves=10,
)


def holds(expression: Expression, row: dict[str, Any]) -> bool:
    """Whether a row fulfils an expression."""
    match expression:
        case Negation():
            return not holds(expression.operand, row)
        case Combination():
            results = [holds(operand, row) for operand in expression.operands]
            return all(results) if expression.word == "and" else any(results)
        case MissingTest():
            return row[expression.column] in (None, [])
    value = row[expression.column]
    first = expression.values[0]
    if value is None:
        return False
    if isinstance(value, datetime):
        first = datetime.fromisoformat(str(first)).replace(tzinfo=UTC)  # type: ignore[assignment]
    if expression.operator == "has":
        return bool(set(value) & set(expression.values))
    compare = {"=": value == first, "in": value in expression.values}
    if expression.operator in compare:
        return bool(compare[expression.operator])
    signs = {"<": value < first, "<=": value <= first, ">": value > first, ">=": value >= first}
    return bool(signs[expression.operator])


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS)
def test_a_mask_agrees_with_each_row(expression: Expression) -> None:
    mask = compute_mask(expression, COLUMNS, ITEMS.num_rows)
    assert mask.tolist() == [holds(expression, row) for row in ROWS]


PIECES = ["price", "brand", "genres", "and", "or", "not", "in", "has", "is", "missing", "(", ")", ",", "<", "=",
          "!=", "20", "'A'", '"', "`", "\\", "1e9", "ł", "\x00", "true", " ", "é", "."]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join))
)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        match(text)
    except ExpressionError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 600


@pytest.mark.parametrize(
    "text",
    ["(" * 1000, "not " * 250, "'" * 1000, "\\" * 1000, '"' + "\\" * 998 + '"', "a" * 1000, "1" * 1000,
     "a=1 or " * 142, "`" * 1000, "1." * 500, "+" * 1000, "a.b." * 250],
)  # fmt: skip
@pytest.mark.timeout(60)  # an expression that is tried in all ways would take hours
def test_the_time_to_refuse_grows_with_the_length_alone(text: str) -> None:
    with pytest.raises(ExpressionError):
        match(text[:MAX_CHARACTERS])


def test_whole_numbers_that_no_float_holds_are_read_as_the_nearest_one() -> None:
    column = build_item_column(pa.chunked_array([pa.array([2**53 + 1, 5], pa.int64())]))
    expression = parse_expression(f"c >= {2**53}")
    assert compute_mask(expression, {"c": column}, 2).tolist() == [True, False]
