"""Objects that an earlier deploy of the same manifests has applied, and they do not name any more."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dawnlist.pipelines.deploy.cluster import FIELD_MANAGER, KubernetesCluster
from dawnlist.pipelines.deploy.manifests import KubernetesObject

SET_LABEL: Final = "dawnlist/set"
"""The label that says which manifests an object came with: two sets may share a namespace."""
PRUNABLE_KINDS: Final = (
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


def add_set_label(documents: list[KubernetesObject], source: str) -> list[KubernetesObject]:
    """The objects with a label that names their set, which is the overlay's folder or the file; none for `-`."""
    path = Path(source).resolve()
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", path.name if path.is_dir() else path.stem)[:63].strip(
        "-._"
    )
    if source == "-" or not name:
        return documents
    return [
        {
            **one,
            "metadata": {
                **one["metadata"],
                "labels": {**(one["metadata"].get("labels") or {}), SET_LABEL: name},
            },
        }
        for one in documents
    ]


def find_leftovers(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> Iterator[KubernetesObject]:
    """What has the label of these (marked) objects' set in their namespaces, and is not among them."""
    name = (documents[0]["metadata"].get("labels") or {}).get(SET_LABEL)
    if name is None:
        return
    named = {(one["kind"], cluster.namespace_of(one), one["metadata"]["name"]) for one in documents}
    namespaces = sorted({namespace for _, namespace, _ in named if namespace})
    for version, kind in PRUNABLE_KINDS:
        if not cluster.has_kind({"apiVersion": version, "kind": kind}):
            continue
        for namespace in namespaces:
            for found in cluster.list_objects(
                version, kind, namespace, label_selector=f"{SET_LABEL}={name}"
            ):
                if (
                    kind,
                    namespace,
                    found["metadata"]["name"],
                ) not in named and _is_applied_by_deploy(found):
                    yield {**found, "apiVersion": version, "kind": kind}


def _is_applied_by_deploy(found: KubernetesObject) -> bool:
    """Whether `deploy` applied it: KServe gives what it makes of a service the service's labels."""
    fields = found["metadata"].get("managedFields") or []
    return any(
        (field.get("manager"), field.get("operation")) == (FIELD_MANAGER, "Apply")
        for field in fields
    )
