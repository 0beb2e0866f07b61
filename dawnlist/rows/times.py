"""Times as Ibis expressions: what sources write for a time -> UTC, NULL where it can't be read."""

import math
from datetime import datetime

import ibis

from dawnlist.rows import sql_dialects
from dawnlist.rows.sql_dialects import IbisValue

EARLIEST_EVENT_TIME = datetime.fromisoformat("1995-01-01T00:00:00+00:00")
"""Older than any shop on the web: MovieLens and Amazon's reviews begin in 1995 and 1996."""

_DATE = r"\A\d{4}(-\d{1,2}-|/\d{1,2}/)\d{1,2}"
_CLOCK = r"[T ]\d{1,2}:\d{1,2}"
_OFFSET = r"[+-](0\d|1[0-5])(:?[0-5]\d)?"
_ENGINE_READABLE = rf"{_DATE}({_CLOCK}(:\d{{1,2}}(\.\d*)?)?(Z| UTC|{_OFFSET})?)?\z"
_REWRITABLE = rf"{_DATE}{_CLOCK}(:\d{{1,2}}([.,]\d*)?)?( ?(Z|UTC|{_OFFSET}))?\z"
_DIGITS = r"\A[1-9]\d*\z"
_UNIT_BOUNDS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (1e20, 1e-3))
"""Below which a number is of s, ms, us and ns, and what makes microseconds of it."""
_UNIT_DIGITS = tuple((math.log10(below) + 1, unit) for below, unit in _UNIT_BOUNDS)
_COMMON_LENGTHS = (20, 24, 27)
"""Characters of YYYY-MM-DDTHH:MM:SSZ, and of the same with milliseconds and with microseconds."""


def parse_moment(value: IbisValue, zone: str = "UTC", form: str = "") -> IbisValue:
    """A UTC time of `text`: in the format `form`, ISO-8601, or a number of s, ms, us or ns since 1970.

    A time without a zone is of `zone`. The unit of a number follows from its size: 1e11 seconds would be the year
    5138. Digits beyond microseconds are dropped.
    """
    common = value.endswith("Z") & value.length().isin(
        _COMMON_LENGTHS
    )  # a regex would take as long as the reading
    read = ibis.cases(
        (common, sql_dialects.parse_iso_time(value, zone)),
        (value.re_search(_ENGINE_READABLE), sql_dialects.parse_iso_time(value, zone)),
        (
            value.re_search(_DIGITS),
            _parse_epoch(value.try_cast("float64"), value.length(), _UNIT_DIGITS),
        ),
        (
            value.re_search(_REWRITABLE),
            sql_dialects.parse_iso_time(_rewrite_for_engines(value), zone),
        ),
        else_=_parse_epoch(
            sql_dialects.parse_float64(value), sql_dialects.parse_float64(value).abs(), _UNIT_BOUNDS
        ),
    )
    return (
        ibis.coalesce(sql_dialects.parse_formatted_time(value, form, zone), read) if form else read
    )


def _rewrite_for_engines(value: IbisValue) -> IbisValue:
    """A decimal comma as a point, and no blank before the zone."""
    return (
        value.replace(",", ".")
        .re_replace(r" ?UTC\z", "Z")
        .replace(" Z", "Z")
        .replace(" +", "+")
        .replace(" -", "-")
    )


def _parse_epoch(
    since: IbisValue, size: IbisValue, sizes: tuple[tuple[float, float], ...]
) -> IbisValue:
    scale = ibis.cases(*((size < below, unit) for below, unit in sizes), else_=ibis.null("float64"))
    return sql_dialects.from_epoch_microseconds((since * scale).round().cast("int64"))
