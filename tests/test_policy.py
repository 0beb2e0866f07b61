"""What no manifest may do, whatever it is for; and that each rule notices when one does."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from dawnlist.secret_values import SECRETS_FOLDER
from tests.support.pod_security import CONTROLS, restricted_violations
from tests.support.rendered import LAYERS, Pod, Tree, one, pods, put, rendered, selected

OTHERS: Final[list[dict[str, str]]] = [
    {"pipelines.kubeflow.org/v2_component": "true"},  # the steps
    {"app": "seaweedfs"},  # KFP's store
]
"""Pods in the same namespace that are not ours."""
SPARK: Final = ("SparkConnect/dawnlist-spark/server", "SparkConnect/dawnlist-spark/executor")
"""Spark writes into its own folders, its operator adds probes, and its executors' resources are in its settings."""
CALLERS: Final = (SPARK[0], "CronJob/dawnlist-submit", "CronJob/dawnlist-housekeeping")
"""Spark starts its executors; kfp reads the token to know that it is in a cluster."""
REPLICAS: Final = 2
SECRET_NAME: Final = re.compile(r"PASSWORD|SECRET|TOKEN$|_KEY|NOTIFY_URLS", re.IGNORECASE)
PASSWORD_IN_URL: Final = re.compile(r"\w+://[^/\s@:]*:[^/\s@]+@")

Violations = Iterator[str]


def images_are_pinned(trees: list[Tree]) -> Violations:
    for pod, container in _containers(trees):
        if not re.search(r"[^/]:\d+\.\d+\.\d+$", container["image"]):
            yield f"{pod.owner}: {container['image']} names no version"


def requests_and_limits_are_said(trees: list[Tree]) -> Violations:
    for pod, container in _containers(trees, but=SPARK[1:]):
        for kind in ("requests", "limits"):
            missing = {"cpu", "memory"} - container.get("resources", {}).get(kind, {}).keys()
            yield from (
                f"{pod.owner}: {container['name']} has no {kind} of {name}"
                for name in sorted(missing)
            )


def servers_are_probed(trees: list[Tree]) -> Violations:
    for pod, container in _containers(trees, but=SPARK):
        missing = {"livenessProbe", "readinessProbe"} - container.keys()
        yield from (
            f"{pod.owner}: {container['name']} has no {name}"
            for name in sorted(missing)
            if pod.serves
        )


def nobody_is_privileged(trees: list[Tree]) -> Violations:
    for pod in pods(trees):
        context = pod.spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{pod.owner}: may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pod.owner}: any system call"
    for pod, container in _containers(trees):
        context = container.get("securityContext", {})
        if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
            yield f"{pod.owner}: {container['name']} may become root"
        if context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{pod.owner}: {container['name']} keeps capabilities"
        if context.keys() & {"runAsUser", "runAsNonRoot", "seccompProfile", "procMount"}:
            yield f"{pod.owner}: {container['name']} sets the pod's rules aside"


def pods_pass_restricted(trees: list[Tree]) -> Violations:
    for pod in pods(trees):
        yield from (f"{pod.owner}: {found}" for found in restricted_violations(pod.spec))


def roots_are_read_only(trees: list[Tree]) -> Violations:
    for pod, container in _containers(trees, but=SPARK):
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{pod.owner}: {container['name']} may write to its image"


def nothing_of_the_node_is_used(trees: list[Tree]) -> Violations:
    for pod in pods(trees):
        for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            if pod.spec.get(name):
                yield f"{pod.owner}: {name}"
        for volume in pod.spec.get("volumes", ()):
            if "hostPath" in volume:
                yield f"{pod.owner}: the node's {volume['hostPath']['path']}"
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{pod.owner}: {volume['name']} may fill the node's disk"
        for container in pod.containers:
            yield from (
                f"{pod.owner}: hostPort"
                for port in container.get("ports", ())
                if "hostPort" in port
            )


