"""How values look in a report, and what must never be seen in one: passwords and control characters."""

import math
from typing import Any

from dawnlist.urls import mask_passwords

MISSING_VALUE_MARK = "\u2013"


def sanitise_json(value: Any) -> Any:
    """The same JSON value with passwords in URLs masked and unprintable characters replaced, in keys too."""
    if isinstance(value, str):
        return "".join(
            char if char.isprintable() or char in "\n\t" else "\ufffd"
            for char in mask_passwords(value)
        )
    if isinstance(value, dict):
        return {str(sanitise_json(key)): sanitise_json(inner) for key, inner in value.items()}
    return [sanitise_json(inner) for inner in value] if isinstance(value, list) else value


def parse_finite(value: Any) -> float | None:
    """The value as a finite float, or None when it is anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def format_count(value: Any) -> str:
    """12,345."""
    found = parse_finite(value)
    return MISSING_VALUE_MARK if found is None else f"{found:,.0f}"


def format_score(value: Any) -> str:
    """0.1234: a metric."""
    found = parse_finite(value)
    return MISSING_VALUE_MARK if found is None else f"{found:.4f}"


def format_difference(value: Any) -> str:
    """+0.0123: a difference of metrics."""
    found = parse_finite(value)
    return MISSING_VALUE_MARK if found is None else f"{found:+.4f}".replace("-", "\u2212")


def format_percent(value: Any) -> str:
    """12.3%, of a share."""
    found = parse_finite(value)
    return MISSING_VALUE_MARK if found is None else f"{found:.1%}"


def format_duration(value: Any) -> str:
    """0.42 s, 41.2 s or 3 min 05 s."""
    found = parse_finite(value)
    if found is None:
        return MISSING_VALUE_MARK
    if found < 120:
        return f"{found:.2f} s" if found < 1 else f"{found:.1f} s"
    minutes, rest = divmod(round(found), 60)  # rounded first, else 59.7 is 60
    return f"{minutes} min {rest:02} s"


def format_byte_size(value: Any) -> str:
    """1.2 MB, of bytes."""
    found = parse_finite(value)
    if found is None:
        return MISSING_VALUE_MARK
    for unit in ("bytes", "kB", "MB", "GB"):
        if found < 1000 or unit == "GB":
            break
        found /= 1000
    return f"{found:.0f} bytes" if unit == "bytes" else f"{found:.1f} {unit}"


def format_json_value(value: Any) -> str:
    """Any JSON value as short text."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return MISSING_VALUE_MARK
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    if isinstance(value, list):
        return "; ".join(map(format_json_value, value[:5])) + (" …" if len(value) > 5 else "")
    if isinstance(value, dict):
        return ", ".join(f"{key} {format_json_value(inner)}" for key, inner in value.items())
    return str(value)
