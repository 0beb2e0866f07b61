"""Who reaches whom, by the network policies as Kubernetes reads them: what has to work does, and nothing beside it."""

import ipaddress
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.support.rendered import Tree, pods, rendered, selected


@dataclass(frozen=True)
class Party:
    """A pod of some namespace, or an address outside."""

    namespace: str = ""
    """Its name; empty: an address."""
    labels: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    """The namespace's own labels."""
    address: str = ""


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
    ("the web shop", "predictor", 8081), ("Prometheus", "predictor", 8080), ("predictor", "the internet", 443),
    ("predictor", "the internet", 587), ("housekeeping", "the internet", 443), ("predictor", "a store outside", 443),
    ("predictor", "a store outside", 587), ("housekeeping", "a store outside", 443),
    ("predictor", "a load balancer", 443), ("predictor", "a load balancer", 587),
    ("housekeeping", "a load balancer", 443),
}  # fmt: skip
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


def matches(peer: Tree, party: Party, namespace: str) -> bool:
    """Whether a policy's peer is this party."""
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        inside = bool(party.address) and _in(party.address, block["cidr"])
        return inside and not any(_in(party.address, cidr) for cidr in block.get("except", ()))
    if not party.namespace:
        return False
    marks = {"kubernetes.io/metadata.name": party.namespace, **party.marks}
    place = (
        selected(peer["namespaceSelector"], marks)
        if "namespaceSelector" in peer
        else party.namespace == namespace
    )
    return place and selected(peer.get("podSelector", {}), party.labels)


def _in(address: str, cidr: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def lets(
    policies: list[Tree],
    way: str,
    one: Party,
    other: Party,
    port: int,
    namespace: str,
    protocol: str = "TCP",
) -> bool:
    """Whether the policies about one party let the traffic with the other through; nobody's are about all others."""
    about = [
        spec for spec in policies
        if one.namespace == namespace and way in spec["policyTypes"] and selected(spec["podSelector"], one.labels)
    ]  # fmt: skip
    side = "to" if way == "Egress" else "from"
    rules = [rule for spec in about for rule in spec.get(way.lower(), ())]
    return not about or any(
        any(matches(peer, other, namespace) for peer in rule[side])
        and any(
            wish["port"] == port and wish.get("protocol", "TCP") == protocol
            for wish in rule["ports"]
        )
        for rule in rules
    )


@pytest.mark.parametrize(("overlay", "more"), [("local", LOCAL), ("gke-gpu", GKE)])
def test_what_is_needed_is_reached_and_nothing_else(
    overlay: str, more: set[tuple[str, str, int]]
) -> None:
    trees = rendered(overlay)
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


RESOLVERS: Final = {
    "local": ("DNS", "GKE's cache"),
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
