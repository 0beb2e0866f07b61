"""What a Kubernetes API server keeps: objects held against their schemas, fields owned by who applied them.

It plays the controllers, too: with each look at a workload one more pod is ready. What it can't be: admission, RBAC,
and all defaults; a few are set, so that what stands is never just what was applied.
"""

import copy
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from tests.support.fields import Leaves, Tree, element_of, leaves, tree_of, written
from tests.support.schemas import problems

IMMUTABLE: Final = ("serviceName", "selector", "volumeClaimTemplates")


@dataclass
class Stored:
    """An object, and which of its leaves each manager has applied."""

    tree: Tree
    owners: dict[str, set[Any]] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818
    """An answer that is a Status."""

    def __init__(
        self, code: int, reason: str, message: str, causes: list[Tree] | None = None
    ) -> None:
        super().__init__(message)
        self.causes = causes
        details = {"details": {"causes": causes}} if causes else {}
        self.code = code
        self.status = {
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason,
            "message": message, **details,
        }  # fmt: skip


@dataclass
class KubeState:
    """The objects of a cluster, and what is done to them."""

    objects: dict[tuple[str, str | None, str], Stored] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    """kind/name of workloads that make no progress."""
    version: int = 0

    def put(self, tree: Tree, manager: str = "") -> None:
        """Place an object as it is; its leaves belong to `manager`, if there is one."""
        namespace, name = tree["metadata"].get("namespace"), tree["metadata"]["name"]
        owners = {manager: set(leaves(tree))} if manager else {}
        self.version += 1
        meta = {"uid": f"uid-{self.version}", "resourceVersion": str(self.version), "generation": 1}
        tree = {**tree, "metadata": {**meta, **tree["metadata"]}}
        self.objects[tree["kind"], namespace, name] = Stored(tree, owners)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Tree:
        """An object as it stands."""
        return self.objects[kind, namespace, name].tree

    def apply(
        self, kind: str, namespace: str | None, name: str, body: Tree, query: dict[str, str]
    ) -> Tree:
        """Server-side apply."""
        _checked(kind, namespace, name, body, query)
        if namespace and ("Namespace", None, namespace) not in self.objects:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        key = (kind, namespace, name)
        stored = copy.deepcopy(self.objects.get(key)) or Stored(
            {**body, "metadata": {"name": name}}
        )
        is_new, manager = key not in self.objects, query["fieldManager"]
        before, wanted = ({}, leaves(body)) if is_new else (leaves(stored.tree), leaves(body))
        after = _merged(before, wanted, stored.owners, manager, query.get("force") == "True")
        tree = tree_of(after, body)
        tree["metadata"] |= {"namespace": namespace} if namespace else {}
        _defaulted(tree)
        tree = self._numbered(None if is_new else stored.tree, tree)
        _refuse_immutable(None if is_new else stored.tree, tree)
        tree["metadata"]["managedFields"] = [
            {"manager": one, "operation": "Apply"} for one in stored.owners
        ]
        if "dryRun" not in query:
            self.objects[key] = Stored(tree, stored.owners)
        return tree

    def _numbered(self, before: Tree | None, tree: Tree) -> Tree:
        """With the numbers that the server keeps: they move when the object does."""
        old = (before or {}).get("metadata") or {}
        kept = {name: old[name] for name in ("uid", "resourceVersion", "generation") if name in old}
        tree["metadata"] |= kept
        if before is None or leaves(before) != leaves(tree):
            self.version += 1
            changed = before is not None and before.get("spec") != tree.get("spec")
            generation = (
                old.get("generation", 0) + 1 if before is None or changed else old["generation"]
            )
            number = str(self.version)
            tree["metadata"] |= {"resourceVersion": number, "generation": generation}
            tree["metadata"].setdefault("uid", f"uid-{number}")
        return tree

    def seen(self, stored: Stored) -> Tree:
        """An object as a get shows it; workloads have come one pod nearer since the last look."""
        tree = copy.deepcopy(stored.tree)
        if f"{tree['kind'].lower()}/{tree['metadata']['name']}" not in self.held:
            _come_nearer(self, stored.tree)
        return tree


def _checked(
    kind: str, namespace: str | None, name: str, body: Tree, query: dict[str, str]
) -> None:
    if not query.get("fieldManager"):
        raise Refused(
            400, "BadRequest", "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value"
        )
    if query.get("dryRun", "All") != "All":
        raise Refused(422, "Invalid", f"dryRun: Unsupported value: {query['dryRun']}")
    meta = body.get("metadata") or {}
    if (body.get("kind"), meta.get("name")) != (kind, name) or meta.get(
        "namespace", namespace
    ) != namespace:
        raise Refused(400, "BadRequest", "the object does not match the path of the request")
    if "managedFields" in meta:
        raise Refused(400, "BadRequest", "metadata.managedFields must be nil")
    if found := _problems(json.dumps(body)):
        raise Refused(422, "Invalid", f'{kind} "{name}" is invalid: {"; ".join(found)}')
    for subject in body.get("subjects") or []:
        if subject["kind"] == "ServiceAccount" and not subject.get("namespace"):
            raise Refused(
                422, "Invalid", f'{kind} "{name}" is invalid: subjects[0].namespace: Required value'
            )


