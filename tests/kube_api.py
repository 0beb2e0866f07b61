"""A Kubernetes API server as far as `dawnlist deploy` needs one: discovery, get, list, delete, server-side apply.

It keeps state, holds every object against its schema (tests/schemas.py), refuses what the API does not define (paths,
query names, methods), owns fields by manager, and plays the controllers: with each look at a workload one more pod is
ready. What it can't be: admission, RBAC, and all defaults; a few defaults are set, so that what stands is never just
what was applied.
"""

import copy
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import yaml

from tests.fields import Leaves, Tree, element_of, leaves, tree_of, written
from tests.schemas import problems

KINDS: Final = {
    "v1": {
        "Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "ConfigMap": "configmaps",
        "Secret": "secrets", "Service": "services", "PersistentVolumeClaim": "persistentvolumeclaims",
        "Pod": "pods", "Event": "events",
    },
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "batch/v1": {"CronJob": "cronjobs", "Job": "jobs"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies"},
    "rbac.authorization.k8s.io/v1": {"Role": "roles", "RoleBinding": "rolebindings"},
    "serving.kserve.io/v1beta1": {"InferenceService": "inferenceservices"},
    "serving.kserve.io/v1alpha1": {"ServingRuntime": "servingruntimes"},
    "monitoring.coreos.com/v1": {"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"},
    "keda.sh/v1alpha1": {"ScaledObject": "scaledobjects", "TriggerAuthentication": "triggerauthentications"},
    "sparkoperator.k8s.io/v1alpha1": {"SparkConnect": "sparkconnects"},
}  # fmt: skip
PATH: Final = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>\w+)"
    r"(?:/(?P<name>[^/]+))?"
)
QUERIES: Final = {
    "GET": {"labelSelector", "fieldSelector", "limit"},
    "PATCH": {"fieldManager", "force", "dryRun", "fieldValidation"},
    "DELETE": {"propagationPolicy"},
}
EVENT_FIELDS: Final = {"involvedObject.kind", "involvedObject.name", "type", "reason", "metadata.name"}
TOKEN: Final = "a-token-of-a-test"
IMMUTABLE: Final = ("serviceName", "selector", "volumeClaimTemplates")


@dataclass
class Stored:
    """An object, and which of its leaves each manager has applied."""

    tree: Tree
    owners: dict[str, set[Any]] = field(default_factory=dict)


@dataclass
class Fault:
    """What the server does instead, to requests that fit."""

    method: str
    path: str
    """A regular expression for path and query."""
    status: int = 0
    """0: close the connection."""
    body: str = ""
    seconds: float = 0
    times: int = 1_000_000


class Refused(Exception):  # noqa: N818
    """An answer that is a Status."""

    def __init__(self, code: int, reason: str, message: str, causes: list[Tree] | None = None) -> None:
        super().__init__(message)
        details = {"details": {"causes": causes}} if causes else {}
        self.code = code
        self.status = {
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason,
            "message": message, **details,
        }  # fmt: skip


