"""The parameters of a run that hold more than a value: the search, and the reason of a forced pass.

People type them into Kubeflow's form, so each mistake is refused with one line that says the rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dawnlist.cuts import CURRENT_TIME
from dawnlist.model.config import ITERATION_LIMITS
from dawnlist.model.hyper_parameters import HYPER_PARAMETERS, HyperParameter
from dawnlist.model.metric_names import validate_metric
from dawnlist.settings import MOUNTED_SETTINGS
from dawnlist.urls import format_error

SEARCH_MODES: Final = ("full", "around_champion", "off")
DEFAULT_SEARCH: Final[dict[str, Any]] = {
    "search_mode": "around_champion",
    "metric": "ndcg",
    "iterations": 10,
    "seed": 7,
    **{parameter.name: list(parameter.grid) for parameter in HYPER_PARAMETERS},
}
"""The parameter `search`, whole. A run may give a part of it."""
NOT_FORCED: Final = "no"
"""The parameter `force_publish` of a run that leaves the decision to the gate."""
REASON_LENGTHS: Final = range(10, 501)
"""A shorter reason says nothing. A longer one belongs in a document that the reason links to."""
PIPELINE_DEFAULTS: Final[dict[str, Any]] = {
    "as_of": CURRENT_TIME,
    "force_publish": NOT_FORCED,
    "history_days": 365,
    "list_length": 20,
    "search": DEFAULT_SEARCH,
    "shop": "default",
    "shop_settings": MOUNTED_SETTINGS,
}
"""The defaults of the daily pipeline's parameters. None is empty: an empty box in Kubeflow's form
looks as if it had to be filled."""

PARAMETER_OPTIONS: Final = {
    "as_of": "--as-of",
    "shop_source": "--source",
    "shop_lake": "--lake",
    "shop_store": "--redis",
    "shop": "--namespace",
    "shop_settings": "--settings",
    "force_publish": "--force",
}
"""Parameters of the daily pipeline that have an option of their own in all commands."""


@dataclass(frozen=True)
class SearchOptions:
    """How a run searches for the configuration of its challenger."""

    mode: str
    """One of SEARCH_MODES."""
    metric: str
    """What the search and the gate compare, one of dawnlist.model.metric_names.METRICS."""
    iterations: int
    """Sweeps over users and items in each fit."""
    seed: int
    """Seed of the random start of each fit."""
    grid: dict[str, list[float]]
    """The values to try of each hyper-parameter, by its name."""


def parse_search(given: Mapping[str, Any]) -> SearchOptions:
    """Parse the parameter `search`. What is not given has its default.

    Raises:
        ValueError: A name is unknown, or a value is of another type or outside its limits.
    """
    for name in given:
        if name not in DEFAULT_SEARCH:
            known_names = ", ".join(DEFAULT_SEARCH)
            raise ValueError(f"search has no {name!r}: it takes {known_names}")
    values = {**DEFAULT_SEARCH, **given}
    grid = {}
    for parameter in HYPER_PARAMETERS:
        grid[parameter.name] = _parse_grid_values(parameter, values[parameter.name])
    iterations = _parse_whole_number("iterations", values["iterations"])
    lowest, highest = ITERATION_LIMITS
    if not lowest <= iterations <= highest:
        raise ValueError(f"iterations is {iterations}: give a number from {lowest} to {highest}")
    return SearchOptions(
        validate_search_mode(values["search_mode"]),
        validate_metric(values["metric"]),
        iterations,
        _parse_whole_number("seed", values["seed"]),
        grid,
    )


def _parse_grid_values(parameter: HyperParameter, values: Any) -> list[float]:
    """Parse the values to try of a hyper-parameter."""
    is_list = isinstance(values, list) and bool(values)
    if not is_list or not all(map(_is_number, values)):
        raise ValueError(
            f"{parameter.name} is {values!r}: give a list of numbers, e.g. {list(parameter.grid)}"
        )
    for value in values:
        parameter.check(value)
    return list(values)


def _parse_whole_number(name: str, value: Any) -> int:
    """Parse a whole number. Kubeflow holds each number of a dictionary as a float."""
    if not _is_number(value) or value != value // 1:
        raise ValueError(f"{name} is {value!r}: give a whole number")
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def validate_search_mode(mode: Any) -> str:
    """Return the mode of a search.

    Raises:
        ValueError: It is not one of SEARCH_MODES.
    """
    if mode not in SEARCH_MODES:
        raise ValueError(f"search_mode is {mode!r}: give one of {', '.join(SEARCH_MODES)}")
    return str(mode)


def parse_force_reason(force: str) -> str:
    """Return the reason of a forced pass on one line, or an empty text for none.

    Args:
        force: The parameter `force_publish`: a reason, or `no`.

    Raises:
        ValueError: The reason is too short or too long.
    """
    if force.lower() in ("", NOT_FORCED):
        return ""
    reason = format_error(force)
    if len(reason) not in REASON_LENGTHS:
        raise ValueError(
            f"the reason of a forced pass is {reason[:40]!r}: say why in {REASON_LENGTHS[0]} to "
            f"{REASON_LENGTHS[-1]} letters, e.g. 'new shop system, lists were checked by hand'"
        )
    return reason
