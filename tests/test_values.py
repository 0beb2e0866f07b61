"""Descriptions of values that somebody sent: short and complete, however large or deep the values are."""

from typing import Any

import pytest

from dawnlist.values import MAX_DESCRIPTION, MAX_ELEMENTS, MAX_INTEGER_BITS, describe_value


def nest(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def build_shared_lists(levels: int) -> Any:
    """Build lists that refer to one another, as aliases in YAML do: 9 ** levels values."""
    value: Any = "x"
    for _ in range(levels):
        value = [value] * 9
    return value


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "description"),
    [
        ([2, 1], "[2, 1]"),
        ("text", "'text'"),
        ({"a": None, "b": True}, "{'a': None, 'b': True}"),
        (nest(100_000), "[[[...]]]"),
        (CYCLE, "[[[...]]]"),
        (list(range(MAX_ELEMENTS)), "[0, 1, 2, 3]"),
        (list(range(MAX_ELEMENTS + 1)), "[0, 1, 2, 3, ...]"),
        (2**MAX_INTEGER_BITS - 1, str(2**MAX_INTEGER_BITS - 1)),
        (2**MAX_INTEGER_BITS, f"an integer of {MAX_INTEGER_BITS + 1} bits"),
        (-(16**5_000), "an integer of 20001 bits"),
        (["redis://:secret@h"], "['redis://:***@h']"),
    ],
    ids=range(11),
)
def test_a_value_is_described(value: Any, description: str) -> None:
    assert describe_value(value) == description


def test_shared_lists_are_described_without_being_written_out() -> None:
    inner = "[" + "[...], " * 4 + "...]"
    assert describe_value(build_shared_lists(50)) == f"[{', '.join([inner] * 4)}, ...]"


def test_a_description_is_cut_at_its_bound() -> None:
    quotes = 2
    longest = "a" * (MAX_DESCRIPTION - quotes)
    assert describe_value(longest) == f"'{longest}'"
    assert len(describe_value(longest + "a")) == MAX_DESCRIPTION
    assert describe_value(longest + "a").endswith("...")
    assert len(describe_value(b"a" * 10_000)) == MAX_DESCRIPTION


def test_a_password_is_masked_before_it_is_cut() -> None:
    url = "redis://:" + "secret" * 100 + "@host"
    assert describe_value(url) == "'redis://:***@host'"
