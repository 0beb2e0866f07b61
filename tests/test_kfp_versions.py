"""What packages use of Kubeflow Pipelines 2.15, 2.16 and 2.17 (docs/KFP-VERSIONS.md)."""

import json
import re
import tempfile
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import kfp_server_api
import pytest
import yaml
from kfp.kubernetes import kubernetes_executor_config_pb2

from dawnlist.pipelines.package import write_package
from dawnlist.pipelines.placement import KFP_VERSIONS, Placement
from tests.support.kfp_fields import EXECUTOR_2_16, FIELDS, unknown_fields

PAGE = Path(__file__).parents[1] / "docs" / "KFP-VERSIONS.md"
PLACEMENTS = [{}, {"nodes": "gpu", "spot": True, "gpu_type": "nvidia-l4", "tune_shards": 2}]
SECURITY = "executor.securityContext"
RUN_END = "pipelineConfig.activeDeadlineSeconds"


@cache
def package(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        write_package(Path(folder) / "a.yaml", Placement(**options))
        spec, platform = yaml.load_all((Path(folder) / "a.yaml").read_bytes(), yaml.CSafeLoader)
    return spec, platform


def executors(platform: dict[str, Any]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = platform["platforms"]["kubernetes"]["deploymentSpec"][
        "executors"
    ]
    return list(found.values())


@pytest.mark.parametrize("options", PLACEMENTS, ids=["cpu", "gpu"])
@pytest.mark.parametrize("version", KFP_VERSIONS)
def test_a_version_knows_every_field_of_its_packages(version: str, options: dict[str, Any]) -> None:
    _, platform = package(kfp_version=version, **options)
    assert unknown_fields(platform, version) == set()


@pytest.mark.parametrize(
    ("compiled_for", "unknown"),
    [
        ("2.17", {"2.15": {SECURITY, RUN_END}, "2.16": {RUN_END}, "2.17": set()}),
        ("2.16", {"2.15": {SECURITY}, "2.16": set(), "2.17": set()}),
        ("2.15", {"2.15": set(), "2.16": set(), "2.17": set()}),
    ],
)
def test_what_an_older_version_would_not_know(
    compiled_for: str, unknown: dict[str, set[str]]
) -> None:
    _, platform = package(kfp_version=compiled_for)
    assert {version: unknown_fields(platform, version) for version in KFP_VERSIONS} == unknown


def test_the_installed_definition_has_the_fields_of_the_table() -> None:
    message = kubernetes_executor_config_pb2.KubernetesExecutorConfig.DESCRIPTOR
    installed = {field.json_name for field in message.fields}
    assert set(EXECUTOR_2_16) <= installed
    user = kubernetes_executor_config_pb2.SecurityContext.DESCRIPTOR
    user_fields: Any = EXECUTOR_2_16["securityContext"]
    assert {field.json_name for field in user.fields} == set(user_fields)
    assert tuple(FIELDS) == KFP_VERSIONS


@pytest.mark.parametrize("version", KFP_VERSIONS)
def test_every_executor_runs_as_the_images_user_where_the_version_knows_users(version: str) -> None:
    _, platform = package(kfp_version=version)
    contexts = [executor.get("securityContext") for executor in executors(platform)]
    wanted = {"runAsUser": "1000", "runAsNonRoot": True} if version != "2.15" else None
    assert contexts == [wanted] * 12


def test_the_images_user_is_that_of_the_security_context() -> None:
    dockerfile = (Path(__file__).parents[1] / "Dockerfile").read_text()
    assert re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE) == ["1000"]


def test_a_package_uses_nothing_that_backends_do_otherwise_than_the_local_runner() -> None:
    spec, platform = package()
    tasks = [
        task for component in (spec["root"], *spec["components"].values()) if "dag" in component
        for task in component["dag"]["tasks"].values()
    ]  # fmt: skip
    # no loop: it is broken within an exit handler; no importer; no cache
    assert not any("parameterIterator" in task or "artifactIterator" in task for task in tasks)
    assert not any("enableCache" in task.get("cachingOptions", {}) for task in tasks)
    assert all("container" in executor for executor in spec["deploymentSpec"]["executors"].values())
    # limits are constants: a limit that a parameter gives breaks within an exit handler
    assert "{{" not in json.dumps(
        [
            executor["container"]["resources"]
            for executor in spec["deploymentSpec"]["executors"].values()
        ]
    )
    # a placeholder is a parameter's whole value
    texts = re.findall(r'"constant": "([^"]*\{\{[^"]*)"', json.dumps(tasks))
    assert set(texts) == {"{{$.pipeline_job_uuid}}"}
    assert "enabledSharedMemory" not in json.dumps(platform)


def test_an_unknown_version_is_refused() -> None:
    for version in ("2.14", "2.18", "", "latest"):
        with pytest.raises(ValueError, match=r"kfp-version is .*: give one of 2.15, 2.16, 2.17"):
            Placement(kfp_version=version)
    assert all(older < newer for older, newer in pairwise(KFP_VERSIONS))


def test_the_page_names_tests_that_exist() -> None:
    text = PAGE.read_text()
    names = set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text))
    assert len(names) >= 10
    for file, function in names:
        source = (PAGE.parents[1] / file).read_text()
        assert not function or f"def {function}(" in source, (file, function)
    assert kfp_server_api.__version__.startswith("2.")
    assert all(f"| {version} |" in text or f" {version} " in text for version in KFP_VERSIONS)
