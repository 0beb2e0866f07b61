"""Who reaches whom, by the network policies as Kubernetes reads them: what has to work does, and nothing beside it."""

from typing import Final

import pytest

from tests.support.network import Party, lets
from tests.support.rendered import Tree, pods, rendered

OTHERS: Final = {
    "a step": Party("", {"pipelines.kubeflow.org/v2_component": "true"}),
    "a stranger": Party(""),
    "KFP's API": Party("kubeflow", {"app": "ml-pipeline"}),
    "KFP's store": Party("kubeflow", {"app": "seaweedfs"}),
    "DNS": Party("kube-system"),
    "a gateway": Party("istio-system"),
    "Prometheus": Party("monitoring"),
    "the web shop": Party("front", marks={"dawnlist/caller": "true"}),
    "somebody's pod": Party("elsewhere"),
    "the internet": Party(address="203.0.113.7"),
    "a store outside": Party(address="10.1.2.3"),
    "a load balancer": Party(address="35.191.0.9"),
    "the metadata server": Party(address="169.254.169.254"),
}
"""An empty namespace without an address is the shop's own."""

LOCAL: Final = {
    ("predictor", "redis", 6379), ("a step", "redis", 6379),
    ("housekeeping", "KFP's store", 8333), ("submit", "KFP's API", 8888),
}  # fmt: skip
GKE: Final = {
    ("predictor", "a store outside", 6379), ("a load balancer", "predictor", 8080),
    ("a load balancer", "predictor", 8081), ("housekeeping", "the metadata server", 80),
    ("submit", "KFP's API", 8888),
}  # fmt: skip
ALWAYS: Final = {
    ("a gateway", "predictor", 8080), ("a gateway", "predictor", 8081), ("the web shop", "predictor", 8080),
    ("the web shop", "predictor", 8081), ("Prometheus", "predictor", 8080), ("housekeeping", "the internet", 443),
    ("housekeeping", "the internet", 587), ("housekeeping", "KFP's API", 8888),
    ("housekeeping", "a store outside", 443), ("housekeeping", "a store outside", 587),
    ("housekeeping", "a load balancer", 443), ("housekeeping", "a load balancer", 587),
}  # fmt: skip
MESSAGES: Final = {
    ("predictor", place, port)
    for place in ("the internet", "a store outside", "a load balancer") for port in (443, 587)
}  # fmt: skip
"""What the component predictor-messages adds."""
PORTS: Final = (80, 443, 587, 6379, 8080, 8081, 8333, 8888)


def parties(trees: list[Tree], namespace: str) -> dict[str, Party]:
    """Ours by their component, and all others; whoever has no place is in the shop's namespace."""
    ours = {
        pod.labels["app.kubernetes.io/component"]: Party(namespace, pod.labels)
        for pod in pods(trees)
    }
    here = {
        name: party if party.namespace or party.address else Party(namespace, party.labels)
        for name, party in OTHERS.items()
    }
    return {**ours, **here}


@pytest.mark.parametrize(
    ("layer", "more"),
    [
        (("local",), LOCAL),
        (("profile",), LOCAL),
        (("gke-gpu",), GKE),
        (("local", "predictor-messages"), LOCAL | MESSAGES),
        (("gke-gpu", "predictor-messages"), GKE | MESSAGES),
    ],
    ids=["local", "profile", "gke-gpu", "local+messages", "gke-gpu+messages"],
)
def test_what_is_needed_is_reached_and_nothing_else(
    layer: tuple[str, ...], more: set[tuple[str, str, int]]
) -> None:
    trees = rendered(*layer)
    namespace = trees[0]["metadata"].get("namespace") or trees[0]["metadata"]["name"]
    policies = [tree["spec"] for tree in trees if tree["kind"] == "NetworkPolicy"]
    known = parties(trees, namespace)
    ours = known.keys() - OTHERS.keys()
    reached = {
        (source, target, port)
        for source in known for target in known for port in PORTS
        if source != target and {source, target} & ours
        and lets(policies, "Egress", known[source], known[target], port, namespace)
        and lets(policies, "Ingress", known[target], known[source], port, namespace)
    }  # fmt: skip
    assert reached == ALWAYS | more


GATEWAYS: Final = (
    "istio-system", "istio-ingress", "kserve", "envoy-gateway-system", "kgateway-system", "nginx-gateway",
    "ingress-nginx", "traefik", "projectcontour", "openshift-ingress",
)  # fmt: skip
"""Where the pods of gateways and ingress controllers run that KServe's installation names."""


@pytest.mark.parametrize("port", [8080, 8081, 6379])
@pytest.mark.parametrize("overlay", ["local", "profile", "gke-gpu"])
def test_gateways_of_other_namespaces_reach_the_predictor(overlay: str, port: int) -> None:
    trees = rendered(overlay)
    policies = [tree["spec"] for tree in trees if tree["kind"] == "NetworkPolicy"]
    [predictor] = [pod for pod in pods(trees) if pod.owner == "InferenceService/dawnlist"]
    let_in = {
        namespace
        for namespace in (*GATEWAYS, "kube-system", "elsewhere")
        if lets(
            policies, "Ingress", Party("shop", predictor.labels), Party(namespace), port, "shop"
        )
    }
    assert let_in == (set(GATEWAYS) if port != 6379 else set())


RESOLVERS: Final = {
    "local": ("DNS", "GKE's cache"),
    "profile": ("DNS", "GKE's cache"),
    "gke-gpu": (
        "DNS",
        "GKE's cache",
        "the metadata server",
    ),  # the last one where Cloud DNS has no cache on the nodes
}


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
@pytest.mark.parametrize("overlay", RESOLVERS)
def test_all_of_ours_may_ask_for_names(overlay: str, protocol: str) -> None:
    trees = rendered(overlay)
    policies = [tree["spec"] for tree in trees if tree["kind"] == "NetworkPolicy"]
    known = {**OTHERS, "GKE's cache": Party(address="169.254.20.10")}
    for pod in pods(trees):
        for resolver in RESOLVERS[overlay]:
            assert lets(
                policies, "Egress", Party("shop", pod.labels), known[resolver], 53, "shop", protocol
            ), resolver
