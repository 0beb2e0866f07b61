"""Objects that an earlier deploy of the same manifests has applied, and they do not name any more."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dawnlist.pipelines.deploy.cluster import MANAGER, Cluster
from dawnlist.pipelines.deploy.rendered import Tree

SET: Final = "dawnlist/set"
"""The label that says which manifests an object came with: two sets may share a namespace."""
KINDS: Final = (
    *(("monitoring.coreos.com/v1", kind) for kind in ("PodMonitor", "PrometheusRule")),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("sparkoperator.k8s.io/v1alpha1", "SparkConnect"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"),
    ("batch/v1", "CronJob"),
    *(("apps/v1", kind) for kind in ("Deployment", "StatefulSet")),
    ("policy/v1", "PodDisruptionBudget"),
    ("v1", "Service"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "ConfigMap"),
    *(("rbac.authorization.k8s.io/v1", kind) for kind in ("RoleBinding", "Role")),
    ("v1", "ServiceAccount"),
)
"""What may be left, in the order to delete it; no namespaces, claims and secrets: they hold what can't be remade."""


def marked(documents: list[Tree], source: str) -> list[Tree]:
    """The objects with a label that names their set, which is the overlay's folder or the file; none for `-`."""
    path = Path(source).resolve()
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", path.name if path.is_dir() else path.stem)[:63].strip("-._")
    if source == "-" or not name:
        return documents
    return [
        {**one, "metadata": {**one["metadata"], "labels": {**(one["metadata"].get("labels") or {}), SET: name}}}
        for one in documents
    ]


def leftovers(cluster: Cluster, documents: list[Tree]) -> Iterator[Tree]:
    """What has the label of these (marked) objects' set in their namespaces, and is not among them."""
    name = (documents[0]["metadata"].get("labels") or {}).get(SET)
    if name is None:
        return
    named = {(one["kind"], cluster.namespace_of(one), one["metadata"]["name"]) for one in documents}
    namespaces = sorted({namespace for _, namespace, _ in named if namespace})
    for version, kind in KINDS:
        if not cluster.knows({"apiVersion": version, "kind": kind}):
            continue
        for namespace in namespaces:
            for found in cluster.listed(version, kind, namespace, label_selector=f"{SET}={name}"):
                if (kind, namespace, found["metadata"]["name"]) not in named and _is_ours(found):
                    yield {**found, "apiVersion": version, "kind": kind}


def _is_ours(found: Tree) -> bool:
    """Whether `deploy` applied it: KServe gives what it makes of a service the service's labels."""
    fields = found["metadata"].get("managedFields") or []
    return any((field.get("manager"), field.get("operation")) == (MANAGER, "Apply") for field in fields)
