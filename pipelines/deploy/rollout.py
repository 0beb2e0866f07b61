"""Whether what was applied is up, and if not, what keeps it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from dawnlist.pipelines.deploy.cluster import KubernetesCluster, format_object_name
from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.urls import format_error

AWAITED_KINDS = ("PersistentVolumeClaim", "StatefulSet", "Deployment", "InferenceService")
INFERENCE_SERVICE_LABEL = "serving.kserve.io/inferenceservice"
"""The label that KServe gives the pods of an InferenceService, with its name."""
SETTLE_SECONDS = 10.0
"""Seconds after a change in which an InferenceService's Ready may still be that of before: no field of it tells."""
EMPTY_PREDICTOR_SECONDS = 30.0
"""Seconds that all pods of a predictor have been up and empty before it counts as waiting for its first version."""
NO_VERSION_MESSAGE = "up, with nothing to serve yet: the first run publishes it; if one has, the store does not answer"
QUIET_SECONDS = 15.0
"""Seconds without news after which the first reason for it is shown."""
SLOWEST_POLL_SECONDS = 3.0
"""Seconds between two looks, at last."""


@dataclass(frozen=True)
class RolloutState:
    """How far an object is."""

    done: bool
    message: str
    stuck: bool = False
    """It won't become ready by waiting."""
    empty: bool = False
    """Its pods are up, but have nothing to serve yet."""


def wait_for_rollout(
    cluster: KubernetesCluster,
    documents: list[KubernetesObject],
    timeout: float,
    settle: float,
    show: Callable[[KubernetesObject, RolloutState], None],
) -> list[KubernetesObject]:
    """Look at the objects until all are up, or `timeout` seconds are over; returns those that are not.

    `show` is called with each object whose state has other words than before. A predictor that has never had a version
    to serve counts as up when all of its pods are: its readiness is for the first run to bring. For `settle` seconds
    no InferenceService is taken at its word.
    """
    start = time.monotonic()
    pending = dict(
        enumerate(document for document in documents if document["kind"] in AWAITED_KINDS)
    )
    found: dict[int, tuple[RolloutState, float]] = {}
    shown_last: dict[int, RolloutState] = {}
    pause = 0.1
    while pending:
        for number, document in list(pending.items()):
            state, now = (
                _tolerate_api_errors(partial(read_rollout_state, cluster, document)),
                time.monotonic(),
            )
            if number not in found or found[number][0] != state:
                found[number] = (state, now)
            told = _interpret_state(
                cluster,
                document,
                state,
                quiet=now - found[number][1],
                settling=now - start < settle,
            )
            if told != shown_last.get(number):
                show(document, told)
            shown_last[number] = told
            if told.done:
                del pending[number]
        left = start + timeout - time.monotonic()
        if left <= 0 or any(shown_last[number].stuck for number in pending):
            break
        pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)
        time.sleep(min(pause, left) if pending else 0)
    return list(pending.values())


def _interpret_state(
    cluster: KubernetesCluster,
    document: KubernetesObject,
    state: RolloutState,
    quiet: float,
    settling: bool,
) -> RolloutState:
    """What to make of a state that has been the same for `quiet` seconds."""
    if state.done:
        return (
            RolloutState(False, "settling")
            if settling and document["kind"] == "InferenceService"
            else state
        )
    if state.empty and quiet >= EMPTY_PREDICTOR_SECONDS:
        return RolloutState(True, NO_VERSION_MESSAGE)
    if quiet < QUIET_SECONDS:
        return state
    return _tolerate_api_errors(
        lambda: replace(
            state, message=f"{state.message}: {explain_not_ready(cluster, document)[0]}"
        )
    )


def _tolerate_api_errors(ask: Callable[[], RolloutState]) -> RolloutState:
    """A state, or what the cluster's API says of itself: it may be restarting."""
    try:
        return ask()
    except (ConnectionError, TimeoutError) as error:
        return RolloutState(False, str(error))


def read_rollout_state(cluster: KubernetesCluster, document: KubernetesObject) -> RolloutState:
    """How far an object of one of the kinds AWAITED is."""
    found = cluster.find(document)
    if found is None:
        return RolloutState(False, "is gone", stuck=True)
    kind, status = found["kind"], found.get("status") or {}
    if kind == "PersistentVolumeClaim":
        return RolloutState(
            status.get("phase") == "Bound", f"{status.get('phase', 'not looked at yet')}"
        )
    if kind == "InferenceService":
        return _read_service_state(cluster, found)
    return _read_replica_state(found)


