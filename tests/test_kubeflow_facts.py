"""Our manifests against Kubeflow's: the store of each version, its policies, and what a profile's owner may."""

from typing import Any

import pytest

from dawnlist.pipelines.deploy.cluster import KubernetesCluster, connect_to_kubernetes
from dawnlist.pipelines.deploy.object_store import choose_object_store
from tests.support.kube_api import KINDS, KubeApi, kube_api, kubeconfig
from tests.support.kubeflow_facts import (
    API_POLICY,
    KUBEFLOW,
    PIPELINES,
    PROFILE_LABELS,
    PROFILE_OBJECTS,
    PROFILE_PREFIXES,
    PipelinesFacts,
    may,
)
from tests.support.network import Party, lets
from tests.support.rendered import Tree, one, pods, rendered

ENDPOINT = "AWS_ENDPOINT_URL"
SUPPORTED = PIPELINES[1:]
STEP = {"pipelines.kubeflow.org/v2_component": "true"}
PROFILE = "team-a"


def endpoint_of(trees: list[Tree]) -> str:
    return str(one(trees, "ConfigMap", "dawnlist-environment")["data"][ENDPOINT])


@pytest.fixture
def api(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    with kube_api() as api:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(api, tmp_path / "kubeconfig")))
        yield api


def connect() -> KubernetesCluster:
    return connect_to_kubernetes("", "")


def install(api: KubeApi, facts: PipelinesFacts) -> None:
    for name, service in facts.services.items():
        metadata = {"name": name, "namespace": KUBEFLOW}
        api.put({"apiVersion": "v1", "kind": "Service", "metadata": metadata, **service})


@pytest.mark.parametrize("overlay", ["local", "profile"])
@pytest.mark.parametrize("facts", PIPELINES, ids=lambda facts: facts.version)
def test_deploy_finds_the_store_of_each_version(
    api: KubeApi, facts: PipelinesFacts, overlay: str
) -> None:
    install(api, facts)
    choice = choose_object_store(connect(), rendered(overlay))
    assert endpoint_of(choice.documents) == facts.endpoint
    assert choice.message.startswith(f"the lake's store is {facts.endpoint}: ")
    host, _, port = facts.endpoint.removeprefix("http://").partition(":")
    [target] = [
        entry["targetPort"]
        for entry in facts.services[host.split(".")[0]]["spec"]["ports"]
        if entry["port"] == int(port)
    ]
    assert target == facts.pod_port


def test_an_old_service_that_an_upgrade_left_is_not_chosen(api: KubeApi) -> None:
    for facts in (PIPELINES[0], PIPELINES[-1]):
        install(api, facts)
    choice = choose_object_store(connect(), rendered("local"))
    assert (choice.expected, endpoint_of(choice.documents)) == (True, PIPELINES[-1].endpoint)


def test_a_store_of_ones_own_is_left_alone(api: KubeApi) -> None:
    trees = rendered("local")
    data = one(trees, "ConfigMap", "dawnlist-environment")["data"]
    for endpoint in (
        "https://s3.example",
        "http://seaweedfs.kubeflow:8333",
        "http://seaweedfs:9000",
    ):
        data[ENDPOINT] = endpoint
        choice = choose_object_store(connect(), trees)
        assert (choice.documents, choice.message) == (trees, "")
    data[ENDPOINT] = "http://minio-service.storage.svc.cluster.local:9000"
    metadata = {"name": "seaweedfs", "namespace": "storage"}
    api.put(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"port": 9000}]},
        }
    )
    chosen = choose_object_store(connect(), trees).documents
    assert endpoint_of(chosen) == "http://seaweedfs.storage.svc.cluster.local:9000"


def test_manifests_are_of_the_newest_version_without_deploy() -> None:
    for overlay in ("local", "profile"):
        assert endpoint_of(rendered(overlay)) == PIPELINES[-1].endpoint
        assert endpoint_of(rendered(overlay, "kfp-2.15")) == SUPPORTED[0].endpoint


def components(trees: list[Tree]) -> dict[str, dict[str, str]]:
    """The labels of our pods by component."""
    return {pod.labels["app.kubernetes.io/component"]: pod.labels for pod in pods(trees)}


PAIRS = {
    ("housekeeping", "store"), ("housekeeping", "API"), ("a step", "store"), ("a step", "API"), ("submit", "API"),
}  # fmt: skip
"""Who has to reach what of Kubeflow Pipelines. Steps are not isolated by us, so theirs is KFP's word alone."""


