"""Manifests onto a cluster: all are tried before one is applied, and each says what it changed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from dawnlist.pipelines.deploy.cluster import KubernetesCluster, format_object_name
from dawnlist.pipelines.deploy.manifest_changes import describe_field_changes
from dawnlist.pipelines.deploy.manifests import KubernetesObject

INSTALL_HINTS = {
    "serving.kserve.io": "KServe 0.16 or newer, in Standard mode",
    "monitoring.coreos.com": "the Prometheus operator, or leave out components/monitoring",
    "keda.sh": "KEDA 2, or leave out components/keda",
    "sparkoperator.k8s.io": "Kubeflow's Spark operator 2.4 or newer, or leave out components/spark",
    "pipelines.kubeflow.org": "Kubeflow Pipelines in Kubernetes-native mode, or use `dawnlist submit`",
}
"""API group -> what to install for it."""


@dataclass(frozen=True)
class ApplyStep:
    """An object that is to be applied."""

    document: KubernetesObject
    before: KubernetesObject | None
    """As it stands; None: it is not there."""
    after: KubernetesObject
    """As the server says that it will be, or is."""
    checked: bool = True
    """False for what is to go into a namespace that is not there: the server has no say until then."""

    @property
    def changes(self) -> list[str]:
        """The fields that differ, a line each."""
        return [] if self.before is None else describe_field_changes(self.before, self.after)


def refuse_unknown_kinds(cluster: KubernetesCluster, documents: list[KubernetesObject]) -> None:
    """ValueError that names all kinds which the cluster does not have, and who brings them."""
    kinds = {(one["apiVersion"], one["kind"]): one for one in documents}
    unknown = [kind for kind, one in kinds.items() if not cluster.has_kind(one)]
    if unknown:
        names = ", ".join(f"{kind} ({version})" for version, kind in unknown)
        groups = dict.fromkeys(version.split("/")[0] for version, _ in unknown)
        install = "; ".join(INSTALL_HINTS.get(group, f"what brings {group}") for group in groups)
        raise ValueError(
            f"the cluster does not know {names}: install {install}. Nothing was applied"
        )


def refuse_other_namespaces(documents: list[KubernetesObject], namespace: str) -> None:
    """ValueError when an object names another namespace than the one asked for."""
    for one in documents:
        named = one["metadata"].get("namespace")
        if namespace and named and named != namespace:
            raise ValueError(
                f"--namespace is {namespace!r}, but {one['kind']} {one['metadata']['name']} is for {named!r}: "
                "change `namespace:` in the overlay's kustomization.yaml, or leave the option out"
            )


def refuse_missing_namespaces(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> None:
    """LookupError when objects are for a namespace that is neither on the cluster nor among them."""
    brought = {one["metadata"]["name"] for one in documents if one["kind"] == "Namespace"}
    for name in sorted(
        {place for one in documents if (place := cluster.namespace_of(one))} - brought
    ):
        try:
            found = cluster.find(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            )
        except (
            PermissionError
        ):  # a namespace's owner may not be allowed to look at the namespace itself
            continue
        if found is None:
            raise LookupError(
                f"namespace {name!r} is not on {cluster.host}: kubectl create namespace {name}, or choose another "
                "--kube-context"
            )


def dry_run_objects(
    cluster: KubernetesCluster, documents: list[KubernetesObject], force: bool
) -> tuple[list[ApplyStep], list[str]]:
    """What would come of each object, as the server says without doing it, and the lines of those that it refuses."""
    steps, refusals = [], []
    new = {one["metadata"]["name"] for one in find_missing_namespaces(cluster, documents)}
    for document in documents:
        try:
            if cluster.namespace_of(document) in new:
                steps.append(ApplyStep(document, None, document, checked=False))
            else:
                after = cluster.apply(document, dry=True, force=force)
                steps.append(ApplyStep(document, cluster.find(document), after))
        except (ValueError, PermissionError) as error:
            refusals.append(str(error))
    return steps, refusals


def find_missing_namespaces(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> list[KubernetesObject]:
    """The namespaces among the objects that are not on the cluster."""
    return [one for one in documents if one["kind"] == "Namespace" and cluster.find(one) is None]


def apply_objects(
    cluster: KubernetesCluster, steps: list[ApplyStep], force: bool
) -> Iterator[ApplyStep]:
    """Apply one object after the other; RuntimeError says how far it came."""
    for number, step in enumerate(steps):
        try:
            after = cluster.apply(step.document, dry=False, force=force)
        except (OSError, ValueError) as error:
            raise RuntimeError(
                f"{error}; {number} of {len(steps)} objects were applied before it: deploy again when it is mended"
            ) from None
        yield replace(step, after=after)


def describe_missing_secrets(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> Iterator[str]:
    """A line for each secret that the objects name and the cluster lacks; values are not looked at."""
    brought = {one["metadata"]["name"] for one in documents if one["kind"] == "Secret"}
    for (namespace, name), keys in _collect_secret_keys(cluster, documents).items():
        if name in brought:
            continue
        secret: KubernetesObject = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
        }
        try:
            found = cluster.find(secret)
        except PermissionError as error:
            yield f"{format_object_name(secret)} can't be looked at, so nobody knows whether its keys are there: {error}"
            continue
        lacking = sorted(key for key in keys if key not in ((found or {}).get("data") or {}))
        must = [key for key in lacking if not keys[key]]
        if lacking and must:
            yield f"{format_object_name(secret)} lacks {', '.join(must)}: pods that need it won't start"
        elif lacking:
            state = "is not there" if found is None else "lacks some keys"
            yield f"{format_object_name(secret)} {state}; optional: {', '.join(lacking)}"


def _collect_secret_keys(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> dict[tuple[str | None, str], dict[str, bool]]:
    """(namespace, secret) -> its keys that environments take -> whether they can do without."""
    found: dict[tuple[str | None, str], dict[str, bool]] = {}
    for document in documents:
        for reference in _find_mappings(document, "secretKeyRef"):
            keys = found.setdefault((cluster.namespace_of(document), reference["name"]), {})
            keys[reference["key"]] = keys.get(reference["key"], True) and bool(
                reference.get("optional")
            )
    return found


def _find_mappings(tree: Any, name: str) -> Iterator[Any]:
    """All that stands below `name`, wherever it is."""
    parts: Iterable[Any] = ()
    if isinstance(tree, dict):
        if isinstance(tree.get(name), dict):
            yield tree[name]
        parts = tree.values()
    elif isinstance(tree, list):
        parts = tree
    for part in parts:
        yield from _find_mappings(part, name)
