"""How large a package may be: exact bounds, and the daily pipeline with more and more shards."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]

from dawnlist.pipelines import package_limits
from dawnlist.pipelines.daily import build_daily_pipeline
from dawnlist.pipelines.package import write_package
from dawnlist.pipelines.package_limits import (
    ARGUMENT_BYTES,
    TASK_BYTES,
    TEMPLATES_BYTES,
    WORKFLOW_BYTES,
    measure_longest_argument,
    measure_workflow,
    refuse_large_package,
)
from dawnlist.pipelines.placement import Placement

PLATFORM = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-a": {"a": "b"}}}}}}


def small(name: str = "", **tasks: Any) -> dict[str, Any]:
    return {
        "root": {"dag": {"tasks": tasks}},
        "components": {"comp-a": {"executorLabel": "exec-a", "name": name}},
        "deploymentSpec": {"executors": {"exec-a": {"container": {"command": ["x"]}}}},
    }


@cache
def daily(shards: int) -> tuple[dict[str, Any], dict[str, Any]]:
    pipeline = build_daily_pipeline(Placement(tune_shards=shards))
    return (
        json_format.MessageToDict(pipeline.pipeline_spec),
        json_format.MessageToDict(pipeline.platform_spec),
    )


def test_an_argument_may_have_what_linux_allows_and_not_a_byte_more() -> None:
    rest = measure_longest_argument(small())
    assert rest == len('{"executorLabel":"exec-a","name":""}')
    refuse_large_package(small("n" * (ARGUMENT_BYTES - rest)), PLATFORM, 19, "2.15")
    large = small("n" * (ARGUMENT_BYTES - rest + 1))
    with pytest.raises(
        ValueError, match=r"2.15: its driver gets .* 131,072 bytes, and Linux allows 131,071"
    ):
        refuse_large_package(large, PLATFORM, 19, "2.15")
    # newer drivers ask the API for the specification
    refuse_large_package(large, PLATFORM, 19, "2.16")


def test_a_workflow_may_have_720_kibibytes_and_not_a_byte_more() -> None:
    rest = measure_workflow(small(), PLATFORM)
    for version in ("2.16", "2.17"):
        refuse_large_package(small("n" * (WORKFLOW_BYTES - rest)), PLATFORM, 40, version)
        with pytest.raises(
            ValueError, match=r"has 737,281 bytes, and at most 737,280 .* Give --tune-shards 35"
        ):
            refuse_large_package(small("n" * (WORKFLOW_BYTES - rest + 1)), PLATFORM, 40, version)


def test_what_counts_of_a_package() -> None:
    empty = measure_workflow(small(), PLATFORM)
    texts = [
        '{"dag":{"tasks":{}}}',
        '{"executorLabel":"exec-a","name":""}',
        '{"command":["x"]}',
        '{"a":"b"}',
    ]
    assert empty == TEMPLATES_BYTES + sum(len(json.dumps(text)) for text in texts)
    # a task counts within its DAG, and on its own
    task = {"componentRef": {"name": "comp-a"}}
    text = json.dumps(task, separators=(",", ":"))
    within = len(json.dumps(f'"b":{text}')) - 2
    assert measure_workflow(small(b=task), PLATFORM) - empty == within + TASK_BYTES + len(
        json.dumps(text)
    )
    # a second component with the same container is free, one with another container is not
    twice = small()
    twice["components"]["comp-b"] = {"executorLabel": "exec-b"}
    twice["deploymentSpec"]["executors"]["exec-b"] = {"container": {"command": ["x"]}}
    assert measure_workflow(twice, PLATFORM) == empty
    twice["deploymentSpec"]["executors"]["exec-b"] = {"container": {"command": ["y"]}}
    assert measure_workflow(twice, PLATFORM) > empty
    # characters that Kubeflow's JSON escapes, and letters of two bytes
    assert measure_longest_argument(small("<")) == measure_longest_argument(small("n")) + 5
    assert measure_longest_argument(small("é")) == measure_longest_argument(small("n")) + 1


@pytest.mark.parametrize(("version", "limit"), [("2.15", ARGUMENT_BYTES), ("2.17", WORKFLOW_BYTES)])
def test_the_search_may_be_spread_until_the_package_is_too_large(version: str, limit: int) -> None:
    spec, platform = daily(64)
    size = measure_longest_argument(spec)
    if version == "2.17":
        size = measure_workflow(spec, platform)
    suggested = int(64 * limit / size * 0.9)
    message = rf"^--tune-shards 64 is too much for .*\. Give --tune-shards {suggested}$"
    with pytest.raises(ValueError, match=message):
        refuse_large_package(spec, platform, 64, version)
    refuse_large_package(*daily(suggested), suggested, version)


def test_a_package_that_is_too_large_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_limits, "WORKFLOW_BYTES", 50_000)
    with pytest.raises(ValueError, match="--tune-shards 0 is too much for Argo"):
        write_package(tmp_path / "a.yaml", Placement())
    assert list(tmp_path.iterdir()) == []


def test_the_default_pipeline_needs_a_sixth_of_what_is_allowed() -> None:
    assert measure_workflow(*daily(0)) * 5 < WORKFLOW_BYTES
    assert ARGUMENT_BYTES == 131_071
