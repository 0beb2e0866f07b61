"""Convert the bounds of a window to the form that a database's time column has.

Texts, for one, are compared letter by letter, and such a comparison knows no time zones.
"""

import math
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from dawnlist.rows.time_forms import name_number_form

# A bound ends with the seconds: '…T03:00:00' sorts before '…T03:00:00Z' and '…T03:00:00.5'.
_TIME_TEXT = re.compile(
    r"\d{4}-\d\d-\d\d(?:(?P<blank>[T ])\d\d:\d\d:\d\d(?:\.\d+)?(?P<zone>Z|[+-][\d:]+)?)?"
)
_UTC = re.compile(r"Z|[+-]00(:?00)?")
_EPOCH_UNITS = ((1e11, 1), (1e14, 1_000), (1e17, 1_000_000))
"""The limit of an epoch's numbers, and how many of its units make a second; as in parse_moment."""
_START_OF_1995 = 788_918_400
_FAR_FUTURE = 4_102_444_800
"""The beginning of 2100. Digits of a date and time, such as 20260115101112, read as later times."""
_NUMBERS = (int, float, Decimal)


def convert_window_bounds(
    oldest: Any,
    newest: Any,
    start: datetime,
    end: datetime,
) -> tuple[Any, Any]:
    """Convert `start` and `end` to the form of the column's lowest and highest value.

    For a column of dates the bounds are the days of `start` and `end`. The day of `end`, which may
    not be over, is then not in the window.

    Raises:
        ValueError: The values have no form that can be compared, or two different forms.
    """
    if isinstance(newest, _NUMBERS) and not _is_time_since_1995(newest):
        raise _build_unknown_form_error(newest)
    if isinstance(oldest, _NUMBERS) and _is_after(oldest, _FAR_FUTURE):
        raise _build_unknown_form_error(oldest)
    if _mixes_text_formats(oldest, newest) or _mixes_epoch_units(oldest, newest):
        raise ValueError(
            f"the time column holds {oldest!r} and {newest!r}, two forms that do not sort by time: "
            "write them alike, or name another column in the settings, source.time_column"
        )
    return _convert_bound(newest, start), _convert_bound(newest, end)


def _convert_bound(value: Any, moment: datetime) -> Any:
    """Convert a bound to the form of `value`."""
    if isinstance(value, datetime):
        return moment if value.tzinfo else moment.replace(tzinfo=None)
    if isinstance(value, date):
        return moment.date()
    if isinstance(value, _NUMBERS):
        return _convert_to_epoch(value, moment)
    return moment.strftime(_infer_time_format(value))


def _mixes_text_formats(oldest: Any, newest: Any) -> bool:
    """Whether the highest value is a text and the lowest is a time in another format."""
    if not isinstance(newest, str) or not _is_readable_time(oldest):
        return False
    return _infer_time_format(oldest) != _infer_time_format(newest)


def _mixes_epoch_units(oldest: Any, newest: Any) -> bool:
    """Whether both are times since 1995, but in different units, such as seconds and milliseconds.

    A window in one unit would find no row of the other. An older time, such as 0, is a placeholder
    and does no harm.
    """
    if not isinstance(oldest, _NUMBERS) or not isinstance(newest, _NUMBERS):
        return False
    if not _is_time_since_1995(oldest):
        return False
    return _infer_epoch_unit(oldest) != _infer_epoch_unit(newest)


def _is_time_since_1995(value: float | Decimal) -> bool:
    return not _is_after(-value, -_START_OF_1995)


def _is_after(value: float | Decimal, moment: int) -> bool:
    """Whether a number is more than `moment`, in seconds, in the unit of the number's size."""
    unit = _infer_epoch_unit(value)
    return unit is not None and float(value) > moment * unit


def _infer_epoch_unit(value: float | Decimal) -> int | None:
    for limit, unit in _EPOCH_UNITS:
        if abs(float(value)) < limit:
            return unit
    return None


def _convert_to_epoch(value: float | Decimal, moment: datetime) -> float:
    unit = _infer_epoch_unit(value)
    if unit is None:
        raise _build_unknown_form_error(value)
    epoch = moment.timestamp() * unit
    # A database searches the index of an integer column only for an integer.
    return math.ceil(epoch) if isinstance(value, int) else epoch


def _is_readable_time(value: Any) -> bool:
    if isinstance(value, str):
        return _TIME_TEXT.fullmatch(value) is not None
    return isinstance(value, int | float)


def _infer_time_format(value: Any) -> str:
    """Infer the strftime format of a text; 'number' for a number."""
    if isinstance(value, int | float):
        return "number"
    match = _TIME_TEXT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _build_unknown_form_error(value)
    if match["zone"] and not _UTC.fullmatch(match["zone"]):
        raise _build_unknown_form_error(value)
    if not match["blank"]:
        return "%Y-%m-%d"
    return f"%Y-%m-%d{match['blank']}%H:%M:%S"


def _build_unknown_form_error(value: Any) -> ValueError:
    written = repr(value)
    if isinstance(value, _NUMBERS):
        written = f"{value} ({name_number_form(str(value))})"
    return ValueError(
        f"the time column holds {written}, which can't be compared with a window: it must be a "
        "timestamp or date, ISO-8601 text in UTC such as 2026-01-31T03:00:00Z, or seconds, milli- "
        "or microseconds since 1970; name such a column in the settings, source.time_column"
    )
