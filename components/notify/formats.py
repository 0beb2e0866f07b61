"""Formats of the values in a report. Passwords and control characters are removed here."""

import math
from typing import Any

from dawnlist.urls import mask_passwords

MISSING_VALUE_MARK = "\u2013"
MAX_LIST_VALUES = 5


def sanitise_json(value: Any) -> Any:
    """Mask passwords in URLs and replace unprintable characters in a JSON value and in its keys."""
    if isinstance(value, str):
        return "".join(map(_replace_unprintable, mask_passwords(value)))
    if isinstance(value, dict):
        return {str(sanitise_json(key)): sanitise_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [sanitise_json(inner) for inner in value]
    return value


def _replace_unprintable(char: str) -> str:
    if char.isprintable() or char in "\n\t":
        return char
    return "\ufffd"


def parse_finite(value: Any) -> float | None:
    """Return the value as a finite float, or None when it is anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def format_count(value: Any) -> str:
    """Format a count, e.g. `12,345`."""
    return _format_number(value, "{:,.0f}")


def format_quantity(count: int, noun: str) -> str:
    """Format a count with its noun, which ends with an s unless the count is 1, e.g. `2 days`."""
    if count == 1:
        return f"1 {noun}"
    return f"{format_count(count)} {noun}s"


def format_score(value: Any) -> str:
    """Format a metric, e.g. `0.1234`."""
    return _format_number(value, "{:.4f}")


def format_difference(value: Any) -> str:
    """Format a difference of metrics, e.g. `+0.0123`."""
    return _format_number(value, "{:+.4f}").replace("-", "\u2212")


def format_percent(value: Any) -> str:
    """Format a share from 0 to 1 in percent, e.g. `12.3%`."""
    return _format_number(value, "{:.1%}")


def _format_number(value: Any, template: str) -> str:
    number = parse_finite(value)
    if number is None:
        return MISSING_VALUE_MARK
    return template.format(number)


def format_duration(value: Any) -> str:
    """Format seconds, e.g. `0.42 s`, `41.2 s` or `3 min 05 s`."""
    seconds = parse_finite(value)
    if seconds is None:
        return MISSING_VALUE_MARK
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    # The seconds are rounded first; otherwise 179.7 would become 2 min 60 s.
    minutes, remainder = divmod(round(seconds), 60)
    return f"{minutes} min {remainder:02} s"


def format_byte_size(value: Any) -> str:
    """Format a number of bytes, e.g. `1.2 MB`."""
    size = parse_finite(value)
    if size is None:
        return MISSING_VALUE_MARK
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"


def format_json_value(value: Any) -> str:
    """Format any JSON value as short text."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return MISSING_VALUE_MARK
    if value is True:
        return "yes"
    if value is False:
        return "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        text = "; ".join(map(format_json_value, value[:MAX_LIST_VALUES]))
        return f"{text} …" if len(value) > MAX_LIST_VALUES else text
    if isinstance(value, dict):
        return ", ".join(f"{key} {format_json_value(inner)}" for key, inner in value.items())
    return str(value)


def capitalise(text: str) -> str:
    """Return the text with a capital first letter; the other letters stay as they are."""
    return text[:1].upper() + text[1:]
