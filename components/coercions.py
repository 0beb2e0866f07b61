"""Coercions as Ibis expressions: text as a source wrote it -> canonical values, NULL where it can't be read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import ibis

Value = Any
"""An Ibis column expression; Ibis ships no types that mypy could use."""

UTC = "timestamp('UTC')"
EARLIEST = datetime.fromisoformat("1995-01-01T00:00:00+00:00")
"""Older than any shop on the web: MovieLens and Amazon's reviews begin in 1995 and 1996."""
AGENT_LENGTH = 1024
"""Characters of a user agent that are kept: the longest real ones have a few hundred, the rest is hostile."""

# control characters, and the invisible ones that make two ids look alike or turn a line round
_INVISIBLE = r"[\x00-\x1f\x7f-\x{9f}\x{200b}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}\x{feff}]"
_NULL = r"^(?i:null|nan|none|nil|n/a|<na>|nat|undefined|\\n)?$"
_DIRTY = rf"{_INVISIBLE}|^\s|\s$|{_NULL}"


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator,unused-ignore]
def make_timestamp(microseconds: int) -> datetime:
    """DuckDB's own function: Ibis knows no timestamp from microseconds on DuckDB."""
    raise NotImplementedError


def text(value: Value) -> Value:
    """Text without invisible characters and outer blanks; NULL for the ways in which sources write NULL."""
    plain = value.cast("string")
    stripped = plain.re_replace(_INVISIBLE, "").strip()
    washed = ibis.ifelse(stripped.re_search(_NULL), ibis.null("string"), stripped)
    return ibis.ifelse(plain.re_search(_DIRTY), washed, plain)  # one search settles nearly all rows


def first_text(values: list[Value]) -> Value:
    """The first of several columns that says something."""
    return ibis.coalesce(*map(text, values)) if values else ibis.null("string")


def identifier(value: Value) -> Value:
    """An id of `text`: 17850.0, an integer that went through a float column, is 17850."""
    return ibis.ifelse(value.contains("."), value.re_replace(r"^(-?\d+)\.0+$", r"\1"), value)


def number(value: Value) -> Value:
    """A finite float64 of `text`, decimal comma or point."""
    pointed = ibis.ifelse(value.re_search(r"^[+-]?\d+,\d+$"), value.replace(",", "."), value)
    parsed = pointed.try_cast("float64")
    return ibis.ifelse(parsed.abs() < 1e300, parsed, ibis.null("float64"))


def moment(value: Value) -> Value:
    """A UTC time of `text`: ISO-8601 (no zone means UTC) or seconds, milliseconds, microseconds since 1970.

    The unit of a number follows from its size: 1e11 seconds would be the year 5138.
    """
    since = value.try_cast("float64")
    size = since.abs()
    microseconds = ibis.cases(
        (size < 1e11, since * 1e6), (size < 1e14, since * 1e3), (size < 1e17, since), else_=ibis.null("float64")
    )
    counted = make_timestamp(microseconds.round().cast("int64")).cast(UTC)
    return ibis.ifelse(since.isnull(), value.try_cast(UTC), counted)


def event_name(value: Value, names: Mapping[str, str]) -> Value:
    """The canonical event type: lower case, blanks and hyphens as the settings write them, then their mapping."""
    lower = value.lower()
    if not names:
        return lower
    return ibis.cases(
        *((lower == source.strip().lower(), canonical) for source, canonical in names.items()), else_=lower
    )


def network(value: Value) -> Value:
    """The /24 (IPv4) or /48 (IPv6) that an address of `text` lies in, NULL for what is no address."""
    four = value.re_replace(r"^(?:::[fF]{4}:)?(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$", r"\1.0/24")
    # what stands before '::' is whole; the three groups of a /48 that are missing there are zeros
    six = value.lower().re_replace(r"^([0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,2})?:[0-9a-f:]*$", r"\1::/48")
    return ibis.cases(
        (four.endswith("/24") & ~value.contains("/"), four),
        (six.endswith("/48") & value.contains(":") & ~value.contains("/"), six),
        else_=ibis.null("string"),
    )