def secrets_are_named_only(trees: list[Tree]) -> Violations:
    yield from (f"Secret/{tree['metadata']['name']}" for tree in trees if tree["kind"] == "Secret")
    for pod, container in _containers(trees):
        for entry in container.get("env", ()):
            is_secret = SECRET_NAME.search(entry["name"]) and entry["name"] != SECRETS_FOLDER
            if "value" in entry and is_secret:
                yield f"{pod.owner}: the value of {entry['name']}"
    for tree in trees:
        if tree["kind"] == "ConfigMap":
            found = [name for name in tree["data"] if SECRET_NAME.search(name)]
            yield from (f"ConfigMap/{tree['metadata']['name']}: {name}" for name in found)
        for text in _texts(tree):
            if PASSWORD_IN_URL.search(text):
                yield f"{tree['kind']}/{tree['metadata']['name']}: a URL with a password"


def rights_are_few(trees: list[Tree]) -> Violations:
    for tree in trees:
        name = f"{tree['kind']}/{tree['metadata']['name']}"
        if tree["kind"].startswith("ClusterRole"):
            yield f"{name}: rights in the whole cluster"
        for rule in tree.get("rules", ()):
            asked = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            if "*" in asked:
                yield f"{name}: a wildcard"
            if {"escalate", "bind", "impersonate"} & set(asked) or "pods/exec" in asked:
                yield f"{name}: the rights of others"
            for kind in (
                {"secrets", "serviceaccounts"} & set(asked) if not rule.get("resourceNames") else ()
            ):
                yield f"{name}: every one of the namespace's {kind}"


def bindings_and_accounts_exist(trees: list[Tree]) -> Violations:
    there = {(tree["kind"], tree["metadata"]["name"]) for tree in trees}
    for tree in trees:
        if tree["kind"] == "RoleBinding":
            parts = [tree["roleRef"], *tree["subjects"]]
            missing = [part["name"] for part in parts if (part["kind"], part["name"]) not in there]
            yield from (
                f"RoleBinding/{tree['metadata']['name']}: there is no {name}" for name in missing
            )
    for pod in pods(trees):
        account = pod.spec.get("serviceAccountName")
        if account and ("ServiceAccount", account) not in there:
            yield f"{pod.owner}: there is no {account}"


def tokens_are_for_who_needs_them(trees: list[Tree]) -> Violations:
    for pod in pods(trees):
        if pod.owner not in CALLERS and pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.owner}: a token of the cluster's API"


def every_pod_is_isolated(trees: list[Tree]) -> Violations:
    policies = [tree["spec"] for tree in trees if tree["kind"] == "NetworkPolicy"]
    for pod in pods(trees):
        if pod.owner in SPARK:
            continue
        ways = {
            way
            for spec in policies
            if selected(spec["podSelector"], pod.labels)
            for way in spec["policyTypes"]
        }
        yield from (f"{pod.owner}: any {way}" for way in sorted({"Ingress", "Egress"} - ways))


def no_sidecar_is_added(trees: list[Tree]) -> Violations:
    for pod in pods(trees):
        if pod.owner not in SPARK and pod.labels.get("sidecar.istio.io/inject") != "false":
            yield f"{pod.owner}: a sidecar that the policies cut off"


def policies_select_pods_that_exist(trees: list[Tree]) -> Violations:
    ours = [pod.labels for pod in pods(trees)]
    for tree in trees:
        if tree["kind"] != "NetworkPolicy":
            continue
        name, spec = tree["metadata"]["name"], tree["spec"]
        if not any(selected(spec["podSelector"], labels) for labels in ours):
            yield f"{name}: is about no pod"
        for rule in [*spec.get("ingress", ()), *spec.get("egress", ())]:
            if not rule.get("ports") and tree["metadata"]["name"] != "dawnlist-spark":
                yield f"{name}: every port"
            for peer in rule.get("from", []) + rule.get("to", []):
                if peer.keys() == {"podSelector"} and not any(
                    selected(peer["podSelector"], labels) for labels in ours + OTHERS
                ):
                    yield f"{name}: {peer['podSelector']} is no pod"


