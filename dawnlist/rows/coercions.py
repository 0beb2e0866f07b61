"""Coercions as Ibis expressions: text as a source wrote it -> canonical values, NULL where it can't be read.

The same expressions compile for DuckDB and for Spark and give the same values; dawnlist.rows.sql_dialects has the few that
each engine says in its own words. docs/CLEANING.md lists what is read as what.
"""

from collections.abc import Mapping

import ibis

from dawnlist.rows import sql_dialects
from dawnlist.rows.sql_dialects import IbisValue

MAX_AGENT_CHARACTERS = 1024
"""Characters of a user agent that are kept: the longest real ones have a few hundred, the rest is hostile."""

# control characters, and the invisible ones that make two ids look alike or turn a line round
_INVISIBLE = r"[\x00-\x1f\x7f-\x{9f}\x{ad}\x{200b}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2060}-\x{2069}\x{feff}]"
_BLANK = r"[ \x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]"
_NULL_SPELLINGS = ("null", "nan", "none", "nil", "n/a", "<na>", "nat", "undefined", r"\n")
_NULL_LIST = f"|{'|'.join(_NULL_SPELLINGS)}|"
NULL_PATTERN = "|".join(word.replace("\\", r"\\") for word in _NULL_SPELLINGS)
"""A pattern of what sources write for NULL, in lower case."""
_NULL_TEXT = rf"\A(?i:{NULL_PATTERN})?\z"
_DIRTY = rf"{_INVISIBLE}|\A{_BLANK}|{_BLANK}\z|{_NULL_TEXT}"
# 0 to 255, written so that the next letter decides: RE2 is twice as fast then
_OCTET = r"(?:0|1\d{0,2}|2(?:[0-4]\d?|5[0-5]?|[6-9])?|[3-9]\d?)"
_IPV4_PATTERN = rf"\A(?:::[fF]{{4}}:)?({_OCTET}\.{_OCTET}\.{_OCTET})\.{_OCTET}\z"
_IPV6_PATTERN = r"\A([0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,2})?:[0-9a-f]*:[0-9a-f:]*\z"


def clean_text(value: IbisValue) -> IbisValue:
    """Text without invisible characters and outer blanks; NULL for the ways in which sources write NULL."""
    plain = value.cast("string")
    stripped = plain.re_replace(_INVISIBLE, "").re_replace(rf"\A{_BLANK}+|{_BLANK}+\z", "")
    washed = ibis.ifelse(stripped.re_search(_NULL_TEXT), ibis.null("string"), stripped)
    return ibis.ifelse(_is_plain(plain), plain, washed)  # nearly all rows are


def _is_plain(value: IbisValue) -> IbisValue:
    """Whether text is as it is to be; NULL and, on DuckDB, some that is may be False."""
    if sql_dialects.is_spark(value):
        return ~value.re_search(_DIRTY)
    # a regex takes three times as long, and does not look at a value of a Parquet dictionary only once
    is_short = (value.length() <= max(map(len, _NULL_SPELLINGS))) & (
        value >= "<"
    )  # numbers sort before them all
    # contained in one text, not one of a list: DuckDB joins with a list, for columns that nobody asks for, too
    is_null = ibis.ifelse(
        is_short,
        ibis.literal(_NULL_LIST).contains(ibis.literal("|").concat(value.lower(), "|")),
        False,
    )
    return sql_dialects.is_printable_ascii(value) & (value >= "!") & ~value.endswith(" ") & ~is_null


def clean_prose(value: IbisValue) -> IbisValue:
    """Text of several lines: as `text`, but what breaks a line or a column parts words."""
    return clean_text(value.cast("string").re_replace(r"[\t-\r\x{85}\x{2028}\x{2029}]+", " "))


def coalesce_text(values: list[IbisValue]) -> IbisValue:
    """The first of several columns that says something."""
    return ibis.coalesce(*map(clean_text, values)) if values else ibis.null("string")


def clean_identifier(value: IbisValue) -> IbisValue:
    """An id of `text`: 17850.0, an integer that went through a float column, is 17850.

    1.785e4 stays as it is: the digits that such a column dropped can't be told, and 1e5 is an article number, too.
    """
    is_whole = ibis.ifelse(value.contains("."), value.re_search(r"\A-?\d+\.0+\z"), False)
    return ibis.ifelse(is_whole, value.re_replace(r"\.0+\z", ""), value)


def parse_number(value: IbisValue) -> IbisValue:
    """A finite float64 of `text`: 1.5, 1,5 (a decimal comma, also in 1,234), 1.234,5 or 1,234.5."""
    pointed = ibis.cases(
        (
            value.re_search(r"\A[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+\z"),
            value.replace(".", "").replace(",", "."),
        ),
        (value.re_search(r"\A[+-]?\d{1,3}(,\d{3})+\.\d+\z"), value.replace(",", "")),
        else_=value,
    )
    return ibis.ifelse(
        value.contains(","), sql_dialects.parse_float64(pointed), sql_dialects.parse_float64(value)
    )


def map_event_name(value: IbisValue, names: Mapping[str, str]) -> IbisValue:
    """The canonical event type: lower case, blanks and hyphens as the settings write them, then their mapping."""
    lower = value.lower()
    if not names:
        return lower
    return ibis.cases(
        *((lower == source.strip().lower(), canonical) for source, canonical in names.items()),
        else_=lower,
    )


def truncate_address(value: IbisValue) -> IbisValue:
    """The /24 (IPv4) or /48 (IPv6) that an address of `text` lies in, NULL for what is no address."""
    # not by cases: DuckDB would work out twice what is both asked and given
    four, lower = value.re_extract(_IPV4_PATTERN, 1).nullif(""), value.lower()
    # what stands before '::' is whole; the three groups of a /48 that are missing there are zeros
    six = ibis.ifelse(
        lower.re_search(_IPV6_PATTERN), lower.re_extract(_IPV6_PATTERN, 1), ibis.null("string")
    )
    return ibis.coalesce(four.concat(".0/24"), six.concat("::/48"))