def _read_replica_state(found: KubernetesObject) -> RolloutState:
    """Of a Deployment or StatefulSet: all replicas are of the newest template, and ready."""
    status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < found["metadata"].get("generation", 1):
        return RolloutState(False, "not looked at yet")
    up, new = (
        status.get("availableReplicas", status.get("readyReplicas", 0)),
        status.get("updatedReplicas", 0),
    )
    words = f"{min(up, new)} of {wanted} ready"
    for condition in status.get("conditions") or []:
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return RolloutState(
                False,
                f"{words}: given up ({format_error(condition.get('message', ''))})",
                stuck=True,
            )
    # an old pod that is still there answers as before
    return RolloutState(
        up >= wanted and new >= wanted and status.get("replicas", 0) <= wanted, words
    )


def _read_service_state(cluster: KubernetesCluster, found: KubernetesObject) -> RolloutState:
    """Of an InferenceService: Ready, and its Deployment rolled out.

    Ready says only that the Deployment is available, which it is all through an update; and the observedGeneration in
    its status is the Deployment's, not its own (KServe's PropagateRawStatus).
    """
    conditions = {one["type"]: one for one in (found.get("status") or {}).get("conditions") or []}
    ready = conditions.get("Ready") or {}
    name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
    place = {"apiVersion": "apps/v1", "kind": "Deployment"}
    deployment = cluster.find(
        {**place, "metadata": {"name": f"{name}-predictor", "namespace": namespace}}
    )
    rollout = (
        RolloutState(True, "no Deployment")
        if deployment is None
        else _read_replica_state(deployment)
    )
    if ready.get("status") == "True":
        return RolloutState(
            rollout.done, "ready" if rollout.done else rollout.message, rollout.stuck
        )
    if deployment is None or rollout.done:
        words = format_error(
            ready.get("message") or ready.get("reason") or "KServe has not looked at it yet"
        )
    else:
        words = rollout.message
    return RolloutState(False, words, rollout.stuck, _is_empty(list_pods(cluster, found)))


def _is_empty(pods: list[KubernetesObject]) -> bool:
    """Whether the pods all run, past their startup probe, and none is ready."""
    containers = [
        one for pod in pods for one in (pod.get("status") or {}).get("containerStatuses") or [{}]
    ]
    are_up = all(one.get("started") and not one.get("restartCount") for one in containers)
    return bool(pods) and are_up and not any(map(_is_ready, pods))


def list_pods(cluster: KubernetesCluster, found: KubernetesObject) -> list[KubernetesObject]:
    """The pods of a workload."""
    if found["kind"] == "InferenceService":
        labels = {INFERENCE_SERVICE_LABEL: found["metadata"]["name"]}
    else:
        labels = (found["spec"].get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    return (
        cluster.list_objects("v1", "Pod", cluster.namespace_of(found), label_selector=selector)
        if selector
        else []
    )


def explain_not_ready(cluster: KubernetesCluster, document: KubernetesObject) -> list[str]:
    """What keeps an object from being ready: a line for each pod that waits, and the last warnings."""
    found = cluster.find(document)
    if found is None:
        return ["somebody deleted it"]
    own = [] if found["kind"] == "PersistentVolumeClaim" else list_pods(cluster, found)
    waiting = [pod for pod in own if not _is_ready(pod)]
    lines = [
        f"pod {pod['metadata']['name']}: {reason}"
        for pod in waiting
        for reason in _explain_waiting_pod(pod)
    ]
    lines += [event for one in (found, *waiting) for event in _read_warnings(cluster, one)]
    return lines or [
        f"{format_object_name(document)}: no pod and no event tells why, or you may not list them"
    ]


def _is_ready(pod: KubernetesObject) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _explain_waiting_pod(pod: KubernetesObject) -> list[str]:
    status = pod.get("status") or {}
    reasons = []
    for container in (
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ):
        state = container.get("state") or {}
        ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
        if waiting := state.get("waiting"):
            reasons.append(
                f"{container['name']} waits: {waiting.get('reason')} {waiting.get('message', '')}"
            )
        elif not container.get("ready"):
            reasons.append(f"{container['name']} runs, and its readiness probe fails")
        if ended and not container.get("ready"):
            code = f"{ended.get('reason')}, exit code {ended.get('exitCode')}"
            reasons.append(f"{container['name']} ended before: {code}")
    scheduled = (one for one in status.get("conditions") or [] if one["type"] == "PodScheduled")
    reasons += [one.get("message", "not scheduled") for one in scheduled if one["status"] != "True"]
    return [format_error(reason) for reason in reasons] or [
        f"is {status.get('phase', 'not looked at yet')}"
    ]


def _read_warnings(cluster: KubernetesCluster, of: KubernetesObject) -> list[str]:
    """The newest warning of each reason about an object."""
    selector = f"involvedObject.kind={of['kind']},involvedObject.name={of['metadata']['name']},type=Warning"
    events = cluster.list_objects(
        "v1", "Event", of["metadata"].get("namespace"), field_selector=selector
    )
    events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    newest = {event.get("reason"): event for event in events}
    return [
        f"{format_object_name(of)}: {reason}: {format_error(event.get('message', ''))} ({event.get('count') or 1} times)"
        for reason, event in newest.items()
    ]
