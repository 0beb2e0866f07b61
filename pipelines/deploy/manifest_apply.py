"""Check, try and apply objects on a cluster."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from dawnlist.pipelines.deploy.cluster import KubernetesCluster
from dawnlist.pipelines.deploy.manifest_changes import describe_field_changes
from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.pipelines.deploy.webhooks import WebhookPatience

INSTALL_HINTS = {
    "serving.kserve.io": "KServe 0.16 or newer, in Standard mode",
    "monitoring.coreos.com": "the Prometheus operator, or leave out components/monitoring",
    "keda.sh": "KEDA 2, or leave out components/keda",
    "sparkoperator.k8s.io": "Kubeflow's Spark operator 2.4 or newer, or leave out components/spark",
    "pipelines.kubeflow.org": "Kubeflow Pipelines in Kubernetes-native mode, or use `dawnlist submit`",
}
"""What to install for the kinds of an API group."""


@dataclass(frozen=True)
class ApplyStep:
    """An object to apply, and what applying it changes."""

    document: KubernetesObject
    before: KubernetesObject | None
    """The object on the cluster before it is applied; None if there is none."""
    after: KubernetesObject
    """The object as the server computes it in a dry run or after it was applied."""
    checked: bool = True
    """Whether the server has checked the object. It can't before the object's namespace exists."""

    @property
    def changes(self) -> list[str]:
        """The fields that differ, with a line for each; empty for an object that is new."""
        if self.before is None:
            return []
        return describe_field_changes(self.before, self.after)


def refuse_unknown_kinds(cluster: KubernetesCluster, documents: list[KubernetesObject]) -> None:
    """Check that the cluster knows the kinds of all objects.

    Raises:
        ValueError: It does not. The message names the kinds and what to install for them.
    """
    example_of_kind = {(one["apiVersion"], one["kind"]): one for one in documents}
    names: list[str] = []
    hints: dict[str, str] = {}
    for (version, kind), document in example_of_kind.items():
        if not cluster.has_kind(document):
            names.append(f"{kind} ({version})")
            group = version.split("/")[0]
            hints[group] = INSTALL_HINTS.get(group, f"what brings {group}")
    if names:
        raise ValueError(
            f"the cluster does not know {', '.join(names)}: install {'; '.join(hints.values())}. "
            "Nothing was applied"
        )


def refuse_other_namespaces(documents: list[KubernetesObject], namespace: str) -> None:
    """Check that no object names another namespace than that of --namespace.

    Raises:
        ValueError: An object does.
    """
    for document in documents:
        metadata = document["metadata"]
        other_namespace = metadata.get("namespace")
        if namespace and other_namespace and other_namespace != namespace:
            raise ValueError(
                f"--namespace is {namespace!r}, but {document['kind']} {metadata['name']} is for "
                f"{other_namespace!r}: change `namespace:` in the overlay's kustomization.yaml, or "
                "leave the option out"
            )


def refuse_missing_namespaces(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> None:
    """Check that each object's namespace is on the cluster or among the objects.

    Raises:
        LookupError: A namespace is missing.
    """
    new_namespaces = _list_names(documents, "Namespace")
    used_namespaces = set()
    for document in documents:
        namespace = cluster.namespace_of(document)
        if namespace:
            used_namespaces.add(namespace)
    for name in sorted(used_namespaces - new_namespaces):
        reference = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            existing = cluster.find(reference)
        except PermissionError:
            # The owner of a namespace may not be allowed to read the namespace itself.
            continue
        if existing is None:
            raise LookupError(
                f"namespace {name!r} is not on {cluster.host}: kubectl create namespace {name}, or choose another "
                "--kube-context"
            )


def _list_names(documents: list[KubernetesObject], kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in documents if one["kind"] == kind}


def dry_run_objects(
    cluster: KubernetesCluster,
    documents: list[KubernetesObject],
    force: bool,
    patience: WebhookPatience,
) -> tuple[list[ApplyStep], list[str]]:
    """Let the server try all objects without changing anything.

    Returns:
        A step for each object that the server accepts, and a line for each that it refuses.
    """
    steps: list[ApplyStep] = []
    refusals: list[str] = []
    missing_namespaces = find_missing_namespaces(cluster, documents)
    missing_names = _list_names(missing_namespaces, "Namespace")
    for document in documents:
        try:
            if cluster.namespace_of(document) in missing_names:
                steps.append(ApplyStep(document, None, document, checked=False))
            else:
                after = patience.apply(partial(cluster.apply, document, dry=True, force=force))
                steps.append(ApplyStep(document, cluster.find(document), after))
        except (ValueError, PermissionError) as error:
            refusals.append(str(error))
    return steps, refusals


def find_missing_namespaces(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> list[KubernetesObject]:
    """List the namespaces among the objects that are not on the cluster yet."""
    namespaces = [one for one in documents if one["kind"] == "Namespace"]
    return [namespace for namespace in namespaces if cluster.find(namespace) is None]


def apply_objects(
    cluster: KubernetesCluster, steps: list[ApplyStep], force: bool, patience: WebhookPatience
) -> Iterator[ApplyStep]:
    """Apply the objects one by one, and yield each step with the object as it is then.

    Raises:
        RuntimeError: The cluster refused an object. The message says how many were applied before.
    """
    for number, step in enumerate(steps):
        try:
            after = patience.apply(partial(cluster.apply, step.document, dry=False, force=force))
        except (OSError, ValueError) as error:
            raise RuntimeError(
                f"{error}; {number} of {len(steps)} objects were applied before it: deploy again "
                "when it is fixed"
            ) from None
        yield replace(step, after=after)
