"""`dawnlist deploy --fix-retries`, and who warns of the fault, against the server of tests/support/kube_api.py."""

import io
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dawnlist.pipelines.deploy import deploy_steps, retry_steps
from dawnlist.pipelines.deploy.kfp_retries import (
    RETRY_EXPRESSION,
    build_retry_fix,
    describe_retry_fault,
)
from tests.support.deploying import Done, run_deploy
from tests.support.kfp_api import Kubeflow, dawnlist
from tests.support.kube_api import Fault, KubeApi, kube_api, kubeconfig
from tests.support.rendered import MANIFESTS, kustomized

ARTIFACTS = "archiveLogs: true\ns3:\n  bucket: mlpipeline\n  accessKeySecret:\n    name: mlpipeline-minio-artifact\n"
EXECUTOR = "imagePullPolicy: IfNotPresent\n"
OLDER = {"artifactRepository": ARTIFACTS, "executor": EXECUTOR}
"""Kubeflow Pipelines 2.15 and 2.16: no defaults for workflows."""
NEWER = {
    **OLDER,
    "workflowDefaults": "spec:\n  # kept for an hour\n  ttlStrategy:\n    secondsAfterCompletion: 3600\n"
    "  templateDefaults:\n    retryStrategy:\n      limit: '2'\n      retryPolicy: OnError\n",
}
"""2.17."""
FIXED = {"limit": "2", "retryPolicy": "Always", "expression": RETRY_EXPRESSION}
ON_ERROR_LINE = (
    "! Kubeflow repeats no step that fails (retryPolicy OnError in kubeflow/workflow-controller-configmap): "
    "`dawnlist deploy --fix-retries` corrects it"
)


def config_map(data: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": "workflow-controller-configmap", "namespace": "kubeflow"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def defaults(policy: str, **more: str) -> dict[str, str]:
    strategy = {"retryPolicy": policy, **more}
    return {
        "workflowDefaults": yaml.safe_dump(
            {"spec": {"templateDefaults": {"retryStrategy": strategy}}}
        )
    }


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    with kube_api() as api:
        api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeflow"}})
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(api, tmp_path / "kubeconfig")))
        yield api


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    def run(*words: str, answer: str | None = None) -> Done:
        keyboard = io.StringIO(answer or "")
        monkeypatch.setattr(keyboard, "isatty", lambda: answer is not None, raising=False)
        monkeypatch.setattr(sys, "stdin", keyboard)
        return run_deploy(monkeypatch, (deploy_steps, retry_steps), *words)

    return run


def stored(api: KubeApi) -> dict[str, str]:
    data: dict[str, str] = api.get("ConfigMap", "workflow-controller-configmap", "kubeflow")["data"]
    return data


def strategy(data: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load(data["workflowDefaults"])["spec"]["templateDefaults"][
        "retryStrategy"
    ]
    return found


@pytest.mark.parametrize("data", [OLDER, NEWER], ids=["2.15", "2.17"])
def test_the_fix_changes_the_retries_and_nothing_else(
    api: KubeApi, deploy: Callable[..., Done], data: dict[str, str]
) -> None:
    api.put(config_map(data), manager="kubectl-client-side-apply")
    assert deploy("--fix-retries", "--dry-run").out[0].split() == [
        "configmap/workflow-controller-configmap",
        "changed",
    ]
    assert stored(api) == data
    done = deploy("--fix-retries", "--yes")
    assert (done.code, done.err) == (0, [])
    assert (
        done.out[-1]
        == "changed, for all pipelines of this Kubeflow: it holds for runs that start from now on"
    )
    fixed = stored(api)
    assert strategy(fixed) == FIXED
    assert {name: text for name, text in fixed.items() if name != "workflowDefaults"} == OLDER
    spec = yaml.safe_load(fixed["workflowDefaults"])["spec"]
    assert spec.pop("ttlStrategy", None) == (
        {"secondsAfterCompletion": 3600} if data is NEWER else None
    )
    assert list(spec) == ["templateDefaults"]
    # Argo reads a value with line breaks as YAML of its own
    assert fixed["workflowDefaults"].endswith("\n") and fixed["workflowDefaults"].count("\n") > 1
    again = deploy("--fix-retries")
    assert [line.split() for line in again.out] == [
        ["configmap/workflow-controller-configmap", "unchanged"]
    ]
    assert stored(api) == fixed


def test_the_change_is_shown_line_by_line(api: KubeApi, deploy: Callable[..., Done]) -> None:
    api.put(config_map(NEWER))
    assert [line.strip() for line in deploy("--fix-retries", "--dry-run").out[1:]] == [
        "data.workflowDefaults:",
        "-  # kept for an hour",
        "-      retryPolicy: OnError",
        "+      retryPolicy: Always",
        "+      expression: lastRetry.message != '' && !(lastRetry.message startsWith 'child ')",
    ]


def test_it_asks_first(api: KubeApi, deploy: Callable[..., Done]) -> None:
    api.put(config_map(NEWER))
    refused = deploy("--fix-retries", answer="n\n")
    assert (refused.code, refused.out[-1]) == (0, "nothing was changed")
    assert stored(api) == NEWER
    unasked = deploy("--fix-retries")
    assert unasked.code == 1
    assert unasked.err == [
        "dawnlist: nothing was changed: --fix-retries asks first, so add --yes to it"
    ]
    assert stored(api) == NEWER
    assert deploy("--fix-retries", answer="y\n").code == 0
    assert strategy(stored(api)) == FIXED


def test_a_limit_of_somebodys_own_stays(api: KubeApi, deploy: Callable[..., Done]) -> None:
    api.put(config_map(defaults("OnError", limit="4")))
    deploy("--fix-retries", "--yes")
    assert strategy(stored(api)) == {**FIXED, "limit": "4"}


def test_a_deploy_warns_and_goes_on(
    api: KubeApi, deploy: Callable[..., Done], tmp_path: Path
) -> None:
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(own))
    api.put(config_map(NEWER))
    done = deploy(str(tmp_path / "a.yaml"))
    assert (done.code, done.err) == (0, [ON_ERROR_LINE])
    both = deploy(str(tmp_path / "a.yaml"), "--fix-retries", "--yes")
    assert (both.code, both.err) == (0, [])
    assert strategy(stored(api)) == FIXED
    assert deploy(str(tmp_path / "a.yaml")).err == []


