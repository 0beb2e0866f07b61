"""The optional Spark Connect server: what fits together; its schema and the policy are tested with the others."""

import importlib.metadata

import pytest

from dawnlist.machine.spark import SPARK_CONNECT_PORT
from dawnlist.machine.spark_url import classify_spark_url
from tests.support.rendered import MANIFESTS, Tree, one, rendered

NAME = "dawnlist-spark"


@pytest.fixture
def built() -> list[Tree]:
    return rendered("gke-gpu", "keda", "monitoring", "spark")


def test_versions_are_that_of_the_steps(built: list[Tree]) -> None:
    spec = one(built, "SparkConnect")["spec"]
    version = importlib.metadata.version("pyspark")
    images = [spec["image"]]
    images += [
        spec[part]["template"]["spec"]["containers"][0]["image"] for part in ("server", "executor")
    ]
    assert (spec["sparkVersion"], images) == (version, [f"docker.io/library/spark:{version}"] * 3)


def test_the_settings_name_its_service(built: list[Tree]) -> None:
    url = f"sc://{one(built, 'SparkConnect')['metadata']['name']}-server:{SPARK_CONNECT_PORT}"
    assert classify_spark_url(url) == "sc"
    assert url in (MANIFESTS / "base" / "settings.yaml").read_text()


def test_accounts_labels_and_names_fit_together(built: list[Tree]) -> None:
    spec = one(built, "SparkConnect")["spec"]
    server, executor = (spec[part]["template"] for part in ("server", "executor"))
    account = one(built, "ServiceAccount", NAME)["metadata"]["name"]
    binding = one(built, "RoleBinding", NAME)
    assert (
        server["spec"]["serviceAccountName"],
        [subject["name"] for subject in binding["subjects"]],
    ) == (
        account,
        [account],
    )
    assert binding["roleRef"]["name"] == one(built, "Role", NAME)["metadata"]["name"]
    assert executor["spec"]["automountServiceAccountToken"] is False
    names = [template["spec"]["containers"][0]["name"] for template in (server, executor)]
    assert names == ["spark-kubernetes-driver", "spark-kubernetes-executor"]
    policy = one(built, "NetworkPolicy", NAME)["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= server["metadata"]["labels"].items()
    executors, steps = policy["ingress"]
    assert executors == {"from": [{"podSelector": {"matchLabels": executor["metadata"]["labels"]}}]}
    assert steps["ports"] == [{"port": SPARK_CONNECT_PORT}]


def test_it_is_locked_down_and_bounded(built: list[Tree]) -> None:
    spec = one(built, "SparkConnect")["spec"]
    for part in ("server", "executor"):
        pod = spec[part]["template"]["spec"]
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (
            True,
            185,
        )
        context = pod["containers"][0]["securityContext"]
        assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert spec[part]["cores"] >= 1 and spec[part]["memory"]
    resources = spec["server"]["template"]["spec"]["containers"][0]["resources"]
    assert {name: set(amounts) for name, amounts in resources.items()} == {
        "requests": {"cpu", "memory"}, "limits": {"cpu", "memory"},
    }  # fmt: skip
    assert spec["sparkConf"]["spark.kubernetes.executor.limit.cores"] == str(
        spec["executor"]["cores"]
    )