@dataclass
class KubeApi:
    """A server that is up, and what tests look at and change."""

    url: str = ""
    objects: dict[tuple[str, str | None, str], Stored] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    """API groups that are not installed."""
    held: set[str] = field(default_factory=set)
    """kind/name of workloads that make no progress."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
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

    def apply(self, kind: str, namespace: str | None, name: str, body: Tree, query: dict[str, str]) -> Tree:
        """Server-side apply."""
        _checked(kind, namespace, name, body, query)
        if namespace and ("Namespace", None, namespace) not in self.objects:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        key = (kind, namespace, name)
        stored = copy.deepcopy(self.objects.get(key)) or Stored({**body, "metadata": {"name": name}})
        is_new, manager = key not in self.objects, query["fieldManager"]
        before, wanted = ({}, leaves(body)) if is_new else (leaves(stored.tree), leaves(body))
        after = _merged(before, wanted, stored.owners, manager, query.get("force") == "True")
        tree = tree_of(after, body)
        tree["metadata"] |= {"namespace": namespace} if namespace else {}
        _defaulted(tree)
        tree = self._numbered(None if is_new else stored.tree, tree)
        _refuse_immutable(None if is_new else stored.tree, tree)
        tree["metadata"]["managedFields"] = [{"manager": one, "operation": "Apply"} for one in stored.owners]
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
            generation = old.get("generation", 0) + 1 if before is None or changed else old["generation"]
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


def _checked(kind: str, namespace: str | None, name: str, body: Tree, query: dict[str, str]) -> None:
    if not query.get("fieldManager"):
        raise Refused(400, "BadRequest", "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
    if query.get("dryRun", "All") != "All":
        raise Refused(422, "Invalid", f"dryRun: Unsupported value: {query['dryRun']}")
    meta = body.get("metadata") or {}
    if (body.get("kind"), meta.get("name")) != (kind, name) or meta.get("namespace", namespace) != namespace:
        raise Refused(400, "BadRequest", "the object does not match the path of the request")
    if "managedFields" in meta:
        raise Refused(400, "BadRequest", "metadata.managedFields must be nil")
    if found := _problems(json.dumps(body)):
        raise Refused(422, "Invalid", f'{kind} "{name}" is invalid: {"; ".join(found)}')
    for subject in body.get("subjects") or []:
        if subject["kind"] == "ServiceAccount" and not subject.get("namespace"):
            raise Refused(422, "Invalid", f'{kind} "{name}" is invalid: subjects[0].namespace: Required value')


@cache
def _problems(body: str) -> list[str]:
    return problems(json.loads(body))


def _merged(before: Leaves, wanted: Leaves, owners: dict[str, set[Any]], manager: str, force: bool) -> Leaves:
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
            {"reason": "FieldManagerConflict", "message": f'conflict with "{one}"', "field": written(path)}
            for one, path in taken
        ]
        many = f"Apply failed with {len(taken)} conflict{'s' * (len(taken) > 1)}"
        raise Refused(409, "Conflict", f"{many}: {causes[0]['message']}: {causes[0]['field']}", causes)
    for one, path in taken:
        owners[one].discard(path)
    gone = owners.get(manager, set()) - set(wanted) - {path for paths in others.values() for path in paths}
    elements = {element for path in gone if (element := element_of(path))}
    kept = {
        path: value
        for path, value in before.items()
        if path not in gone and not any(path[: len(element)] == element for element in elements)
    }
    empty = {path for path, value in kept.items() if value in ({}, []) and any(_within(new, path) for new in wanted)}
    owners[manager] = set(wanted)
    return {path: value for path, value in kept.items() if path not in empty} | wanted


def _within(path: Any, other: Any) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


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


def _come_nearer(api: KubeApi, tree: Tree) -> None:
    kind, meta, status = tree["kind"], tree["metadata"], tree.setdefault("status", {})
    if kind in ("Deployment", "StatefulSet"):
        wanted = tree["spec"].get("replicas", 1)
        up = status.get("updatedReplicas", 0) if status.get("observedGeneration") == meta["generation"] else 0
        now = min(up + 1, wanted)
        status |= {"observedGeneration": meta["generation"], "replicas": wanted, "updatedReplicas": now}
        available = max(now, min(status.get("availableReplicas", 0), wanted))  # old pods answer until new ones do
        status |= {"availableReplicas": available, "readyReplicas": available}
    elif kind == "PersistentVolumeClaim":
        status["phase"] = "Bound" if "phase" in status else "Pending"
    elif kind == "InferenceService":
        _serve(api, tree)


def _serve(api: KubeApi, tree: Tree) -> None:
    """KServe in Standard mode: a Deployment, and a Ready that says only whether that one is available."""
    meta, status = tree["metadata"], tree["status"]
    key = ("Deployment", meta["namespace"], f"{meta['name']}-predictor")
    if key not in api.objects:
        spec = {"replicas": tree["spec"]["predictor"].get("minReplicas", 1)}
        named = {"name": key[2], "namespace": meta["namespace"]}
        api.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named, "spec": spec})
    deployment = api.objects[key].tree
    up = (deployment.get("status") or {}).get("availableReplicas", 0)
    ready = up >= deployment["spec"]["replicas"]
    words = {"status": "True"} if ready else {"status": "False", "reason": "MinimumReplicasUnavailable"}
    status |= {"conditions": [{"type": "Ready", **words}], "observedGeneration": deployment["metadata"]["generation"]}


class Handler(BaseHTTPRequestHandler):
    """One request; the server's KubeApi is `server.api`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is two writes, and the second would wait for the first

    def do_GET(self) -> None:
        """Discovery, one object, or a list."""
        self._answer()

    do_PATCH = do_DELETE = do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """No log: the tests' output is theirs."""

    def _answer(self) -> None:
        api: KubeApi = self.server.api  # type: ignore[attr-defined]
        parts, body = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        api.requests.append((self.command, parts.path, query))
        if fault := _fault(api, self.command, self.path):
            self._hurt(fault)
            return
        try:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            answer, code = self._found(api, parts.path, query, body), 200
        except Refused as refused:
            answer, code = refused.status, refused.code
        self._send(code, json.dumps(answer), "application/json")

    def _hurt(self, fault: Fault) -> None:
        time.sleep(fault.seconds)
        if fault.status:
            self._send(fault.status, fault.body, "application/json" if fault.body[:1] == "{" else "text/html")
        else:
            self.close_connection = True

    def _send(self, code: int, text: str, kind: str) -> None:
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _found(self, api: KubeApi, path: str, query: dict[str, str], body: bytes) -> Tree:
        if (discovered := _discovery(api, path)) is not None:
            return discovered
        found = PATH.fullmatch(path)
        version = (found["core"] or found["group"]) if found else ""
        kinds = {plural: kind for kind, plural in _kinds(api).get(version, {}).items()}
        if not found or found["plural"] not in kinds:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        if unknown := set(query) - QUERIES.get(self.command, set()):
            raise Refused(400, "BadRequest", f"unknown query parameters: {sorted(unknown)}")
        kind, namespace, name = kinds[found["plural"]], found["namespace"], found["name"]
        if name is None and self.command == "GET":
            return _listed(api, kind, namespace, query)
        if self.command == "PATCH":
            if self.headers["Content-Type"] != "application/apply-patch+yaml":
                raise Refused(415, "UnsupportedMediaType", "only server-side apply is served here")
            return api.apply(kind, namespace, name, yaml.safe_load(body), query)
        if (kind, namespace, name) not in api.objects:
            raise Refused(404, "NotFound", f'{found["plural"]} "{name}" not found')
        if self.command == "DELETE":
            del api.objects[kind, namespace, name]
            return {"apiVersion": "v1", "kind": "Status", "status": "Success"}
        if self.command != "GET":
            raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        return api.seen(api.objects[kind, namespace, name])


