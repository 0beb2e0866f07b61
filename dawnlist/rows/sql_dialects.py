"""The few SQL functions of the coercions that DuckDB and Spark write differently."""

from collections.abc import Callable
from typing import Any, Final

import ibis
from ibis.common.exceptions import IbisError

IbisValue = Any
"""An Ibis column expression; Ibis ships no types that mypy could use."""
IbisConnection = Any
"""An Ibis connection to DuckDB."""

UTC_TIMESTAMP: Final = "timestamp('UTC')"
"""The Ibis type of a UTC time."""
_FLOAT_PATTERN = r"\A[+-]?(\d{1,99}(\.\d*)?|\.\d+)([eE](\+?\d{1,2}|-\d{1,3}))?\z"
"""Numbers with so few digits that they are finite."""
_UTC_NAMES = r"(Z|UTC|GMT)\z"
TIME_DIRECTIVES: Final = {
    "%Y": "y",
    "%m": "M",
    "%b": "MMM",
    "%d": "d",
    "%H": "H",
    "%I": "h",
    "%p": "a",
    "%M": "m",
    "%S": "s",
    "%f": "SSSSSS",
    "%z": "xx",
    "%a": "",
}
"""Directives of a time format: those of Python and DuckDB -> those of Spark."""


def is_spark(value: IbisValue) -> bool:
    """Say whether an expression belongs to a Spark session.

    An expression without a connection is compiled for DuckDB.
    """
    try:
        return bool(value.get_backend().name == "pyspark")
    except IbisError:
        return False


def _declare_builtin(
    name: str, argument_types: tuple[Any, ...], result_type: str
) -> Callable[..., IbisValue]:
    """Declare a function that an engine has and Ibis does not know, of one or two arguments."""
    # Ibis reads the number of arguments from the stub, and never calls it
    stub = _unary_stub if len(argument_types) == 1 else _binary_stub
    signature = (argument_types, result_type)
    builtin: Callable[..., IbisValue] = ibis.udf.scalar.builtin(
        stub, name=name, signature=signature
    )
    return builtin


def _unary_stub(_first: Any) -> Any:
    raise NotImplementedError


def _binary_stub(_first: Any, _second: Any) -> Any:
    raise NotImplementedError


_json_quote = _declare_builtin("json_quote", ("string",), "string")
_make_timestamptz = _declare_builtin("make_timestamptz", ("int64",), UTC_TIMESTAMP)
_timestamp_micros = _declare_builtin("timestamp_micros", ("int64",), UTC_TIMESTAMP)
_to_instant = _declare_builtin("timezone", ("string", "timestamp"), UTC_TIMESTAMP)
_to_clock = _declare_builtin("timezone", ("string", UTC_TIMESTAMP), "timestamp")
_to_utc_timestamp = _declare_builtin("to_utc_timestamp", (UTC_TIMESTAMP, "string"), UTC_TIMESTAMP)
_try_strptime = _declare_builtin("try_strptime", ("string", "string"), "timestamp")
_try_strptime_with_zone = _declare_builtin("try_strptime", ("string", "string"), UTC_TIMESTAMP)
_try_to_timestamp = _declare_builtin("try_to_timestamp", ("string", "string"), UTC_TIMESTAMP)
_epoch_us = _declare_builtin("epoch_us", (UTC_TIMESTAMP,), "int64")
_octet_length = _declare_builtin("strlen", ("string",), "int64")


def is_printable_ascii(value: IbisValue) -> IbisValue:
    """Say on DuckDB whether text has neither control characters nor letters beyond ASCII.

    Text with quotes or backslashes may give false.
    """
    quoted_bytes = _octet_length(_json_quote(value))
    return (quoted_bytes == value.length() + 2) & ~value.contains("\x7f")


def parse_float64(value: IbisValue) -> IbisValue:
    """Parse text with a decimal point as a finite number.

    Other text that an engine would take for a number, such as 1_000 or 1d, gives NULL.
    """
    is_number = value.re_search(_FLOAT_PATTERN)
    return ibis.ifelse(is_number, value.try_cast("float64"), ibis.null("float64"))


def from_epoch_microseconds(microseconds: IbisValue) -> IbisValue:
    """Turn microseconds since 1970 into a UTC time."""
    if is_spark(microseconds):
        return _timestamp_micros(microseconds)
    return _make_timestamptz(microseconds)


