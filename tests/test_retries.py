"""How often each step runs when something fails: the compiled package on a simulated controller of Argo."""

import tempfile
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from dawnlist.pipelines.deploy.kfp_retries import RETRY_EXPRESSION, RETRY_LIMIT, RETRY_POLICY
from dawnlist.pipelines.package import write_package
from dawnlist.pipelines.placement import Placement
from dawnlist.pipelines.resources.step_resources import STEP_RESOURCES
from dawnlist.pipelines.resources.step_retries import compute_backoff_seconds, compute_retry_seconds
from tests.support.argo_retries import (
    CAUSES,
    EVICTED,
    EXIT_1,
    SUCCEEDED,
    VANISHED,
    Controller,
    End,
    Template,
    evaluate,
    merged,
    strategy_of,
    workflow_of,
)

OURS = {"limit": RETRY_LIMIT, "retryPolicy": RETRY_POLICY, "expression": RETRY_EXPRESSION}
ON_ERROR = {"limit": "2", "retryPolicy": "OnError"}
ALWAYS = {"limit": "2", "retryPolicy": "Always"}
BY_EXIT_CODE = {
    **ALWAYS,
    "expression": "lastRetry.status == 'Error' || asInt(lastRetry.exitCode) > 0",
}
NO_DEFAULT = {"limit": "0", "retryPolicy": "Always"}


@cache
def package(placement: Placement) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        write_package(Path(folder) / "a.yaml", placement)
        spec, _ = yaml.load_all((Path(folder) / "a.yaml").read_bytes(), yaml.CSafeLoader)
    return dict(spec)


def play(
    defaults: dict[str, Any] | None, failing: str, *ends: End, seconds: float = 600, **more: Any
) -> tuple[Controller, End]:
    """A run of the daily pipeline in which one pod ends so in its first tries, and the last end goes on."""

    def end_of(pod: str, number: int) -> End:
        return ends[min(number, len(ends) - 1)] if pod == failing else SUCCEEDED

    controller = Controller(defaults, end_of, {failing: seconds}, **more)
    return controller, controller.run(workflow_of(package(Placement())))


def tries(defaults: dict[str, Any] | None, failing: str, *ends: End, **more: Any) -> int:
    return len(play(defaults, failing, *ends, **more)[0].starts[failing])


def test_the_workflow_has_a_pod_for_each_step_and_a_driver_for_each_task() -> None:
    controller, end = play(None, "", SUCCEEDED)
    dags = {"root", "exit-handler-1", "condition-2"}
    assert set(controller.starts) == set(STEP_RESOURCES) | {
        f"{name}-driver" for name in dags | set(STEP_RESOURCES)
    }
    assert (end.phase, {len(starts) for starts in controller.starts.values()}) == ("Succeeded", {1})
    assert max(controller.starts, key=lambda name: controller.starts[name]) == "notify"


@pytest.mark.parametrize("step", STEP_RESOURCES)
@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("dag_message", [False, True], ids=["argo-4.0", "argo-after-4.1"])
def test_with_our_defaults_a_step_is_tried_as_often_as_the_package_says(
    step: str, cause: str, dag_message: bool
) -> None:
    controller, end = play(OURS, step, CAUSES[cause], dag_message=dag_message)
    assert len(controller.starts[step]) == STEP_RESOURCES[step].retries + 1
    others = {name: len(starts) for name, starts in controller.starts.items() if name != step}
    assert set(others.values()) == {1}  # no step before it runs again
    # the exit task's own end does not count, and it hears of the failure of any other
    assert end.phase == ("Succeeded" if step == "notify" else CAUSES[cause].phase)
    assert "notify" in controller.starts


@pytest.mark.parametrize("cause", CAUSES)
def test_with_our_defaults_a_driver_is_tried_three_times(cause: str) -> None:
    for driver in ("tune-driver", "root-driver", "condition-2-driver"):
        assert tries(OURS, driver, CAUSES[cause]) == 3


def test_one_failure_costs_one_more_try() -> None:
    for end in CAUSES.values():
        controller, whole = play(OURS, "tune", end, SUCCEEDED)
        assert (len(controller.starts["tune"]), whole.phase) == (2, "Succeeded")


TRIES_OF_TUNE = {
    "exits with 1": (3, 1, 243, 3, 3),
    "killed for memory": (3, 1, 243, 3, 3),
    "reaches its time limit": (3, 1, 243, 3, 3),
    "evicted": (3, 1, 243, 1, 3),
    "vanishes with its node": (1, 243, 243, 243, 3),
}
"""With no defaults (Kubeflow Pipelines 2.15 and 2.16), OnError (2.17), Always, Always by exit code, Always with no
retries but a package's own."""


@pytest.mark.parametrize("cause", CAUSES)
def test_with_other_defaults_it_is_tried_too_seldom_or_far_too_often(cause: str) -> None:
    others = (None, ON_ERROR, ALWAYS, BY_EXIT_CODE, NO_DEFAULT)
    assert tuple(tries(one, "tune", CAUSES[cause]) for one in others) == TRIES_OF_TUNE[cause]


