"""Network policies as Kubernetes reads them: who reaches whom."""

import ipaddress
from dataclasses import dataclass, field

from tests.support.rendered import Tree, selected


@dataclass(frozen=True)
class Party:
    """A pod of some namespace, or an address outside."""

    namespace: str = ""
    """Its name; empty: an address."""
    labels: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    """The namespace's own labels."""
    address: str = ""


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
            for wish in rule.get("ports", [{"port": port, "protocol": protocol}])
        )
        for rule in rules
    )
