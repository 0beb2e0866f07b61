"""Find objects that an earlier deploy applied and that its manifests no longer name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dawnlist.pipelines.deploy.cluster import FIELD_MANAGER, KubernetesCluster
from dawnlist.pipelines.deploy.manifests import KubernetesObject

SET_LABEL: Final = "dawnlist/set"
"""The label that names the set of manifests of an object, as two sets may share a namespace."""
PRUNABLE_KINDS: Final = (
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("sparkoperator.k8s.io/v1alpha1", "SparkConnect"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("policy/v1", "PodDisruptionBudget"),
    ("v1", "Service"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "ConfigMap"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("v1", "ServiceAccount"),
)
"""The versions and kinds that may be deleted, in the order to delete them. Namespaces, claims and
secrets are not among them, because what they hold can't be restored."""


def add_set_label(documents: list[KubernetesObject], source: str) -> list[KubernetesObject]:
    """Give the objects a label that names their set: the overlay's folder, or the file.

    Objects from standard input (`-`) get no label.
    """
    set_name = _name_set(source)
    if source == "-" or not set_name:
        return documents
    labelled = []
    for document in documents:
        labels = {**(document["metadata"].get("labels") or {}), SET_LABEL: set_name}
        metadata = {**document["metadata"], "labels": labels}
        labelled.append({**document, "metadata": metadata})
    return labelled


def _name_set(source: str) -> str:
    """Make a label's value of a folder's or a file's name."""
    path = Path(source).resolve()
    name = path.name if path.is_dir() else path.stem
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:63].strip("-._")


def find_leftovers(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> Iterator[KubernetesObject]:
    """Find the objects of the same set, in the same namespaces, that are not among the documents.

    Args:
        cluster: The cluster.
        documents: The labelled objects that were applied.
    """
    set_name = (documents[0]["metadata"].get("labels") or {}).get(SET_LABEL)
    if set_name is None:
        return
    applied = set()
    for document in documents:
        namespace = cluster.namespace_of(document)
        applied.add((document["kind"], namespace, document["metadata"]["name"]))
    namespaces = sorted({namespace for _, namespace, _ in applied if namespace})
    selector = f"{SET_LABEL}={set_name}"
    for version, kind in PRUNABLE_KINDS:
        if not cluster.has_kind({"apiVersion": version, "kind": kind}):
            continue
        for namespace in namespaces:
            for candidate in cluster.list_objects(
                version, kind, namespace, label_selector=selector
            ):
                key = (kind, namespace, candidate["metadata"]["name"])
                if key not in applied and _is_applied_by_deploy(candidate):
                    yield {**candidate, "apiVersion": version, "kind": kind}


def _is_applied_by_deploy(candidate: KubernetesObject) -> bool:
    """Say whether `dawnlist deploy` applied an object.

    KServe copies a service's labels to the objects that it creates for it, so the label alone does
    not tell.
    """
    for field in candidate["metadata"].get("managedFields") or []:
        if field.get("manager") == FIELD_MANAGER and field.get("operation") == "Apply":
            return True
    return False
