"""The values of one hyper-parameter's grid: the middle one, and the next one beyond an edge."""

from collections.abc import Sequence
from math import sqrt
from typing import Final

from dawnlist.model.hyper_parameters import HyperParameter

NEVER_EXTENDED: Final = ("factors",)
"""A search goes beyond the grid's edge in all hyper-parameters but these."""


def find_value_beyond(
    values: Sequence[float], value: float, parameter: HyperParameter
) -> float | None:
    """Return the value to try beyond the grid's edge, or None where `value` is on no edge.

    Args:
        values: The grid's values, sorted and distinct.
        value: The configuration's value, which may lie beyond the grid.
        parameter: The hyper-parameter, which limits the result.
    """
    if len(values) < 2 or parameter.name in NEVER_EXTENDED:
        return None
    if value >= values[-1]:
        edge, inner, limit = values[-1], values[-2], parameter.highest
    elif value <= values[0]:
        edge, inner, limit = values[0], values[1], parameter.lowest
    else:
        return None
    if not edge or not inner:
        return None
    beyond = _round_value(value * edge / inner)
    beyond = min(beyond, limit) if edge > inner else max(beyond, limit)
    return None if beyond == value else beyond


def compute_middle(values: Sequence[float]) -> float:
    """Return the middle of the sorted values: of two middle ones the geometric mean.

    Where the lower of the two is 0, it is the higher one.
    """
    lower, upper = values[(len(values) - 1) // 2], values[len(values) // 2]
    if lower == upper:
        return float(lower)
    return _round_value(sqrt(lower * upper)) or float(upper)


def _round_value(value: float) -> float:
    """Round to three digits, which is as fine as any hyper-parameter needs."""
    return float(f"{value:.3g}")