def test_a_default_without_retries_repeats_no_driver() -> None:
    assert tries(NO_DEFAULT, "tune-driver", EXIT_1) == 1
    assert tries(ON_ERROR, "tune-driver", EXIT_1) == 1
    assert tries(OURS, "tune-driver", EXIT_1) == 3


def test_a_step_within_the_gates_condition_is_multiplied_once_more() -> None:
    assert tries(ALWAYS, "refit", EXIT_1) == 729
    assert len(play(ALWAYS, "refit", EXIT_1)[0].starts["notify"]) == 9  # nine reports of one run


def test_without_its_second_half_the_expression_repeats_dags_of_newer_argo() -> None:
    halved = {**OURS, "expression": "lastRetry.message != ''"}
    assert tries(halved, "tune", EXIT_1, dag_message=False) == 3
    assert tries(halved, "tune", EXIT_1, dag_message=True) == 243


def test_waits_grow_and_come_before_the_policy_is_asked() -> None:
    controller, _ = play(OURS, "tune", EXIT_1)
    first, second, third = controller.starts["tune"]
    assert (second - first, third - second) == (630, 660)
    # under OnError the run still shows "Backoff for 30 seconds", and then ends
    controller, _ = play(ON_ERROR, "tune", EXIT_1)
    [notify] = controller.starts["notify-driver"]
    assert notify - controller.starts["tune"][0] == 600


def test_each_try_has_its_full_time_and_kfps_hour_would_not_do() -> None:
    tune = STEP_RESOURCES["tune"]
    full = tune.minutes * 60
    task = deepcopy(
        package(Placement())["components"]["comp-exit-handler-1"]["dag"]["tasks"]["tune"]
    )
    step = Template("tune", strategy_of(task))
    ends = [CAUSES["reaches its time limit"]] * 2 + [SUCCEEDED]
    controller = Controller(OURS, lambda _, number: ends[number], {"tune": full})
    assert controller.run(step).phase == "Succeeded"
    assert controller.starts["tune"] == [0, full + 30, 2 * full + 90]

    task["retryPolicy"] = {**task["retryPolicy"], "backoffMaxDuration": "3600s"}
    hour = Template("tune", strategy_of(task))
    controller = Controller(OURS, lambda _, number: ends[number], {"tune": full})
    end = controller.run(hour)
    assert (end.phase, end.message, controller.starts["tune"]) == (
        "Failed", "Max duration limit exceeded", [0],
    )  # fmt: skip
    # a try that fails early is repeated, and killed at the hour
    controller = Controller(OURS, lambda _, number: [EXIT_1, SUCCEEDED][number], {"tune": 3000})
    end = controller.run(hour)
    assert (end.phase, end.finished, controller.starts["tune"]) == ("Failed", 3600, [0, 3030])


RETRY_SECONDS = {
    "fetch": 10_890, "clean": 10_890, "filter-bots": 10_890, "dataset": 10_890, "tune": 43_290, "train": 21_690,
    "evaluate": 10_890, "gate": 1_890, "refit": 21_690, "recommend": 21_690, "publish": 10_890, "notify": 3_630,
}  # fmt: skip


def test_the_package_says_for_how_long_each_step_may_be_tried() -> None:
    def sent(placement: Placement) -> dict[str, int]:
        spec = package(placement)
        dags = [
            spec["root"]["dag"],
            *(one["dag"] for one in spec["components"].values() if "dag" in one),
        ]
        tasks = {
            name: task
            for dag in dags
            for name, task in dag["tasks"].items()
            if "retryPolicy" in task
        }
        return {
            name: int(task["retryPolicy"]["backoffMaxDuration"][:-1])
            for name, task in tasks.items()
        }

    assert sent(Placement()) == RETRY_SECONDS
    on_spot = {
        **RETRY_SECONDS,
        "tune": 6 * 14_400 + 930,
        "train": 6 * 7_200 + 930,
        "refit": 6 * 7_200 + 930,
    }
    assert sent(Placement(spot=True)) == on_spot
    assert [compute_backoff_seconds(retries) for retries in range(4)] == [0, 30, 90, 210]
    assert compute_retry_seconds(60, 0) == 3600


def test_argos_merge_and_expressions() -> None:
    own = {"limit": "5", "backoff": {"duration": "30"}}
    assert merged(own, ON_ERROR) == {**own, "retryPolicy": "OnError"}
    assert merged(None, ON_ERROR) == ON_ERROR
    assert merged(own, {"backoff": {"factor": "2"}})["backoff"] == {"duration": "30", "factor": "2"}  # type: ignore[index]
    assert evaluate(RETRY_EXPRESSION, EVICTED)
    assert evaluate(RETRY_EXPRESSION, VANISHED)
    assert not evaluate(RETRY_EXPRESSION, End("Error"))
    assert not evaluate(RETRY_EXPRESSION, End("Failed", "child 'a-1' failed"))
    assert not evaluate(BY_EXIT_CODE["expression"], EVICTED)