def a_predictor_is_left(trees: list[Tree]) -> Violations:
    spec = one(trees, "InferenceService")["spec"]["predictor"]
    (pod,) = (pod for pod in pods(trees) if pod.owner.startswith("InferenceService/"))
    if spec["minReplicas"] < REPLICAS:
        yield f"minReplicas is {spec['minReplicas']}"
    budget = one(trees, "PodDisruptionBudget", "dawnlist")["spec"]
    if (
        not selected(budget["selector"], pod.labels)
        or budget["maxUnavailable"] >= spec["minReplicas"]
    ):
        yield "no budget keeps one"
    if spec["deploymentStrategy"]["rollingUpdate"]["maxUnavailable"] != 0:
        yield "an update takes one away"
    spread = spec["topologySpreadConstraints"]
    if {wish["topologyKey"] for wish in spread} != {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }:
        yield "all may be in one place"
    yield from (
        "a spread of no pods" for wish in spread if not selected(wish["labelSelector"], pod.labels)
    )


def jobs_end_and_do_not_overlap(trees: list[Tree]) -> Violations:
    for tree in trees:
        if tree["kind"] == "CronJob":
            name, spec = tree["metadata"]["name"], tree["spec"]
            if (
                spec.get("concurrencyPolicy") != "Forbid"
                or "activeDeadlineSeconds" not in spec["jobTemplate"]["spec"]
            ):
                yield f"{name}: two at a time"
            if spec.get("timeZone") != "Etc/UTC" or len(spec["schedule"].split()) != 5:
                yield f"{name}: no time of the day"


def everything_has_a_place(trees: list[Tree]) -> Violations:
    places = {
        tree["metadata"].get("namespace", "") for tree in trees if tree["kind"] != "Namespace"
    }
    if len(places) != 1 or not places - {"", "default"}:
        yield f"namespaces {sorted(places)}"
    for tree in trees:
        if tree["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") != "dawnlist":
            yield f"{tree['kind']}/{tree['metadata']['name']}: is part of nothing"


RULES: Final[list[Callable[[list[Tree]], Violations]]] = [
    images_are_pinned, requests_and_limits_are_said, servers_are_probed, nobody_is_privileged, pods_pass_restricted,
    roots_are_read_only, nothing_of_the_node_is_used, secrets_are_named_only, rights_are_few,
    bindings_and_accounts_exist,
    tokens_are_for_who_needs_them, every_pod_is_isolated, no_sidecar_is_added, policies_select_pods_that_exist,
    a_predictor_is_left, jobs_end_and_do_not_overlap, everything_has_a_place,
]  # fmt: skip


def _containers(trees: list[Tree], but: tuple[str, ...] = ()) -> Iterator[tuple[Pod, Tree]]:
    for pod in pods(trees):
        if pod.owner not in but:
            yield from ((pod, container) for container in pod.containers)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for element in value.values() if isinstance(value, dict) else value:
            yield from _texts(element)


@pytest.mark.parametrize("layer", LAYERS, ids="+".join)
def test_every_rule_is_kept(layer: tuple[str, ...]) -> None:
    trees = rendered(*layer)
    assert {rule.__name__: found for rule in RULES if (found := list(rule(trees)))} == {}


def test_who_submits_may_have_pods_run_as_the_account_that_it_names() -> None:
    """KFP 2.18 asks Kubernetes whether the caller may `use` it (kubeflow/pipelines#14181)."""
    trees = rendered("local")
    job = one(trees, "CronJob", "dawnlist-submit")["spec"]["jobTemplate"]["spec"]["template"][
        "spec"
    ]
    [named] = [
        word for word in job["containers"][0]["args"] if word.startswith("--service-account=")
    ]
    rule = {
        "apiGroups": [""],
        "resources": ["serviceaccounts"],
        "resourceNames": [named.split("=")[1]],
        "verbs": ["use"],
    }
    assert one(trees, "Role", "dawnlist-submit-account")["rules"] == [rule]


ISVC: Final = "InferenceService/dawnlist spec predictor"
SERVER: Final = f"{ISVC} containers 0"
JOB: Final = "CronJob/dawnlist-housekeeping spec jobTemplate spec template spec"
STORE: Final = "StatefulSet/redis spec template spec"
PART_OF: Final = "app.kubernetes.io/part-of"

