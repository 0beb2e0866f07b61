"""Objects that an earlier deploy has applied, and the manifests do not name any more."""

from collections.abc import Iterator
from typing import Final

from pipelines.cluster import MANAGER, Cluster
from pipelines.rendered import Tree

SELECTOR: Final = "app.kubernetes.io/part-of=dawnlist"
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


def leftovers(cluster: Cluster, documents: list[Tree]) -> Iterator[Tree]:
    """What carries this project's label in the objects' namespaces, was applied by `deploy`, and is not among them."""
    named = {(one["kind"], cluster.namespace_of(one), one["metadata"]["name"]) for one in documents}
    namespaces = sorted({namespace for _, namespace, _ in named if namespace})
    for version, kind in KINDS:
        if not cluster.knows({"apiVersion": version, "kind": kind}):
            continue
        for namespace in namespaces:
            for found in cluster.listed(version, kind, namespace, label_selector=SELECTOR):
                if (kind, namespace, found["metadata"]["name"]) not in named and _is_ours(found):
                    yield {**found, "apiVersion": version, "kind": kind}


def _is_ours(found: Tree) -> bool:
    fields = found["metadata"].get("managedFields") or []
    return any((field.get("manager"), field.get("operation")) == (MANAGER, "Apply") for field in fields)
