"""Ibis expressions that turn a source's text into UTC times, or into NULL if they can't."""

import math
from datetime import datetime

import ibis

from dawnlist.rows import sql_dialects
from dawnlist.rows.sql_dialects import IbisValue

EARLIEST_EVENT_TIME = datetime.fromisoformat("1995-01-01T00:00:00+00:00")
"""No event is older, UTC. MovieLens and Amazon's reviews begin in 1995 and 1996."""

_DATE = r"\A\d{4}(-\d{1,2}-|/\d{1,2}/)\d{1,2}"
_CLOCK = r"[T ]\d{1,2}:\d{1,2}"
_OFFSET = r"[+-](0\d|1[0-5])(:?[0-5]\d)?"
_ENGINE_READABLE = rf"{_DATE}({_CLOCK}(:\d{{1,2}}(\.\d*)?)?(Z| UTC|{_OFFSET})?)?\z"
_REWRITABLE = rf"{_DATE}{_CLOCK}(:\d{{1,2}}([.,]\d*)?)?( ?(Z|UTC|{_OFFSET}))?\z"
_COMPACT = r"\A(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)"
_COMPACT_READABLE = rf"{_COMPACT}(\d\d([.,]\d+)?)?(Z|{_OFFSET})?\z"
"""20260105T101112Z, with a fraction and an offset or without."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WITH_MONTH_NAME = (
    r"\A\[?(?:[a-z]{3}, *)?(\d{1,2})[ /-](" + "|".join(_MONTHS) + r")[ /-](\d{4})[ :]"
    r"(\d\d:\d\d(?::\d\d)?) ?(gmt|utc|ut|z|[+-]\d{4})(?: \([a-z ]*\))?\]?\z"
)
"""In lower case, a time of RFC 2822 (Mon, 05 Jan 2026 10:11:12 +0100) or of Apache's log."""
_DIGITS = r"\A[1-9]\d*\z"
_UNIT_BOUNDS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (1e20, 1e-3))
"""The upper bound of numbers in s, ms, us and ns, and the factor that makes them microseconds."""
_UNIT_DIGITS = tuple((math.log10(bound) + 1, factor) for bound, factor in _UNIT_BOUNDS)
"""The same with the number of digits for the bound."""
_COMMON_LENGTHS = (20, 24, 27)
"""The lengths of YYYY-MM-DDTHH:MM:SSZ, and of the same with milliseconds and with microseconds."""


def parse_moment(value: IbisValue, zone: str = "UTC", time_format: str = "") -> IbisValue:
    """Parse clean text as a UTC time; NULL for other text.

    The text is in `time_format` (if given), ISO-8601 (also compact, 20260105T101112Z), as in RFC
    2822 or Apache's log, or a number of s, ms, us or ns since 1970.
    The unit of a number follows from its size: 1e11 seconds would be the year 5138. Digits beyond
    microseconds are dropped. A time without a zone is on the clocks of `zone`.
    """
    # a regular expression would take as long as the parsing itself
    has_year_first = value.substr(4, 1) == "-"
    is_common = value.endswith("Z") & value.length().isin(_COMMON_LENGTHS) & has_year_first
    iso_time = sql_dialects.parse_iso_time(value, zone)
    rewritten_time = sql_dialects.parse_iso_time(_rewrite_for_engines(value), zone)
    compact_time = sql_dialects.parse_iso_time(_split_compact(value), zone)
    named_time = sql_dialects.parse_iso_time(_number_month(value), zone)
    integer_time = _parse_epoch(value.try_cast("float64"), value.length(), _UNIT_DIGITS)
    number = sql_dialects.parse_float64(value)
    number_time = _parse_epoch(number, number.abs(), _UNIT_BOUNDS)
    moment = ibis.cases(
        (is_common, iso_time),
        (value.re_search(_ENGINE_READABLE), iso_time),
        (value.re_search(_DIGITS), integer_time),
        (value.re_search(_REWRITABLE), rewritten_time),
        (value.re_search(_COMPACT_READABLE), compact_time),
        (value.lower().re_search(_WITH_MONTH_NAME), named_time),
        else_=number_time,
    )
    if not time_format:
        return moment
    return ibis.coalesce(sql_dialects.parse_formatted_time(value, time_format, zone), moment)


def _rewrite_for_engines(value: IbisValue) -> IbisValue:
    """Turn a decimal comma into a point, and remove the blank before the zone."""
    return (
        value.replace(",", ".")
        .re_replace(r" ?UTC\z", "Z")
        .replace(" Z", "Z")
        .replace(" +", "+")
        .replace(" -", "-")
    )


def _split_compact(value: IbisValue) -> IbisValue:
    """Turn 20260105T101112Z into 2026-01-05T10:11:12Z."""
    text = value.replace(",", ".")
    minutes = sql_dialects.rearrange_text(text, _COMPACT, r"\1-\2-\3T\4:\5")
    return sql_dialects.rearrange_text(minutes, r"(T\d\d:\d\d)(\d\d)", r"\1:\2")


def _number_month(value: IbisValue) -> IbisValue:
    """Turn Mon, 05 Jan 2026 10:11:12 GMT into 2026-01-05 10:11:12Z."""
    text = sql_dialects.rearrange_text(value.lower(), _WITH_MONTH_NAME, r"\3-\2-\1 \4\5")
    for number, month in enumerate(_MONTHS, 1):
        text = text.replace(f"-{month}-", f"-{number:02}-")
    return text.re_replace(r"(gmt|utc|ut|z)\z", "Z")


def _parse_epoch(
    number: IbisValue, size: IbisValue, bounds: tuple[tuple[float, float], ...]
) -> IbisValue:
    """Turn a number since 1970 into a time; `size` below which bound tells the number's unit."""
    branches = [(size < bound, factor) for bound, factor in bounds]
    factor = ibis.cases(*branches, else_=ibis.null("float64"))
    microseconds = (number * factor).round().cast("int64")
    return sql_dialects.from_epoch_microseconds(microseconds)
