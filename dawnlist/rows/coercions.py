"""Ibis expressions that turn a source's text into canonical values, or into NULL if they can't.

The same expressions compile for DuckDB and for Spark and give the same values. The few functions
that the engines write differently are in `dawnlist.rows.sql_dialects`. docs/CLEANING.md lists which
text becomes which value.
"""

from collections.abc import Mapping

import ibis

from dawnlist.rows import sql_dialects
from dawnlist.rows.identifiers import (
    BLANK_CHARACTERS,
    INVISIBLE_CHARACTERS,
    NULL_SPELLINGS,
    WHOLE_FLOAT,
    build_character_class,
)
from dawnlist.rows.sql_dialects import IbisValue

MAX_AGENT_CHARACTERS = 1024
"""How many characters of a user agent are kept. Real ones have a few hundred at most."""
FIRST_ROUNDED_INTEGER = 2**53
"""The lowest integer of which a float column may hold another one's value: that of 2**53 + 1."""
MAX_ID_CHARACTERS = 512
"""The longest id of a user or item that the predictor's API takes."""

_INVISIBLE = build_character_class(INVISIBLE_CHARACTERS)
_BLANK = build_character_class(BLANK_CHARACTERS)
_LONGEST_NULL_SPELLING = max(map(len, NULL_SPELLINGS))
_NULL_LIST = f"|{'|'.join(NULL_SPELLINGS)}|"
NULL_PATTERN = "|".join(word.replace("\\", r"\\") for word in NULL_SPELLINGS)
"""A regular expression for what sources write for NULL, in lower case."""
_NULL_TEXT = rf"\A(?i:{NULL_PATTERN})?\z"
_DIRTY = rf"{_INVISIBLE}|\A{_BLANK}|{_BLANK}\z|{_NULL_TEXT}"
# 0 to 255. The next character always decides how to go on: RE2 is twice as fast then
_OCTET = r"(?:0|1\d{0,2}|2(?:[0-4]\d?|5[0-5]?|[6-9])?|[3-9]\d?)"
_IPV4_PATTERN = rf"\A(?:::[fF]{{4}}:)?({_OCTET}\.{_OCTET}\.{_OCTET})\.{_OCTET}\z"
_IPV6_PATTERN = r"\A([0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,2})?:[0-9a-f]*:[0-9a-f:]*\z"


def clean_text(value: IbisValue) -> IbisValue:
    """Remove invisible characters and outer blanks; what sources write for NULL becomes NULL."""
    text = value.cast("string")
    stripped = text.re_replace(_INVISIBLE, "").re_replace(rf"\A{_BLANK}+|{_BLANK}+\z", "")
    cleaned = ibis.ifelse(stripped.re_search(_NULL_TEXT), ibis.null("string"), stripped)
    # nearly all rows are clean already
    return ibis.ifelse(_is_clean(text), text, cleaned)


def _is_clean(value: IbisValue) -> IbisValue:
    """Say whether text needs no cleaning. False for NULL and, on DuckDB, for some clean text."""
    if sql_dialects.is_spark(value):
        return ~value.re_search(_DIRTY)
    # A regular expression takes three times as long on DuckDB, which also evaluates it for each row
    # instead of each value of a Parquet dictionary. Numbers sort before all spellings of NULL.
    is_short = (value.length() <= _LONGEST_NULL_SPELLING) & (value >= "<")
    # The spellings are one text to search in, not a list: DuckDB turns a list into a join, and
    # joins for columns that nobody selects, too.
    in_bars = ibis.literal("|").concat(value.lower(), "|")
    is_null = ibis.ifelse(is_short, ibis.literal(_NULL_LIST).contains(in_bars), False)
    is_printable = sql_dialects.is_printable_ascii(value)
    return is_printable & (value >= "!") & ~value.endswith(" ") & ~is_null


def clean_prose(value: IbisValue) -> IbisValue:
    """Clean text of several lines as `clean_text` does; line breaks and tabs become blanks."""
    one_line = value.cast("string").re_replace(r"[\t-\r\x{85}\x{2028}\x{2029}]+", " ")
    return clean_text(one_line)


