"""Read whether an applied object is ready."""

from dataclasses import dataclass

from dawnlist.pipelines.deploy.cluster import KubernetesCluster
from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.pipelines.deploy.pods import are_pods_waiting, list_pods
from dawnlist.urls import format_error

NOT_PROCESSED_MESSAGE = "not processed yet"
"""The state of an object that Kubernetes has stored, but whose controller has not acted on it."""


@dataclass(frozen=True)
class RolloutState:
    """How far the rollout of an object is."""

    done: bool
    """Whether the object is ready."""
    message: str
    """The state in words."""
    stuck: bool = False
    """Whether waiting will not make the object ready."""
    empty: bool = False
    """Whether the pods run, but have nothing to serve yet."""


def read_rollout_state(cluster: KubernetesCluster, document: KubernetesObject) -> RolloutState:
    """Read how far an object is, of one of the kinds that `wait_for_rollout` waits for."""
    current = cluster.find(document)
    if current is None:
        return RolloutState(False, "is gone", stuck=True)
    if current["kind"] == "PersistentVolumeClaim":
        phase = (current.get("status") or {}).get("phase", NOT_PROCESSED_MESSAGE)
        return RolloutState(phase == "Bound", phase)
    if current["kind"] == "InferenceService":
        return _read_service_state(cluster, current)
    return _read_replica_state(current)


def _read_replica_state(workload: KubernetesObject) -> RolloutState:
    """Read the state of a Deployment or a StatefulSet.

    It is ready when all replicas are of the newest template and ready, and no older one is left.
    """
    status, replicas = workload.get("status") or {}, workload["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 1):
        return RolloutState(False, NOT_PROCESSED_MESSAGE)
    available = status.get("availableReplicas", status.get("readyReplicas", 0))
    updated = status.get("updatedReplicas", 0)
    message = f"{min(available, updated)} of {replicas} ready"
    for condition in status.get("conditions") or []:
        if condition.get("reason") == "ProgressDeadlineExceeded":
            reason = format_error(condition.get("message", ""))
            return RolloutState(False, f"{message}: given up ({reason})", stuck=True)
    # A pod of the older template that still runs answers requests as before.
    no_older_pods = status.get("replicas", 0) <= replicas
    is_done = available >= replicas and updated >= replicas and no_older_pods
    return RolloutState(is_done, message)


def _read_service_state(cluster: KubernetesCluster, service: KubernetesObject) -> RolloutState:
    """Read the state of an InferenceService. It is ready when its Deployment is also rolled out.

    The service's condition Ready says only that the Deployment is available, which it is all
    through an update. The observedGeneration in the service's status is that of the Deployment
    (KServe's PropagateRawStatus), so it does not help.
    """
    condition = _find_ready_condition(service)
    deployment = _find_predictor_deployment(cluster, service)
    rollout = RolloutState(True, "no Deployment")
    if deployment is not None:
        rollout = _read_replica_state(deployment)
    if condition.get("status") == "True":
        message = "ready" if rollout.done else rollout.message
        return RolloutState(rollout.done, message, rollout.stuck)
    message = rollout.message
    if rollout.done:
        reason = condition.get("message") or condition.get("reason")
        message = format_error(reason or "KServe has not processed it yet")
    is_empty = are_pods_waiting(list_pods(cluster, service))
    return RolloutState(False, message, rollout.stuck, is_empty)


def _find_ready_condition(service: KubernetesObject) -> KubernetesObject:
    ready_condition: KubernetesObject = {}
    for condition in (service.get("status") or {}).get("conditions") or []:
        if condition["type"] == "Ready":
            ready_condition = condition
    return ready_condition


def _find_predictor_deployment(
    cluster: KubernetesCluster, service: KubernetesObject
) -> KubernetesObject | None:
    name = f"{service['metadata']['name']}-predictor"
    namespace = service["metadata"]["namespace"]
    return cluster.find(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
        }
    )