FAULTS = [
    (defaults("OnError"), "repeats no step that fails (retryPolicy OnError"),
    (defaults("OnTransientError"), "repeats no step that fails (retryPolicy OnTransientError"),
    (defaults("Always", limit="2"), "repeats a failing step hundreds of times"),
    (defaults("Always"), "repeats a failing step hundreds of times"),
    (defaults("Always", limit="0"), ""),
    (defaults("Always", expression="lastRetry.status == 'Error'"), ""),
    (defaults("OnFailure"), ""),
    (OLDER, ""),
    ({}, ""),
    ({"workflowDefaults": ""}, ""),
    ({"workflowDefaults": "spec: null"}, ""),
    ({"workflowDefaults": "spec:\n  templateDefaults:\n    retryStrategy:\n"}, ""),
]


@pytest.mark.parametrize(("data", "words"), FAULTS)
def test_which_settings_are_a_fault(data: dict[str, str], words: str) -> None:
    line = describe_retry_fault(config_map(data))
    assert bool(line) == bool(words) and words in line
    fixed = build_retry_fix(config_map(data))
    assert describe_retry_fault(fixed) == ""
    assert list(fixed["data"]) == ["workflowDefaults"]
    assert strategy(fixed["data"])["expression"] == RETRY_EXPRESSION


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"config": "workflowDefaults: {}"}, "has all settings in one text, `config`"),
        ({"workflowDefaults": "- a"}, "is not a YAML mapping: mend it"),
        ({"workflowDefaults": "a: [b"}, "is not a YAML mapping: mend it"),
        ({"workflowDefaults": "spec: [a]"}, "spec in workflowDefaults .* is not a YAML mapping"),
        (
            {"workflowDefaults": "spec:\n  templateDefaults: a"},
            "templateDefaults in workflowDefaults",
        ),
    ],
)
def test_settings_that_cannot_be_read_are_refused_and_no_reason_to_warn(
    api: KubeApi, deploy: Callable[..., Done], data: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        build_retry_fix(config_map(data))
    api.put(config_map(data))
    done = deploy("--fix-retries", "--yes")
    assert (done.code, stored(api)) == (1, data)
    assert dawnlist_status(api) == ""


def dawnlist_status(api: KubeApi) -> str:
    """What the check of `dawnlist status` says."""
    from dawnlist.pipelines.kubeflow.controller_check import find_controller_fault

    return find_controller_fault()


def test_without_kubeflow_and_without_rights_it_is_one_line(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    done = deploy("--fix-retries")
    assert done.code == 1
    assert done.err == [
        f"dawnlist: no workflow-controller-configmap in namespace kubeflow of {api.url}: install Kubeflow Pipelines "
        "first, or choose another --kube-context"
    ]
    api.put(config_map(NEWER))
    api.faults = [
        Fault(
            "GET", "configmaps/workflow-controller", 403, '{"message": "configmaps is forbidden"}'
        )
    ]
    done = deploy("--fix-retries", "--yes")
    assert (done.code, done.err) == (1, [
        "dawnlist: configmap/workflow-controller-configmap: configmaps is forbidden (403): ask for a role that "
        "allows it"
    ])  # fmt: skip
    assert deploy().err == [
        "dawnlist: nothing to deploy: give an overlay's folder, such as manifests/overlays/local"
    ]


def test_status_warns_of_it_when_it_can_see_the_controller(
    kubeflow: Kubeflow, api: KubeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ("status", "--host", kubeflow.url)
    assert dawnlist(*words).err == ""  # no Kubeflow on that cluster
    api.put(config_map(NEWER))
    for more in ((), ("--format", "json")):
        done = dawnlist(*words, *more)
        assert (done.code, " ".join(done.err.split())) == (0, ON_ERROR_LINE)
    api.faults = [Fault("GET", "configmaps", 403, '{"message": "forbidden"}')]
    assert dawnlist(*words).err == ""
    api.faults = [Fault("GET", "configmaps")]
    assert dawnlist(*words).err == ""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    done = dawnlist(*words)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("data", [OLDER, NEWER], ids=["2.15", "2.17"])
def test_the_component_for_kubeflows_own_kustomization_says_the_same(
    tmp_path: Path, data: dict[str, str]
) -> None:
    component = Path(shutil.copytree(MANIFESTS / "kfp-retries", tmp_path / "kfp-retries"))
    (tmp_path / "kubeflow").mkdir()
    (tmp_path / "kubeflow" / "config.yaml").write_text(yaml.safe_dump(config_map(data)))
    layer = {"resources": ["config.yaml"], "components": [f"../{component.name}"]}
    (tmp_path / "kubeflow" / "kustomization.yaml").write_text(yaml.safe_dump(layer))
    [patched] = yaml.safe_load_all(kustomized(tmp_path / "kubeflow"))
    assert strategy(patched["data"]) == FIXED
    assert describe_retry_fault(patched) == ""
    assert (
        build_retry_fix(patched)["data"]["workflowDefaults"] == patched["data"]["workflowDefaults"]
    )
    assert {
        name: text for name, text in patched["data"].items() if name != "workflowDefaults"
    } == OLDER