def coalesce_text(values: list[IbisValue]) -> IbisValue:
    """Take the first of several columns that has a value, cleaned; NULL without columns."""
    if not values:
        return ibis.null("string")
    return ibis.coalesce(*map(clean_text, values))


def clean_identifier(value: IbisValue) -> IbisValue:
    """Turn 17850.0, an integer that went through a float column, into 17850; `value` is clean text.

    1.785e4 stays as it is: nobody can tell which digits such a column dropped, and 1e5 may be an
    article number.
    """
    is_whole = ibis.ifelse(value.contains("."), value.re_search(rf"\A{WHOLE_FLOAT}\z"), False)
    return ibis.ifelse(is_whole, value.re_replace(r"\.0+\z", ""), value)


def is_nested(value: IbisValue) -> IbisValue:
    """Say whether clean text is an object or a list, as JSON or as a database writes it.

    {3F2504E0-4F89-11D3-9A0C-0305E82C3301} is an id.
    """
    may_be = value.startswith("{") | value.startswith("[")
    return ibis.ifelse(may_be, value.re_search(r"\A(\{.*:.*\}|\[.*\]|\{\})\z"), False)


def is_rounded(value: IbisValue) -> IbisValue:
    """Say whether clean text is an id that a spreadsheet or a float column has rounded.

    A spreadsheet shows 1234567890123 as 1.23457E+12, and a float has no integers from 2**53 on.
    """
    has_exponent = value.re_search(r"\A-?\d([.,]\d+)?[eE]\+\d\d+\z")
    is_whole = value.re_search(r"\A-?\d{16,400}\.0+\z")
    is_large = sql_dialects.parse_float64(value).abs() >= FIRST_ROUNDED_INTEGER
    may_be = value.contains("+") | value.contains(".0")
    return ibis.ifelse(may_be, has_exponent | (is_whole & ibis.coalesce(is_large, True)), False)


def parse_number(value: IbisValue) -> IbisValue:
    """Parse clean text as a finite float64; NULL for other text.

    1.5, 1,5 (a comma is a decimal comma, also in 1,234), 1.234,5 and 1,234.5 are numbers.
    """
    has_decimal_comma = value.re_search(r"\A[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+\z")
    has_thousands_commas = value.re_search(r"\A[+-]?\d{1,3}(,\d{3})+\.\d+\z")
    with_point = ibis.cases(
        (has_decimal_comma, value.replace(".", "").replace(",", ".")),
        (has_thousands_commas, value.replace(",", "")),
        else_=value,
    )
    return ibis.ifelse(
        value.contains(","),
        sql_dialects.parse_float64(with_point),
        sql_dialects.parse_float64(value),
    )


def map_event_name(value: IbisValue, names: Mapping[str, str]) -> IbisValue:
    """Turn the source's name of an event into the canonical event type.

    `names` maps the one to the other, whatever the case. Other names are only lowercased.
    """
    lower = value.lower()
    if not names:
        return lower
    branches = []
    for source_name, event_type in names.items():
        branches.append((lower == source_name.strip().lower(), event_type))
    return ibis.cases(*branches, else_=lower)


def truncate_address(value: IbisValue) -> IbisValue:
    """Find the /24 (IPv4) or /48 (IPv6) of an address in clean text; NULL for other text."""
    # not with cases: DuckDB would compute twice what is both a condition and a result
    ipv4 = value.re_extract(_IPV4_PATTERN, 1).nullif("")
    # the groups before '::' are complete; a group of the /48 that is missing there is zero
    lower = value.lower()
    is_ipv6 = lower.re_search(_IPV6_PATTERN)
    ipv6 = ibis.ifelse(is_ipv6, lower.re_extract(_IPV6_PATTERN, 1), ibis.null("string"))
    return ibis.coalesce(ipv4.concat(".0/24"), ipv6.concat("::/48"))
