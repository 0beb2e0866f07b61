"""A Kubernetes API server as far as `dawnlist deploy` needs one: discovery, get, list, delete, server-side apply.

Its objects are in tests/support/kube_state.py. It refuses what the API does not define:
paths, query names, methods, tokens.
"""

import json
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import yaml

from tests.support.certificates import self_signed
from tests.support.fields import Tree
from tests.support.kube_state import KubeState, Refused
from tests.support.threads import serving

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
    "pipelines.kubeflow.org/v2beta1": {"Pipeline": "pipelines", "PipelineVersion": "pipelineversions"},
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
EVENT_FIELDS: Final = {
    "involvedObject.kind",
    "involvedObject.name",
    "type",
    "reason",
    "metadata.name",
}
TOKEN: Final = "a-token-of-a-test"


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


@dataclass
class KubeApi(KubeState):
    """A server that is up."""

    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    """API groups that are not installed."""


class Handler(BaseHTTPRequestHandler):
    """One request; the server's KubeApi is `server.api`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = (
        True  # an answer is two writes, and the second would wait for the first
    )

    def do_GET(self) -> None:
        """Discovery, one object, or a list."""
        self._answer()

    do_PATCH = do_DELETE = do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """No log: the tests' output is theirs."""

    def _answer(self) -> None:
        api: KubeApi = self.server.api  # type: ignore[attr-defined]
        parts, body = (
            urlsplit(self.path),
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if fault := _fault(api, self.command, self.path):
            self._hurt(fault)
            return
        try:
            kind, _, token = self.headers.get("Authorization", "").partition(" ")
            if (kind.lower(), token) != ("bearer", TOKEN):
                raise Refused(401, "Unauthorized", "Unauthorized")
            answer, code = self._found(api, parts.path, query, body), 200
        except Refused as refused:
            answer, code = refused.status, refused.code
        self._send(code, json.dumps(answer), "application/json")

    def _hurt(self, fault: Fault) -> None:
        time.sleep(fault.seconds)
        if fault.status:
            self._send(
                fault.status,
                fault.body,
                "application/json" if fault.body[:1] == "{" else "text/html",
            )
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
            return api.apply(kind, namespace, name, yaml.load(body, yaml.CSafeLoader), query)
        if (kind, namespace, name) not in api.objects:
            raise Refused(404, "NotFound", f'{found["plural"]} "{name}" not found')
        if self.command == "DELETE":
            del api.objects[kind, namespace, name]
            return {"apiVersion": "v1", "kind": "Status", "status": "Success"}
        if self.command != "GET":
            raise Refused(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        return api.seen(api.objects[kind, namespace, name])


class Server(ThreadingHTTPServer):
    """The server, silent when a client leaves."""

    def handle_error(self, *_: Any) -> None:
        """A client that does not trust the server hangs up: that is its affair."""


def _kinds(api: KubeApi) -> dict[str, dict[str, str]]:
    return {
        version: kinds
        for version, kinds in KINDS.items()
        if version.split("/")[0] not in api.missing
    }


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
        {
            "name": plural,
            "singularName": kind.lower(),
            "namespaced": kind != "Namespace",
            "kind": kind,
            "verbs": verbs,
        }
        for kind, plural in KINDS[version].items()
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": resources,
    }


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
def kube_api(certificate: Path | None = None) -> Iterator[KubeApi]:
    """A server on a loopback port, with the namespace `default`; by TLS if it is given a PEM of key and certificate."""
    with Server(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        api = KubeApi(url=f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}")
        api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        server.api = api  # type: ignore[attr-defined]
        with serving(server):
            yield api


def certificate(file: Path) -> Path:
    """A PEM of a new key and its own certificate, for 127.0.0.1."""
    made, key = self_signed(file.parent, file.stem)
    file.write_bytes(key.read_bytes() + made.read_bytes())
    return file


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
