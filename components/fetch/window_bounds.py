"""The bounds of a window in the form that a database's time column has: a comparison of texts knows no time zones."""

import math
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

# what follows the seconds is left out of a bound: '…T03:00:00' is not above '…T03:00:00Z', '…T03:00:00.5', …
_TIME_TEXT = re.compile(
    r"\d{4}-\d\d-\d\d(?:(?P<blank>[T ])\d\d:\d\d:\d\d(?:\.\d+)?(?P<zone>Z|[+-][\d:]+)?)?"
)
_UTC = re.compile(r"Z|[+-]00(:?00)?")
_EPOCH_UNITS = ((1e11, 1), (1e14, 1_000), (1e17, 1_000_000))
"""Numbers below the first are of the second a second; as dawnlist.rows.coercions.moment reads them."""
_START_OF_1995 = 788_918_400
_NUMBERS = (int, float, Decimal)


def convert_window_bounds(
    oldest: Any, newest: Any, start: datetime, end: datetime
) -> tuple[Any, Any]:
    """`start` and `end` in the form of the column's lowest and highest value. ValueError when they have none, or two.

    A column of whole days gives the days of `start` up to, without, the day of `end`, which may not be over.
    """
    two = (
        isinstance(newest, str)
        and _is_readable_time(oldest)
        and _infer_time_format(oldest) != _infer_time_format(newest)
    )
    if two or _mixes_epoch_units(oldest, newest):
        raise ValueError(
            f"the time column holds {oldest!r} and {newest!r}, two forms that do not sort by time: write them alike, "
            "or name another column in the settings, source.time_column"
        )
    return _convert_bound(newest, start), _convert_bound(newest, end)


def _convert_bound(value: Any, moment: datetime) -> Any:
    if isinstance(value, datetime):
        return moment if value.tzinfo else moment.replace(tzinfo=None)
    if isinstance(value, date):
        return moment.date()
    if isinstance(value, _NUMBERS):
        return _convert_to_epoch(value, moment)
    return moment.strftime(_infer_time_format(value))


def _mixes_epoch_units(oldest: Any, newest: Any) -> bool:
    """Whether both are times since 1995, but one of them in milliseconds, say: its window would hold none of the rest.

    What is older, such as a 0, is nobody's time, and in no one's way.
    """
    if not isinstance(oldest, _NUMBERS) or not isinstance(newest, _NUMBERS):
        return False
    unit = _infer_epoch_unit(oldest)
    return (
        unit is not None
        and float(oldest) >= _START_OF_1995 * unit
        and unit != _infer_epoch_unit(newest)
    )


def _infer_epoch_unit(value: float | Decimal) -> int | None:
    return next((unit for below, unit in _EPOCH_UNITS if abs(float(value)) < below), None)


def _convert_to_epoch(value: float | Decimal, moment: datetime) -> float:
    unit = _infer_epoch_unit(value)
    if unit is None:
        raise _build_unknown_form_error(value)
    # an integer column is searched by its index only for an integer
    return (
        math.ceil(moment.timestamp() * unit)
        if isinstance(value, int)
        else moment.timestamp() * unit
    )


def _is_readable_time(value: Any) -> bool:
    return isinstance(value, int | float) or (
        isinstance(value, str) and bool(_TIME_TEXT.fullmatch(value))
    )


def _infer_time_format(value: Any) -> str:
    if isinstance(value, int | float):
        return "number"
    found = _TIME_TEXT.fullmatch(value) if isinstance(value, str) else None
    if found is None or (found["zone"] and not _UTC.fullmatch(found["zone"])):
        raise _build_unknown_form_error(value)
    return f"%Y-%m-%d{found['blank']}%H:%M:%S" if found["blank"] else "%Y-%m-%d"


def _build_unknown_form_error(value: Any) -> ValueError:
    return ValueError(
        f"the time column holds {value!r}, which can't be compared with a window: it must be a timestamp or date, "
        "ISO-8601 text in UTC such as 2026-01-31T03:00:00Z, or seconds, milli- or microseconds since 1970; "
        "name such a column in the settings, source.time_column"
    )