def parse_iso_time(value: IbisValue, zone: str) -> IbisValue:
    """Parse ISO-8601 text: a date, or date and time with or without a zone; the result is UTC.

    A time without a zone is on the clocks of `zone`. A time that these clocks skip in spring is
    taken for winter time; of a time that they show twice in autumn the first is meant, which is
    Python's fold=0.
    """
    if is_spark(value):
        return _parse_iso_time_on_spark(value, zone)
    utc_time = value.try_cast(UTC_TIMESTAMP)
    if zone == "UTC":
        return utc_time
    local_time = _localise(value.try_cast("timestamp"), zone)
    return ibis.ifelse(_has_zone(value), utc_time, local_time)


def _parse_iso_time_on_spark(value: IbisValue, zone: str) -> IbisValue:
    # Spark reads no 24:00, no slashes, and no zone behind minutes
    is_midnight = value.re_search("[T ]24:00")
    with_seconds = value.replace("/", "-").re_replace(
        r"([T ]\d{1,2}:\d{1,2})( ?UTC|Z|[+-][\d:]+)\z", "$1:00$2"
    )
    same_day = with_seconds.re_replace("[T ]24:00", " 00:00").try_cast(UTC_TIMESTAMP)
    utc_time = ibis.ifelse(is_midnight, same_day + ibis.interval(days=1), same_day)
    if zone == "UTC":
        return utc_time
    return ibis.ifelse(_has_zone(value), utc_time, _to_utc_timestamp(utc_time, zone))


def parse_formatted_time(value: IbisValue, time_format: str, zone: str) -> IbisValue:
    """Parse text in a format of `TIME_DIRECTIVES`, on the clocks of `zone`; the result is UTC."""
    has_zone = "%z" in time_format
    if is_spark(value):
        spark_time = _parse_formatted_time_on_spark(value, time_format)
        if has_zone or zone == "UTC":
            return spark_time
        return _to_utc_timestamp(spark_time, zone)
    # DuckDB would take 'epoch' and 'infinity' for times
    has_digit = value.re_search(r"\d")
    if has_zone:
        with_offset = value.re_replace(_UTC_NAMES, "+0000")
        time = _try_strptime_with_zone(with_offset, time_format)
        return ibis.ifelse(has_digit, time, ibis.null(UTC_TIMESTAMP))
    clock_time = ibis.ifelse(has_digit, _try_strptime(value, time_format), ibis.null("timestamp"))
    if zone == "UTC":
        return clock_time.cast(UTC_TIMESTAMP)
    return _localise(clock_time, zone)


def _parse_formatted_time_on_spark(value: IbisValue, time_format: str) -> IbisValue:
    """Parse text in a format on Spark, which reads no weekdays and offsets of one form only."""
    text = value
    if "%a" in time_format:
        text = text.re_replace(r"(?i)\b(mon|tue|wed|thu|fri|sat|sun)[a-z]*", "")
    if "%z" in time_format:
        text = text.re_replace(_UTC_NAMES, "+0000")
        text = text.re_replace(r"([+-]\d\d):?(\d\d)\z", "$1$2")
        text = text.re_replace(r"([ \d][+-]\d\d)\z", "$100")
    for directive, letters in TIME_DIRECTIVES.items():
        time_format = time_format.replace(directive, letters)
    return _try_to_timestamp(text, time_format)


def rearrange_text(value: IbisValue, pattern: str, order: str) -> IbisValue:
    r"""Replace what matches by `order`, in which \1 is the pattern's first group."""
    if is_spark(value):
        order = order.replace("\\", "$")
    return value.re_replace(pattern, order)


def write_json(column: IbisValue) -> IbisValue:
    """Write lists and objects as JSON text, on DuckDB."""
    return _declare_builtin("to_json", (column.type(),), "string")(column)


def _has_zone(value: IbisValue) -> IbisValue:
    return value.re_search(r":[\d.]+ ?(Z|UTC|[+-][\d:]+)\z")


def _localise(clock_time: IbisValue, zone: str) -> IbisValue:
    """Turn a time on the clocks of `zone` into UTC, on DuckDB.

    When the clocks show a time twice, DuckDB takes the second of the two. The first is the one with
    the offset that was in use three hours before.
    """
    second = _to_instant(zone, clock_time)
    earlier = _to_clock(zone, second - ibis.interval(hours=3))
    turned_back = 3 * 3_600_000_000 - clock_time.delta(earlier, unit="microsecond")
    first = _make_timestamptz(_epoch_us(second) - turned_back)
    is_shown_twice = (turned_back > 0) & (_to_clock(zone, first) == clock_time)
    return ibis.ifelse(is_shown_twice, first, second)


def quote_sql_text(text: str) -> str:
    """Quote a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"
