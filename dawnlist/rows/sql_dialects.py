"""What DuckDB and Spark each say in their own words: the few functions of the coercions that Ibis has for one only."""

from collections.abc import Callable
from typing import Any, Final

import ibis
from ibis.common.exceptions import IbisError

IbisValue = Any
"""An Ibis column expression; Ibis ships no types that mypy could use."""

UTC_TIMESTAMP: Final = "timestamp('UTC')"
_FLOAT_PATTERN = r"\A[+-]?(\d{1,99}(\.\d*)?|\.\d+)([eE](\+?\d{1,2}|-\d{1,3}))?\z"
"""Of no more digits than are finite."""
TIME_DIRECTIVES: Final = {
    "%Y": "y", "%m": "M", "%b": "MMM", "%d": "d", "%H": "H", "%I": "h", "%p": "a", "%M": "m", "%S": "s",
}  # fmt: skip
"""Of a time format: Python's and DuckDB's -> Spark's."""


def is_spark(value: IbisValue) -> bool:
    """Whether an expression is of a Spark session; one that is of no connection is for DuckDB."""
    try:
        return bool(value.get_backend().name == "pyspark")
    except IbisError:
        return False


def _declare_builtin(name: str, given: tuple[str, ...], gives: str) -> Callable[..., IbisValue]:
    """A function that an engine has and Ibis does not know."""
    stub = (lambda one: one) if len(given) == 1 else (lambda one, two: (one, two))
    return ibis.udf.scalar.builtin(stub, name=name, signature=(given, gives))  # type: ignore[no-any-return]


_json_quote = _declare_builtin("json_quote", ("string",), "string")
_make_timestamptz = _declare_builtin("make_timestamptz", ("int64",), UTC_TIMESTAMP)
_timestamp_micros = _declare_builtin("timestamp_micros", ("int64",), UTC_TIMESTAMP)
_to_instant = _declare_builtin("timezone", ("string", "timestamp"), UTC_TIMESTAMP)
_to_clock = _declare_builtin("timezone", ("string", UTC_TIMESTAMP), "timestamp")
_to_utc_timestamp = _declare_builtin("to_utc_timestamp", (UTC_TIMESTAMP, "string"), UTC_TIMESTAMP)
_try_strptime = _declare_builtin("try_strptime", ("string", "string"), "timestamp")
_try_to_timestamp = _declare_builtin("try_to_timestamp", ("string", "string"), UTC_TIMESTAMP)
_epoch_us = _declare_builtin("epoch_us", (UTC_TIMESTAMP,), "int64")
_octet_length = _declare_builtin("strlen", ("string",), "int64")


def is_printable_ascii(value: IbisValue) -> IbisValue:
    """DuckDB: whether text has no control characters and no letters beyond ASCII; text with quotes may be False."""
    return (_octet_length(_json_quote(value)) == value.length() + 2) & ~value.contains("\x7f")


def parse_float64(value: IbisValue) -> IbisValue:
    """A finite number as text, decimal point; NULL for all else that an engine takes for one, such as 1_000 or 1d."""
    return ibis.ifelse(
        value.re_search(_FLOAT_PATTERN), value.try_cast("float64"), ibis.null("float64")
    )


def from_epoch_microseconds(microseconds: IbisValue) -> IbisValue:
    """The UTC time so many microseconds after 1970."""
    return (_timestamp_micros if is_spark(microseconds) else _make_timestamptz)(microseconds)


def parse_iso_time(value: IbisValue, zone: str) -> IbisValue:
    """The UTC time of ISO-8601 text: date, or date and time with or without a zone; without one it is of `zone`.

    A time that the clocks of `zone` skip in spring is read by the winter's, one that they show twice in autumn is the
    first: Python's fold=0.
    """
    if not is_spark(value):
        given = value.try_cast(UTC_TIMESTAMP)
        local = given if zone == "UTC" else _localise(value.try_cast("timestamp"), zone)
        return given if zone == "UTC" else ibis.ifelse(_is_zoned(value), given, local)
    # Spark reads no 24:00, no slashes, and no zone behind minutes
    midnight = value.re_search("[T ]24:00")
    timed = value.replace("/", "-").re_replace(
        r"([T ]\d{1,2}:\d{1,2})( ?UTC|Z|[+-][\d:]+)\z", "$1:00$2"
    )
    read = timed.re_replace("[T ]24:00", " 00:00").try_cast(UTC_TIMESTAMP)
    given = ibis.ifelse(midnight, read + ibis.interval(days=1), read)
    return (
        given
        if zone == "UTC"
        else ibis.ifelse(_is_zoned(value), given, _to_utc_timestamp(given, zone))
    )


def parse_formatted_time(value: IbisValue, form: str, zone: str) -> IbisValue:
    """The UTC time of text in a format of DIRECTIVES, read on the clocks of `zone`."""
    if not is_spark(value):
        # DuckDB's takes 'epoch' and 'infinity', too
        clock = ibis.ifelse(
            value.re_search(r"\d"), _try_strptime(value, form), ibis.null("timestamp")
        )
        return clock.cast(UTC_TIMESTAMP) if zone == "UTC" else _localise(clock, zone)
    for directive, letters in TIME_DIRECTIVES.items():
        form = form.replace(directive, letters)
    read = _try_to_timestamp(value, form)
    return read if zone == "UTC" else _to_utc_timestamp(read, zone)


def _is_zoned(value: IbisValue) -> IbisValue:
    return value.re_search(r":[\d.]+ ?(Z|UTC|[+-][\d:]+)\z")


def _localise(clock: IbisValue, zone: str) -> IbisValue:
    """DuckDB takes the second of two times; the first is the one by the offset of three hours before."""
    second = _to_instant(zone, clock)
    before = _to_clock(zone, second - ibis.interval(hours=3))
    turned = 3 * 3_600_000_000 - clock.delta(before, unit="microsecond")
    first = _make_timestamptz(_epoch_us(second) - turned)
    return ibis.ifelse((turned > 0) & (_to_clock(zone, first) == clock), first, second)


IbisConnection = Any
"""An Ibis connection to DuckDB."""