@cache
def _problems(body: str) -> list[str]:
    return problems(json.loads(body))


def _merged(
    before: Leaves, wanted: Leaves, owners: dict[str, set[Any]], manager: str, force: bool
) -> Leaves:
    """The leaves after an apply; `owners` becomes who owns them. Refused when others own what would change."""
    others = {one: paths for one, paths in owners.items() if one != manager}
    taken = [
        (one, path)
        for one, paths in others.items()
        for path in paths
        if path in wanted and before[path] != wanted[path]
    ]
    if taken and not force:
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{one}"',
                "field": written(path),
            }
            for one, path in taken
        ]
        many = f"Apply failed with {len(taken)} conflict{'s' * (len(taken) > 1)}"
        raise Refused(
            409, "Conflict", f"{many}: {causes[0]['message']}: {causes[0]['field']}", causes
        )
    for one, path in taken:
        owners[one].discard(path)
    gone = (
        owners.get(manager, set())
        - set(wanted)
        - {path for paths in others.values() for path in paths}
    )
    elements = {element for path in gone if (element := element_of(path))}
    kept = {
        path: value
        for path, value in before.items()
        if path not in gone and not any(path[: len(element)] == element for element in elements)
    }
    owners[manager] = set(wanted)
    after = kept | wanted
    filled = {path[:length] for path in after for length in range(len(path))}
    return {path: value for path, value in after.items() if path not in filled}


def _defaulted(tree: Tree) -> None:
    """A few of the defaults that the server fills in."""
    kind, spec = tree["kind"], tree.get("spec") or {}
    if kind in ("Deployment", "StatefulSet"):
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("replicas", 1)
        _default_pod(spec["template"]["spec"])
    elif kind == "CronJob":
        spec.setdefault("suspend", False)
        _default_pod(spec["jobTemplate"]["spec"]["template"]["spec"])
    elif kind == "Service":
        for port in spec.get("ports") or []:
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("clusterIP", "10.0.0.7")


def _default_pod(pod: Tree) -> None:
    pod.setdefault("terminationGracePeriodSeconds", 30)
    pod.setdefault("dnsPolicy", "ClusterFirst")
    for container in pod["containers"]:
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")


def _refuse_immutable(before: Tree | None, tree: Tree) -> None:
    if before is None or tree["kind"] != "StatefulSet":
        return
    if any(before["spec"].get(name) != tree["spec"].get(name) for name in IMMUTABLE):
        name = tree["metadata"]["name"]
        raise Refused(
            422, "Invalid", f'StatefulSet.apps "{name}" is invalid: spec: Forbidden: updates to statefulset spec for '
            "fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
        )  # fmt: skip


def _come_nearer(state: KubeState, tree: Tree) -> None:
    kind, meta, status = tree["kind"], tree["metadata"], tree.setdefault("status", {})
    if kind in ("Deployment", "StatefulSet"):
        wanted = tree["spec"].get("replicas", 1)
        up = (
            status.get("updatedReplicas", 0)
            if status.get("observedGeneration") == meta["generation"]
            else 0
        )
        now = min(up + 1, wanted)
        status |= {
            "observedGeneration": meta["generation"],
            "replicas": wanted,
            "updatedReplicas": now,
        }
        available = max(
            now, min(status.get("availableReplicas", 0), wanted)
        )  # old pods answer until new ones do
        status |= {"availableReplicas": available, "readyReplicas": available}
    elif kind == "PersistentVolumeClaim":
        status["phase"] = "Bound" if "phase" in status else "Pending"
    elif kind == "InferenceService":
        _serve(state, tree)


def _serve(state: KubeState, tree: Tree) -> None:
    """KServe in Standard mode: a Deployment, and a Ready that says only whether that one is available."""
    meta, status = tree["metadata"], tree["status"]
    key = ("Deployment", meta["namespace"], f"{meta['name']}-predictor")
    if key not in state.objects:
        spec = {"replicas": tree["spec"]["predictor"].get("minReplicas", 1)}
        named = {"name": key[2], "namespace": meta["namespace"]}
        state.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named, "spec": spec})
    deployment = state.objects[key].tree
    up = (deployment.get("status") or {}).get("availableReplicas", 0)
    ready = up >= deployment["spec"]["replicas"]
    words = (
        {"status": "True"} if ready else {"status": "False", "reason": "MinimumReplicasUnavailable"}
    )
    status |= {
        "conditions": [{"type": "Ready", **words}],
        "observedGeneration": deployment["metadata"]["generation"],
    }
