"""The parameters that people type into Kubeflow's form, and how mistakes in them are refused."""

from typing import Any

import pytest

from dawnlist.components.tune.grid import Grid
from dawnlist.cuts import is_current_time
from dawnlist.model.hyper_parameters import HYPER_PARAMETERS
from dawnlist.records.run_parameters import (
    DEFAULT_SEARCH,
    parse_force_reason,
    parse_search,
)


def test_what_is_not_given_has_its_default() -> None:
    options = parse_search({"factors": [8.0, 16.0], "search_mode": "full"})
    assert (options.mode, options.metric, options.iterations, options.seed) == (
        "full",
        "ndcg",
        10,
        7,
    )
    expected = {parameter.name: list(parameter.grid) for parameter in HYPER_PARAMETERS}
    assert options.grid == {**expected, "factors": [8.0, 16.0]}
    assert parse_search({}) == parse_search(DEFAULT_SEARCH)


def test_kubeflow_makes_floats_of_whole_numbers() -> None:
    options = parse_search({"iterations": 12.0, "seed": 3.0})
    assert (options.iterations, options.seed) == (12, 3)
    assert isinstance(options.iterations, int) and isinstance(options.seed, int)


def test_a_grid_is_built_from_the_search() -> None:
    grid = Grid.from_options(parse_search({"nu": [0.0, 1.0], "seed": 3}), "implicit")
    assert (grid.nu, grid.seed, grid.iterations, grid.solver) == ([0.0, 1.0], 3, 10, "implicit")


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"factor": [8]}, "search has no 'factor': it takes search_mode, metric, iterations, seed"),
        ({"factors": 8}, r"factors is 8: give a list of numbers, e.g. \[32, 64\]"),
        ({"factors": []}, r"factors is \[\]: give a list of numbers"),
        ({"factors": ["8"]}, r"factors is \['8'\]: give a list of numbers"),
        ({"factors": [True]}, r"factors is \[True\]: give a list of numbers"),
        ({"factors": [8.5]}, r"factors is 8\.5: give a whole number"),
        ({"factors": [0]}, "factors is 0: give a number from 1 to 4096"),
        ({"nu": [float("nan")]}, "nu is nan: give a number from 0 to 2"),
        ({"iterations": 2.5}, r"iterations is 2\.5: give a whole number"),
        ({"iterations": "ten"}, "iterations is 'ten': give a whole number"),
        ({"iterations": 0}, "iterations is 0: give a number from 1 to 1000"),
        ({"iterations": 1001}, "iterations is 1001: give a number from 1 to 1000"),
        ({"seed": None}, "seed is None: give a whole number"),
        ({"seed": float("inf")}, "seed is inf: give a whole number"),
        ({"search_mode": "fast"}, "search_mode is 'fast': give one of full, around_champion, off"),
        ({"search_mode": ["off"]}, r"search_mode is \['off'\]: give one of full"),
        (
            {"metric": "auc"},
            "metric 'auc' is unknown: give one of ndcg, recall, map, mrr, hit_rate",
        ),
    ],
)
def test_a_wrong_search_is_refused_with_the_rule(search: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_search(search)


def test_the_limits_of_the_sweeps_are_allowed() -> None:
    assert [parse_search({"iterations": number}).iterations for number in (1, 1000)] == [1, 1000]


@pytest.mark.parametrize("text", ["no", "No", ""])
def test_no_leaves_the_decision_to_the_gate(text: str) -> None:
    assert parse_force_reason(text) == ""


def test_a_reason_has_ten_to_five_hundred_letters() -> None:
    for length in (10, 500):
        assert parse_force_reason("x" * length) == "x" * length
    for length in (9, 501):
        with pytest.raises(ValueError, match="say why in 10 to 500 letters"):
            parse_force_reason("x" * length)


@pytest.mark.parametrize(
    "text", ["now", " Now ", "", "[[CurrentTime.2006-01-02T15:04:05Z]]", "[[ScheduledTime]]"]
)
def test_the_first_step_takes_its_own_time(text: str) -> None:
    assert is_current_time(text)


@pytest.mark.parametrize("text", ["2026-01-31T03:00:00Z", "nowhere", "tomorrow"])
def test_other_texts_are_no_current_time(text: str) -> None:
    assert not is_current_time(text)