BROKEN: Final[list[tuple[str, Any, Callable[[list[Tree]], Violations]]]] = [
    (f"{SERVER} image", "a/b:latest", images_are_pinned),
    (f"{SERVER} image", "a:5000/b", images_are_pinned),
    (f"{SERVER} resources limits memory", None, requests_and_limits_are_said),
    (f"{JOB} containers 0 resources", None, requests_and_limits_are_said),
    (f"{SERVER} livenessProbe", None, servers_are_probed),
    (f"{STORE} containers 0 readinessProbe", None, servers_are_probed),
    (f"{STORE} securityContext runAsUser", 0, nobody_is_privileged),
    (f"{STORE} securityContext runAsNonRoot", None, nobody_is_privileged),
    (f"{STORE} securityContext seccompProfile", None, nobody_is_privileged),
    (f"{JOB} containers 0 securityContext privileged", True, nobody_is_privileged),
    (f"{JOB} containers 0 securityContext allowPrivilegeEscalation", None, nobody_is_privileged),
    (f"{JOB} containers 0 securityContext capabilities add", ["NET_ADMIN"], nobody_is_privileged),
    (f"{JOB} containers 0 securityContext runAsUser", 0, nobody_is_privileged),
    (f"{JOB} securityContext runAsNonRoot", None, pods_pass_restricted),
    (f"{SERVER} securityContext capabilities drop", ["NET_RAW"], pods_pass_restricted),
    (f"{SERVER} securityContext readOnlyRootFilesystem", False, roots_are_read_only),
    (f"{ISVC} hostNetwork", True, nothing_of_the_node_is_used),
    (f"{SERVER} ports 0 hostPort", 8080, nothing_of_the_node_is_used),
    (f"{JOB} volumes 0", {"name": "a", "hostPath": {"path": "/var/run"}}, nothing_of_the_node_is_used),
    (f"{JOB} volumes 2 emptyDir sizeLimit", None, nothing_of_the_node_is_used),
    ("Service/redis kind", "Secret", secrets_are_named_only),
    (f"{STORE} containers 0 env 0", {"name": "REDIS_PASSWORD", "value": "a"}, secrets_are_named_only),
    (f"{STORE} containers 0 env 0", {"name": "SECRETS_FOLDER", "value": "a"}, secrets_are_named_only),
    ("ConfigMap/dawnlist-environment data AWS_SECRET_ACCESS_KEY", "a", secrets_are_named_only),
    (f"{SERVER} args 0", "--redis=redis://:a@b:6379/0", secrets_are_named_only),
    ("Service/redis kind", "ClusterRole", rights_are_few),
    ("Role/dawnlist-submit rules 0 verbs 0", "*", rights_are_few),
    ("Role/dawnlist-submit rules 0 resources 0", "pods/exec", rights_are_few),
    ("Role/dawnlist-submit rules 0 verbs 0", "impersonate", rights_are_few),
    ("Role/dawnlist-submit-account rules 0 resourceNames", None, rights_are_few),
    ("Role/dawnlist-pipeline rules 1 resourceNames", None, rights_are_few),
    ("Role/dawnlist-submit metadata name", "a", bindings_and_accounts_exist),
    (f"{ISVC} serviceAccountName", "a", bindings_and_accounts_exist),
    (f"{ISVC} automountServiceAccountToken", None, tokens_are_for_who_needs_them),
    ("NetworkPolicy/dawnlist spec policyTypes 1", None, every_pod_is_isolated),
    (f"{ISVC} labels sidecar.istio.io/inject", "true", no_sidecar_is_added),
    ("NetworkPolicy/redis spec podSelector matchLabels", {"a": "b"}, policies_select_pods_that_exist),
    ("NetworkPolicy/redis spec ingress 0 from 0 podSelector matchLabels", {"a": "b"}, policies_select_pods_that_exist),
    ("NetworkPolicy/redis spec ingress 0 ports", None, policies_select_pods_that_exist),
    (f"{ISVC} minReplicas", 1, a_predictor_is_left),
    ("PodDisruptionBudget/dawnlist spec selector matchLabels", {"a": "b"}, a_predictor_is_left),
    ("PodDisruptionBudget/dawnlist spec maxUnavailable", 2, a_predictor_is_left),
    (f"{ISVC} deploymentStrategy rollingUpdate maxUnavailable", 1, a_predictor_is_left),
    (f"{ISVC} topologySpreadConstraints 1", None, a_predictor_is_left),
    (f"{ISVC} topologySpreadConstraints 0 labelSelector matchLabels", {"a": "b"}, a_predictor_is_left),
    ("CronJob/dawnlist-submit spec concurrencyPolicy", "Allow", jobs_end_and_do_not_overlap),
    ("CronJob/dawnlist-submit spec schedule", "0 0 3 * * *", jobs_end_and_do_not_overlap),
    ("Service/redis metadata namespace", "default", everything_has_a_place),
    ("Service/redis metadata labels", {}, everything_has_a_place),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "rule"), BROKEN)