def _kinds(api: KubeApi) -> dict[str, dict[str, str]]:
    return {version: kinds for version, kinds in KINDS.items() if version.split("/")[0] not in api.missing}


def _discovery(api: KubeApi, path: str) -> Tree | None:
    if path == "/version":
        return {"major": "1", "minor": "37", "gitVersion": "v1.37.0"}
    if path == "/apis":
        groups = [version.split("/") for version in _kinds(api) if "/" in version]
        versions = {name: [one for group, one in groups if group == name] for name, _ in groups}
        listed = [
            {"name": name, "versions": (all_ := [{"groupVersion": f"{name}/{one}", "version": one} for one in found]),
             "preferredVersion": all_[0]} for name, found in versions.items()
        ]  # fmt: skip
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if path not in (f"/apis/{version}", f"/api/{version}") or version not in _kinds(api):
        return None
    verbs = ["delete", "get", "list", "patch"]
    resources = [
        {"name": plural, "singularName": kind.lower(), "namespaced": kind != "Namespace", "kind": kind, "verbs": verbs}
        for kind, plural in KINDS[version].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _listed(api: KubeApi, kind: str, namespace: str | None, query: dict[str, str]) -> Tree:
    labels = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
    fields = dict(part.split("=") for part in query.get("fieldSelector", "").split(",") if part)
    if unknown := set(fields) - EVENT_FIELDS:
        raise Refused(400, "BadRequest", f"field label not supported: {sorted(unknown)[0]}")
    items = [
        stored.tree
        for (one, place, _), stored in api.objects.items()
        if one == kind and place == namespace
        and labels.items() <= (stored.tree["metadata"].get("labels") or {}).items()
        and all(_value(stored.tree, name) == value for name, value in fields.items())
    ]  # fmt: skip
    return {"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": items}


def _value(tree: Any, path: str) -> Any:
    for name in path.split("."):
        tree = tree.get(name) or {}
    return tree


def _fault(api: KubeApi, method: str, path: str) -> Fault | None:
    for fault in api.faults:
        if fault.times and fault.method == method and re.search(fault.path, path):
            fault.times -= 1
            return fault
    return None


@contextmanager
def kube_api() -> Iterator[KubeApi]:
    """A server on a loopback port, with the namespace `default`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = KubeApi(url=f"http://127.0.0.1:{server.server_port}")
    api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    server.api = api  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(api: KubeApi, file: Path, namespace: str = "default", token: str = TOKEN) -> Path:
    """A kubeconfig of the server, with two contexts: `test`, the current one, and `other`, which nobody answers."""
    clusters = {"test": api.url, "other": "http://127.0.0.1:1"}
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in clusters.items()],
        "users": [{"name": "me", "user": {"token": token}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": "me", "namespace": namespace}} for name in clusters
        ],
    }  # fmt: skip
    file.write_text(yaml.safe_dump(config))
    return file
