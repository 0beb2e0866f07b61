"""Say which items are available, from the columns in which sources write it.

Three columns can speak: `available` (yes or no), `stock` (a count, or yes or no) and `discontinued`
(no or yes, or the time since when). One that says no is enough.
"""

import re
from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from dawnlist.rows.column_aliases import normalise_name

YES_WORDS: Final = frozenset(
    map(
        normalise_name,
        (
            "true", "t", "yes", "y", "on", "available", "in stock", "instock", "low stock", "limited",
            "limited availability", "active", "enabled", "published", "online", "on sale", "live",
            "pre-order", "preorder", "backorder", "on backorder",
        ),
    )
)  # fmt: skip
"""Words for an item that can be had, without blanks, hyphens and case."""
NO_WORDS: Final = frozenset(
    map(
        normalise_name,
        (
            "false", "f", "no", "n", "off", "unavailable", "not available", "currently unavailable",
            "out of stock", "not in stock", "no stock", "sold out", "oos", "inactive", "disabled",
            "discontinued", "withdrawn", "delisted", "removed", "deleted", "archived", "retired",
            "unpublished", "offline", "hidden", "end of life",
        ),
    )
)  # fmt: skip
"""Words for an item that can't be had."""
_SCHEMA_PREFIX: Final = re.compile(r"\Ahttps?://schema\.org/", re.IGNORECASE)
"""What schema.org's values begin with, such as https://schema.org/OutOfStock."""


def parse_availability(rows: pa.Table, unavailable_words: Iterable[str]) -> pa.Array:
    """Parse the columns available, stock and discontinued to one: True, False or null for unknown.

    Args:
        rows: The items, with the three columns as text.
        unavailable_words: The shop's own words for an item that is not available.
    """
    shop_words = frozenset(map(normalise_name, unavailable_words))
    answers = []
    columns = (rows["available"], rows["stock"], rows["discontinued"])
    for available, stock, discontinued in zip(
        *map(pa.ChunkedArray.to_pylist, columns), strict=True
    ):
        statements = (
            parse_yes_or_no(available, shop_words),
            parse_yes_or_no(stock, shop_words),
            _parse_discontinued(discontinued),
        )
        answers.append(_combine_statements(statements))
    return pa.array(answers, pa.bool_())


def parse_yes_or_no(text: str | None, unavailable_words: frozenset[str]) -> bool | None:
    """Parse a flag, a word or a count; None if the text is none of them.

    A count above 0 means yes. `unavailable_words` are normalised as by `normalise_name`.
    """
    if text is None:
        return None
    word = normalise_name(_SCHEMA_PREFIX.sub("", text))
    if word in unavailable_words or word in NO_WORDS:
        return False
    if word in YES_WORDS:
        return True
    try:
        return float(text) > 0
    except ValueError:
        return None


def _parse_discontinued(text: str | None) -> bool | None:
    """Say whether an item is available by a column that says since when, or whether, it is not."""
    if text is None:
        return None
    is_discontinued = parse_yes_or_no(text, frozenset())
    if is_discontinued is None:
        return False  # a time
    return not is_discontinued


def _combine_statements(statements: Iterable[bool | None]) -> bool | None:
    """Return False if one is False, else True if one is True, else None."""
    known = [statement for statement in statements if statement is not None]
    if not known:
        return None
    return all(known)
