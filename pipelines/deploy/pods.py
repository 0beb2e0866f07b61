"""Find the pods of a workload, and say whether they are ready."""

from dawnlist.pipelines.deploy.cluster import KubernetesCluster
from dawnlist.pipelines.deploy.manifests import KubernetesObject

INFERENCE_SERVICE_LABEL = "serving.kserve.io/inferenceservice"
"""The label that KServe gives the pods of an InferenceService. Its value is the service's name."""


def list_pods(cluster: KubernetesCluster, workload: KubernetesObject) -> list[KubernetesObject]:
    """List the pods of a Deployment, StatefulSet or InferenceService."""
    if workload["kind"] == "InferenceService":
        labels = {INFERENCE_SERVICE_LABEL: workload["metadata"]["name"]}
    else:
        labels = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    if not selector:
        return []
    namespace = cluster.namespace_of(workload)
    return cluster.list_objects("v1", "Pod", namespace, label_selector=selector)


def is_pod_ready(pod: KubernetesObject) -> bool:
    """Say whether a pod's readiness probes succeed."""
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition["type"] == "Ready" and condition["status"] == "True":
            return True
    return False


def are_pods_waiting(pods: list[KubernetesObject]) -> bool:
    """Say whether all containers have passed their startup probe, but no pod is ready.

    The pods of a predictor that has nothing to serve yet are like this.
    """
    if not pods or any(map(is_pod_ready, pods)):
        return False
    for pod in pods:
        # A pod without containers in its status has not started.
        for container in (pod.get("status") or {}).get("containerStatuses") or [{}]:
            if not container.get("started") or container.get("restartCount"):
                return False
    return True
