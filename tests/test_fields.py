"""The merging of tests/support/kube_api.py's server, by examples of Kubernetes' page on server-side apply."""

from typing import Any

import pytest

from tests.support.fields import leaves, tree_of
from tests.support.kube_state import KubeState, Refused


def deployment(name: str = "web", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def with_ports(*ports: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "web", "image": "web:1.0.0", "ports": list(ports)}
    pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    return deployment(selector={"matchLabels": {"app": "web"}}, template=pod)


def apply(state: KubeState, tree: dict[str, Any], manager: str, **query: str) -> dict[str, Any]:
    return state.apply(
        tree["kind"], "default", tree["metadata"]["name"], tree, {"fieldManager": manager, **query}
    )


@pytest.fixture
def state() -> KubeState:
    state = KubeState()
    state.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    return state


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def test_lists_are_told_apart_as_the_schema_says() -> None:
    tree = with_ports({"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"})
    container = ("spec", "template", "spec", "containers", (("name", "web"),))
    ports = {
        path[len(container) :]: value for path, value in leaves(tree).items() if "ports" in path
    }
    assert ports == {
        ("ports", (("containerPort", 80), ("protocol", "TCP")), "containerPort"): 80,
        ("ports", (("containerPort", 80), ("protocol", "UDP")), "containerPort"): 80,
        ("ports", (("containerPort", 80), ("protocol", "UDP")), "protocol"): "UDP",
    }
    arguments = deployment(template={"spec": {"containers": [{"name": "a", "args": ["x", "y"]}]}})
    assert ["x", "y"] in leaves(arguments).values()


def test_leaves_make_the_tree_again() -> None:
    tree = with_ports({"containerPort": 80, "protocol": "TCP"})
    tree["spec"]["strategy"] = {}
    assert tree_of(leaves(tree), tree) == tree


def test_a_field_that_is_not_applied_any_more_is_gone_but_for_other_owners(
    state: KubeState,
) -> None:
    apply(state, config_map(a="1", b="1"), "one")
    apply(state, config_map(b="1", c="1"), "two")
    assert apply(state, config_map(), "one")["data"] == {"b": "1", "c": "1"}
    assert apply(state, config_map(c="1"), "two")["data"] == {"c": "1"}


def test_a_conflict_names_the_field_and_its_owner(state: KubeState) -> None:
    apply(state, with_ports({"containerPort": 80}), "one")
    other = with_ports({"containerPort": 80})
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2.0.0"
    with pytest.raises(Refused) as refused:
        apply(state, other, "two")
    assert refused.value.causes == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "one"',
            "field": '.spec.template.spec.containers[name="web"].image',
        }
    ]
    assert (
        apply(state, other, "two", force="True")["spec"]["template"]["spec"]["containers"][0][
            "image"
        ]
        == "web:2.0.0"
    )


def test_an_element_goes_with_its_defaults(state: KubeState) -> None:
    first = apply(state, with_ports({"containerPort": 80}, {"containerPort": 81}), "one")
    assert first["spec"]["template"]["spec"]["containers"][0]["ports"] == [
        {"containerPort": 80, "protocol": "TCP"},
        {"containerPort": 81, "protocol": "TCP"},
    ]
    second = apply(state, with_ports({"containerPort": 81}), "one")
    assert second["spec"]["template"]["spec"]["containers"][0]["ports"] == [
        {"containerPort": 81, "protocol": "TCP"}
    ]


def test_the_same_again_moves_no_number_and_a_dry_run_keeps_nothing(state: KubeState) -> None:
    first = apply(state, config_map(a="1"), "one")["metadata"]
    assert apply(state, config_map(a="1"), "one")["metadata"] == first
    assert apply(state, config_map(a="2"), "one", dryRun="All")["data"] == {"a": "2"}
    assert state.get("ConfigMap", "a", "default")["data"] == {"a": "1"}


def test_what_the_schema_does_not_know_is_refused(state: KubeState) -> None:
    with pytest.raises(Refused, match="dataa"):
        apply(state, {**config_map(), "dataa": {}}, "one")
    with pytest.raises(Refused, match="fieldManager: Required value"):
        apply(state, config_map(), "")
    subject = {"kind": "ServiceAccount", "name": "a"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"}
    head = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "a"},
    }
    with pytest.raises(Refused, match=r"subjects\[0\].namespace: Required value"):
        apply(state, {**head, "subjects": [subject], "roleRef": role}, "one")
