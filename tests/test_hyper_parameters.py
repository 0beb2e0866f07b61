"""The table of hyper-parameters, and what reads it."""

from typing import Any

import pytest

from dawnlist.components.tune.grid import Grid
from dawnlist.model.config import ALSConfig
from dawnlist.model.hyper_parameters import BY_NAME, HYPER_PARAMETERS, HyperParameter

ALL = pytest.mark.parametrize("parameter", HYPER_PARAMETERS, ids=lambda parameter: parameter.name)


def test_the_limits() -> None:
    """As docs/MODEL.md has them."""
    assert {
        parameter.name: (parameter.lowest, parameter.highest) for parameter in HYPER_PARAMETERS
    } == {
        "factors": (1, 4096),
        "regularization": (0, 1e6),
        "alpha": (1e-6, 1e6),
        "alpha0": (1e-6, 1e6),
        "nu": (0, 2),
        "half_life": (0, 36_500),
        "popularity_share": (0, 1e3),
        "popularity_half_life": (1e-3, 36_500),
        "repeat_share": (0, 1e3),
        "repeat_half_life": (1e-3, 36_500),
        "content_share": (0, 1e3),
        "content_pairs": (1e-3, 1e6),
    }


@ALL
def test_the_limits_themselves_are_allowed_and_nothing_beyond(parameter: HyperParameter) -> None:
    for value in (parameter.lowest, parameter.highest):
        chosen: dict[str, Any] = {parameter.name: value}
        assert getattr(ALSConfig(**chosen), parameter.name) == value
        in_grid: dict[str, Any] = {parameter.name: (value,)}
        Grid(**in_grid)
    for value in (parameter.lowest - 1e-7, parameter.highest * (1 + 1e-9)):
        message = f"{parameter.name} is {value}: give a number from"
        outside: dict[str, Any] = {parameter.name: value}
        with pytest.raises(ValueError, match=message):
            ALSConfig(**outside)


@ALL
def test_config_and_grid_take_the_default(parameter: HyperParameter) -> None:
    assert getattr(ALSConfig(), parameter.name) == parameter.default
    assert getattr(Grid(), parameter.name) == (parameter.default,)


@ALL
def test_the_grid_of_the_daily_search_is_within_the_limits(parameter: HyperParameter) -> None:
    assert parameter.grid == tuple(sorted(set(parameter.grid)))
    for value in parameter.grid:
        parameter.check(value)


def test_names_and_labels_are_used_once() -> None:
    assert len(BY_NAME) == len({parameter.label for parameter in HYPER_PARAMETERS}) == 12


@pytest.mark.parametrize("iterations", [0, 1001])
def test_sweeps_beyond_their_limits_are_refused(iterations: int) -> None:
    with pytest.raises(
        ValueError, match=f"iterations is {iterations}: give a number from 1 to 1000"
    ):
        ALSConfig(iterations=iterations)


@pytest.mark.parametrize("iterations", [1, 1000])
def test_the_fewest_and_most_sweeps_are_allowed(iterations: int) -> None:
    assert ALSConfig(iterations=iterations).iterations == iterations