def reached(
    overlay: str, facts: PipelinesFacts, namespace: str, marks: dict[str, str]
) -> set[tuple[str, str]]:
    """Which of our pods reach the store's pods and the API's, by our policies and by Kubeflow's."""
    trees = rendered(overlay)
    ours = [tree["spec"] for tree in trees if tree["kind"] == "NetworkPolicy"]
    theirs = list(facts.policies)
    if namespace != KUBEFLOW:
        theirs.append(API_POLICY)
    sources = {name: Party(namespace, labels, marks) for name, labels in components(trees).items()}
    sources["a step"] = Party(namespace, STEP, marks)
    targets = {
        "store": (Party(KUBEFLOW, facts.pod_labels), facts.pod_port),
        "API": (Party(KUBEFLOW, {"app": "ml-pipeline"}), 8888),
    }
    return {
        (source, target)
        for source, party in sources.items()
        for target, (other, port) in targets.items()
        if lets(ours, "Egress", party, other, port, namespace)
        and lets(theirs, "Ingress", other, party, port, KUBEFLOW)
    }


@pytest.mark.parametrize("facts", SUPPORTED, ids=lambda facts: facts.version)
def test_pods_reach_what_they_need_of_kubeflow_and_nothing_else(facts: PipelinesFacts) -> None:
    assert reached("local", facts, KUBEFLOW, {}) == PAIRS
    assert reached("profile", facts, PROFILE, PROFILE_LABELS) == PAIRS


@pytest.mark.parametrize("facts", SUPPORTED, ids=lambda facts: facts.version)
def test_a_namespace_without_the_label_of_profiles_is_kept_out(facts: PipelinesFacts) -> None:
    assert reached("profile", facts, PROFILE, {}) == set()


def test_a_profile_keeps_its_lake_where_its_key_opens_the_bucket() -> None:
    trees = rendered("profile")
    [shop] = [
        tree["data"]
        for tree in trees
        if tree["kind"] == "ConfigMap" and "DAWNLIST_LAKE" in tree["data"]
    ]
    [namespace] = {tree["metadata"]["namespace"] for tree in trees}
    assert shop["DAWNLIST_PROFILE"] == namespace
    bucket, _, key = shop["DAWNLIST_LAKE"].removeprefix("s3://").partition("/")
    allowed = [prefix.format(profile=namespace) for prefix in PROFILE_PREFIXES]
    [prefix] = [prefix for prefix in allowed if key.startswith(prefix)]
    assert (bucket, prefix) == ("mlpipeline", f"private/{namespace}/")


def plural_of(tree: Tree) -> tuple[str, str]:
    """An object's API group and the plural of its kind."""
    return tree["apiVersion"].rpartition("/")[0], KINDS[tree["apiVersion"]][tree["kind"]]


def escalations(trees: list[Tree]) -> list[str]:
    """The rights that a profile's owner would give away without having them, which Kubernetes refuses."""
    return [
        f"{tree['metadata']['name']}: {verb} {resource}"
        for tree in trees
        if tree["kind"] == "Role"
        for rule in tree["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if not may(group, resource, verb)
    ]


def test_the_owner_of_a_profile_may_apply_all_of_its_overlay() -> None:
    trees = rendered("profile")
    refused = [
        f"{verb} {'/'.join(plural_of(tree))}"
        for tree in trees
        for verb in ("get", "create", "patch")
        if not may(*plural_of(tree), verb)
    ]
    assert refused == []
    assert escalations(trees) == []
    roles = {tree["metadata"]["name"] for tree in trees if tree["kind"] == "Role"}
    bound = {tree["roleRef"]["name"] for tree in trees if tree["kind"] == "RoleBinding"}
    assert bound <= roles


def test_what_only_an_administrator_may_grant_is_one_component() -> None:
    assert escalations(rendered("profile", "admin-rights")) == [
        "dawnlist-pipeline-agent: get workflowtasksets",
        "dawnlist-pipeline-agent: list workflowtasksets",
        "dawnlist-pipeline-agent: watch workflowtasksets",
        "dawnlist-pipeline-agent: patch workflowtasksets",
        "dawnlist-pipeline-agent: patch workflowtasksets/status",
        "dawnlist-submit-account: use serviceaccounts",
    ]


def test_the_steps_may_read_what_kubeflow_makes_in_a_profile() -> None:
    kinds = {"configmaps": "ConfigMap", "secrets": "Secret"}
    readable = {
        (kinds[resource], name)
        for rule in one(rendered("profile"), "Role", "dawnlist-pipeline")["rules"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ())
        if "get" in rule["verbs"]
    }
    assert readable == PROFILE_OBJECTS
