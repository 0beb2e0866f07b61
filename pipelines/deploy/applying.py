"""Manifests onto a cluster: all are tried before one is applied, and each says what it changed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from dawnlist.pipelines.deploy.changes import changes
from dawnlist.pipelines.deploy.cluster import Cluster, label
from dawnlist.pipelines.deploy.rendered import Tree

BRINGS = {
    "serving.kserve.io": "KServe 0.16 or newer, in Standard mode",
    "monitoring.coreos.com": "the Prometheus operator, or leave out components/monitoring",
    "keda.sh": "KEDA 2, or leave out components/keda",
    "sparkoperator.k8s.io": "Kubeflow's Spark operator 2.4 or newer, or leave out components/spark",
    "pipelines.kubeflow.org": "Kubeflow Pipelines in Kubernetes-native mode, or use `dawnlist submit`",
}
"""API group -> what to install for it."""


@dataclass(frozen=True)
class Step:
    """An object that is to be applied."""

    document: Tree
    before: Tree | None
    """As it stands; None: it is not there."""
    after: Tree
    """As the server says that it will be, or is."""
    checked: bool = True
    """False for what is to go into a namespace that is not there: the server has no say until then."""

    @property
    def changes(self) -> list[str]:
        """The fields that differ, a line each."""
        return [] if self.before is None else changes(self.before, self.after)


def refuse_unknown(cluster: Cluster, documents: list[Tree]) -> None:
    """ValueError that names all kinds which the cluster does not have, and who brings them."""
    kinds = {(one["apiVersion"], one["kind"]): one for one in documents}
    unknown = [kind for kind, one in kinds.items() if not cluster.knows(one)]
    if unknown:
        names = ", ".join(f"{kind} ({version})" for version, kind in unknown)
        groups = dict.fromkeys(version.split("/")[0] for version, _ in unknown)
        install = "; ".join(BRINGS.get(group, f"what brings {group}") for group in groups)
        raise ValueError(f"the cluster does not know {names}: install {install}. Nothing was applied")


def refuse_elsewhere(documents: list[Tree], namespace: str) -> None:
    """ValueError when an object names another namespace than the one asked for."""
    for one in documents:
        named = one["metadata"].get("namespace")
        if namespace and named and named != namespace:
            raise ValueError(
                f"--namespace is {namespace!r}, but {one['kind']} {one['metadata']['name']} is for {named!r}: "
                "change `namespace:` in the overlay's kustomization.yaml, or leave the option out"
            )


def refuse_missing_namespaces(cluster: Cluster, documents: list[Tree]) -> None:
    """LookupError when objects are for a namespace that is neither on the cluster nor among them."""
    brought = {one["metadata"]["name"] for one in documents if one["kind"] == "Namespace"}
    for name in sorted({place for one in documents if (place := cluster.namespace_of(one))} - brought):
        try:
            found = cluster.find({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        except PermissionError:  # a namespace's owner may not be allowed to look at the namespace itself
            continue
        if found is None:
            raise LookupError(
                f"namespace {name!r} is not on {cluster.host}: kubectl create namespace {name}, or choose another "
                "--kube-context"
            )


def tried(cluster: Cluster, documents: list[Tree], force: bool) -> tuple[list[Step], list[str]]:
    """What would come of each object, as the server says without doing it, and the lines of those that it refuses."""
    steps, refusals = [], []
    new = {one["metadata"]["name"] for one in missing_namespaces(cluster, documents)}
    for document in documents:
        try:
            if cluster.namespace_of(document) in new:
                steps.append(Step(document, None, document, checked=False))
            else:
                after = cluster.apply(document, dry=True, force=force)
                steps.append(Step(document, cluster.find(document), after))
        except (ValueError, PermissionError) as error:
            refusals.append(str(error))
    return steps, refusals


def missing_namespaces(cluster: Cluster, documents: list[Tree]) -> list[Tree]:
    """The namespaces among the objects that are not on the cluster."""
    return [one for one in documents if one["kind"] == "Namespace" and cluster.find(one) is None]


def applied(cluster: Cluster, steps: list[Step], force: bool) -> Iterator[Step]:
    """Apply one object after the other; RuntimeError says how far it came."""
    for number, step in enumerate(steps):
        try:
            after = cluster.apply(step.document, dry=False, force=force)
        except (OSError, ValueError) as error:
            raise RuntimeError(
                f"{error}; {number} of {len(steps)} objects were applied before it: deploy again when it is mended"
            ) from None
        yield replace(step, after=after)


def missing_secrets(cluster: Cluster, documents: list[Tree]) -> Iterator[str]:
    """A line for each secret that the objects name and the cluster lacks; values are not looked at."""
    brought = {one["metadata"]["name"] for one in documents if one["kind"] == "Secret"}
    for (namespace, name), keys in _secrets(cluster, documents).items():
        if name in brought:
            continue
        secret: Tree = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
        try:
            found = cluster.find(secret)
        except PermissionError as error:
            yield f"{label(secret)} can't be looked at, so nobody knows whether its keys are there: {error}"
            continue
        lacking = sorted(key for key in keys if key not in ((found or {}).get("data") or {}))
        must = [key for key in lacking if not keys[key]]
        if lacking and must:
            yield f"{label(secret)} lacks {', '.join(must)}: pods that need it won't start"
        elif lacking:
            state = "is not there" if found is None else "lacks some keys"
            yield f"{label(secret)} {state}; optional: {', '.join(lacking)}"


def _secrets(cluster: Cluster, documents: list[Tree]) -> dict[tuple[str | None, str], dict[str, bool]]:
    """(namespace, secret) -> its keys that environments take -> whether they can do without."""
    found: dict[tuple[str | None, str], dict[str, bool]] = {}
    for document in documents:
        for reference in _values(document, "secretKeyRef"):
            keys = found.setdefault((cluster.namespace_of(document), reference["name"]), {})
            keys[reference["key"]] = keys.get(reference["key"], True) and bool(reference.get("optional"))
    return found


def _values(tree: Any, name: str) -> Iterator[Any]:
    """All that stands below `name`, wherever it is."""
    parts: Iterable[Any] = ()
    if isinstance(tree, dict):
        if isinstance(tree.get(name), dict):
            yield tree[name]
        parts = tree.values()
    elif isinstance(tree, list):
        parts = tree
    for part in parts:
        yield from _values(part, name)
