"""Find what a Kubeflow profile's namespace lacks for runs of the pipeline."""

from collections.abc import Iterator
from typing import Final

from dawnlist.pipelines.deploy.cluster import KubernetesCluster
from dawnlist.pipelines.deploy.manifests import KubernetesObject

PROFILE_VARIABLE: Final = "DAWNLIST_PROFILE"
"""The key of a config map that names the profile; empty where Kubeflow has no users."""
PROFILE_LABEL: Final = ("app.kubernetes.io/part-of", "kubeflow-profile")
"""The label by which Kubeflow's network policies know the namespace of a profile."""
STORE_SECRET: Final = "mlpipeline-minio-artifact"
"""The secret with the key of Kubeflow Pipelines' store, which Kubeflow makes in each profile."""


def describe_profile_faults(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> Iterator[str]:
    """Describe what the profile's namespace lacks; nothing for manifests that name no profile.

    What you may not read is not checked.
    """
    profile = _find_profile(documents)
    if not profile:
        return
    namespace = _find_readable(cluster, "Namespace", profile)
    if namespace is not None:
        key, value = PROFILE_LABEL
        labels = namespace["metadata"].get("labels") or {}
        if labels.get(key) != value:
            yield (
                f"namespace/{profile} lacks the label {key}={value}: Kubeflow's network policies keep "
                "its pods from the store and the API, unless it is made as a profile"
            )
        if _find_readable(cluster, "Secret", STORE_SECRET, profile) is None:
            yield (
                f"secret/{STORE_SECRET} is not in {profile}: runs can't read Kubeflow's store. Kubeflow "
                "makes it in a profile labelled pipelines.kubeflow.org/enabled=true"
            )


def _find_profile(documents: list[KubernetesObject]) -> str:
    for document in documents:
        if document["kind"] == "ConfigMap":
            profile = (document.get("data") or {}).get(PROFILE_VARIABLE)
            if profile:
                return str(profile)
    return ""


def _find_readable(
    cluster: KubernetesCluster, kind: str, name: str, namespace: str = ""
) -> KubernetesObject | None:
    """Read an object; an empty one if you may not read it, and None if there is none."""
    metadata = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    try:
        return cluster.find({"apiVersion": "v1", "kind": kind, "metadata": metadata})
    except PermissionError:
        return {"metadata": {"labels": dict([PROFILE_LABEL])}}
