"""Explain why an applied object is not ready, from its pods and from the cluster's warnings."""

from dataclasses import dataclass

from dawnlist.pipelines.deploy.cluster import KubernetesCluster, format_object_name
from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.pipelines.deploy.pods import is_pod_ready, list_pods
from dawnlist.pipelines.deploy.rollout_states import NOT_PROCESSED_MESSAGE
from dawnlist.urls import format_error


def explain_not_ready(cluster: KubernetesCluster, document: KubernetesObject) -> list[str]:
    """Explain why an object is not ready, by its waiting containers and the latest warnings."""
    current = cluster.find(document)
    if current is None:
        return ["somebody deleted it"]
    waiting_pods = _list_waiting_pods(cluster, current)
    lines = []
    for pod in waiting_pods:
        for reason in _explain_waiting_pod(pod):
            lines.append(f"pod {pod['metadata']['name']}: {reason}")
    for warned_object in (current, *waiting_pods):
        object_name = format_object_name(warned_object)
        for warning in read_warnings(cluster, warned_object):
            text = f"{warning.reason}: {warning.message} ({warning.count} times)"
            lines.append(f"{object_name}: {text}")
    if lines:
        return lines
    name = format_object_name(document)
    return [f"{name}: no pod and no event shows the reason, or you may not list them"]


def _list_waiting_pods(
    cluster: KubernetesCluster, workload: KubernetesObject
) -> list[KubernetesObject]:
    if workload["kind"] == "PersistentVolumeClaim":
        return []
    return [pod for pod in list_pods(cluster, workload) if not is_pod_ready(pod)]


def _explain_waiting_pod(pod: KubernetesObject) -> list[str]:
    status = pod.get("status") or {}
    reasons = []
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or []:
            reasons += _explain_container(container)
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            reasons.append(condition.get("message", "not scheduled"))
    if not reasons:
        return [f"is {status.get('phase', NOT_PROCESSED_MESSAGE)}"]
    return [format_error(reason) for reason in reasons]


def _explain_container(container: KubernetesObject) -> list[str]:
    name, state = container["name"], container.get("state") or {}
    reasons = []
    waiting = state.get("waiting")
    if waiting:
        reasons.append(f"{name} waits: {waiting.get('reason')} {waiting.get('message', '')}")
    elif not container.get("ready"):
        reasons.append(f"{name} runs, and its readiness probe fails")
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if ended and not container.get("ready"):
        exit_code = ended.get("exitCode")
        reasons.append(f"{name} ended before: {ended.get('reason')}, exit code {exit_code}")
    return reasons


@dataclass(frozen=True)
class ClusterWarning:
    """The latest warning of a reason about an object."""

    reason: str
    message: str
    count: int


def read_warnings(
    cluster: KubernetesCluster, warned_object: KubernetesObject
) -> list[ClusterWarning]:
    """Read the latest warning of each reason about an object, in the order of their times."""
    metadata = warned_object["metadata"]
    selector = (
        f"involvedObject.kind={warned_object['kind']},involvedObject.name={metadata['name']},"
        "type=Warning"
    )
    namespace = metadata.get("namespace")
    events = cluster.list_objects("v1", "Event", namespace, field_selector=selector)
    events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    latest_warnings: dict[str, ClusterWarning] = {}
    for event in events:
        reason = str(event.get("reason"))
        latest_warnings.pop(reason, None)
        message = format_error(event.get("message", ""))
        latest_warnings[reason] = ClusterWarning(reason, message, event.get("count") or 1)
    return list(latest_warnings.values())