def test_a_broken_copy_is_noticed(
    place: str, value: Any, rule: Callable[[list[Tree]], Violations]
) -> None:
    trees = rendered("local")
    put(trees, place, value)
    assert rule.__name__ in {other.__name__ for other in RULES if list(other(trees))}


REFUSED: Final[list[tuple[str, Any, str]]] = [
    (f"{ISVC} hostPID", True, "host_namespaces"),
    (f"{ISVC} securityContext windowsOptions", {"hostProcess": True}, "host_process"),
    (f"{SERVER} securityContext privileged", True, "privileged"),
    (f"{SERVER} securityContext capabilities add", ["SYS_PTRACE"], "capabilities"),
    (f"{SERVER} securityContext capabilities", {}, "capabilities"),
    (f"{ISVC} volumes", [{"name": "a", "nfs": {"server": "b", "path": "/"}}], "volume_types"),
    (f"{SERVER} ports 0 hostPort", 8080, "host_ports"),
    (f"{SERVER} livenessProbe httpGet host", "203.0.113.7", "probe_hosts"),
    (f"{SERVER} securityContext appArmorProfile", {"type": "Unconfined"}, "app_armor"),
    (f"{ISVC} securityContext seLinuxOptions", {"type": "spc_t"}, "selinux"),
    (f"{SERVER} securityContext procMount", "Unmasked", "proc_mount"),
    (f"{ISVC} securityContext sysctls", [{"name": "kernel.msgmax", "value": "1"}], "sysctls"),
    (f"{SERVER} securityContext allowPrivilegeEscalation", None, "privilege_escalation"),
    (f"{ISVC} securityContext runAsNonRoot", None, "non_root"),
    (f"{SERVER} securityContext runAsNonRoot", False, "non_root"),
    (f"{SERVER} securityContext runAsUser", 0, "non_root"),
    (f"{ISVC} securityContext seccompProfile", None, "seccomp"),
    (f"{SERVER} securityContext seccompProfile", {"type": "Unconfined"}, "seccomp"),
]  # fmt: skip
ALLOWED: Final[list[tuple[str, Any]]] = [
    (f"{SERVER} securityContext capabilities add", ["NET_BIND_SERVICE"]),
    (f"{ISVC} volumes", [{"name": "a", "persistentVolumeClaim": {"claimName": "b"}}]),
    (f"{ISVC} securityContext seLinuxOptions", {"type": "container_t", "level": "s0:c1"}),
    (f"{ISVC} securityContext sysctls", [{"name": "net.ipv4.tcp_rmem", "value": "1"}]),
    (f"{SERVER} securityContext seccompProfile", {"type": "Localhost", "localhostProfile": "a"}),
    (f"{SERVER} securityContext runAsUser", 1),
]


def predictor_with(place: str, value: Any) -> Tree:
    trees = rendered("profile")
    put(trees, place, value)
    [pod] = [pod for pod in pods(trees) if pod.owner == "InferenceService/dawnlist"]
    return pod.spec


@pytest.mark.parametrize(("place", "value", "control"), REFUSED)
def test_each_control_of_restricted_refuses_what_it_is_about(
    place: str, value: Any, control: str
) -> None:
    spec = predictor_with(place, value)
    assert {rule.__name__ for rule in CONTROLS if list(rule(spec))} == {control}


@pytest.mark.parametrize(("place", "value"), ALLOWED)
def test_restricted_lets_through_what_it_allows(place: str, value: Any) -> None:
    assert restricted_violations(predictor_with(place, value)) == []


def test_each_control_of_restricted_is_shown_to_refuse() -> None:
    assert {name for _, _, name in REFUSED} == {rule.__name__ for rule in CONTROLS}


def test_every_rule_is_shown_to_notice() -> None:
    assert {rule for _, _, rule in BROKEN} == set(RULES)
