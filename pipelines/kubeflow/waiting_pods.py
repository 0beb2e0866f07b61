"""Find the pods of a run that wait for a node, an image or a volume, and say why."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from dawnlist.pipelines.deploy.cluster import (
    KubernetesCluster,
    NoKubeconfigError,
    connect_to_kubernetes,
)
from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.pipelines.deploy.rollout_reasons import read_warnings
from dawnlist.pipelines.kubeflow.controller_check import CHECK_SECONDS
from dawnlist.urls import format_error

RUN_LABEL: Final = "pipeline/runid"
"""The label that Kubeflow gives the pods of a run. Its value is the run's id."""
NODE_NAME_ANNOTATION: Final = "workflows.argoproj.io/node-name"
"""The annotation in which Argo names a pod's node of the workflow, e.g.
`daily-x7k2p.root.exit-handler-1.tune.executor(0)`."""
KFP_NAMESPACE: Final = "kubeflow"
"""The namespace of the pods of a Kubeflow Pipelines without users."""
WAITING_GRACE_SECONDS: Final = 10
"""A pod that waits for less is not mentioned."""
EVENT_GRACE_SECONDS: Final = 25
"""How long a pod may be created before its events are read, for a volume that is missing."""
NORMAL_REASONS: Final = ("ContainerCreating", "PodInitializing")
"""What Kubernetes says of a container that is about to start."""


@dataclass(frozen=True)
class WaitingPod:
    """A pod that has not started, and the reason."""

    name: str
    step: str
    seconds: float
    """How long ago the pod was made."""
    reason: str
    """The words of the scheduler or of the node."""


@dataclass
class RunPods:
    """The pods of runs, read from the cluster of your kubeconfig or of this pod."""

    space: str | None = None
    """The profile of the runs, in a Kubeflow with several users."""
    problem: str = ""
    """Why no pod of the run can be read; empty while one can."""
    has_active: bool = False
    """Whether a pod of the run was starting or running at the last look."""
    _cluster: KubernetesCluster | None = field(default=None, repr=False)

    def list_waiting(self, run_id: str, step_names: Collection[str]) -> list[WaitingPod] | None:
        """List the pods of a run that have waited for longer than WAITING_GRACE_SECONDS.

        Args:
            run_id: The run.
            step_names: The names of the pipeline's steps.

        Returns:
            None when no pod of the run can be read; `problem` says why.
        """
        if self._cluster is None and self.problem:
            return None
        try:
            if self._cluster is None:
                self._cluster = connect_to_kubernetes("", "", CHECK_SECONDS)
            pods = self._list_pods(self._cluster, run_id)
            waiting = [self._describe_pod(self._cluster, pod, step_names) for pod in pods]
        except NoKubeconfigError:
            self.problem = "there is no kubeconfig here"
            return None
        except (OSError, ValueError) as error:
            self.problem = format_error(error)
            return None
        if not pods:
            self.problem = "the cluster of your kubeconfig shows you no pod of the run"
            return None
        self.problem = ""
        self.has_active = any(_get_phase(pod) in ("Pending", "Running") for pod in pods)
        return [pod for pod in waiting if pod is not None]

    def _list_pods(self, cluster: KubernetesCluster, run_id: str) -> list[KubernetesObject]:
        pods = []
        selector = f"{RUN_LABEL}={run_id}"
        for namespace in self._list_namespaces(cluster):
            pods += cluster.list_objects("v1", "Pod", namespace, label_selector=selector)
        return pods

    def _describe_pod(
        self, cluster: KubernetesCluster, pod: KubernetesObject, step_names: Collection[str]
    ) -> WaitingPod | None:
        """Describe a pod that waits; None for another."""
        seconds = measure_pod_age(pod)
        if _get_phase(pod) != "Pending" or seconds < WAITING_GRACE_SECONDS:
            return None
        reason = explain_waiting_pod(pod)
        if reason is None and seconds >= EVENT_GRACE_SECONDS:
            warnings = read_warnings(cluster, pod)
            if warnings:
                reason = f"{warnings[-1].reason}: {warnings[-1].message}"
        if reason is None:
            return None
        return WaitingPod(pod["metadata"]["name"], name_step(pod, step_names), seconds, reason)

    def _list_namespaces(self, cluster: KubernetesCluster) -> list[str]:
        if self.space:
            return [self.space]
        return sorted({KFP_NAMESPACE, cluster.namespace})


def _get_phase(pod: KubernetesObject) -> str | None:
    return (pod.get("status") or {}).get("phase")


def explain_waiting_pod(pod: KubernetesObject) -> str | None:
    """Explain why a pod waits, by the scheduler's condition or by its containers; None if unknown."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return format_error(condition.get("message") or condition.get("reason") or "") or None
    for statuses in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(statuses) or []:
            waiting = (container.get("state") or {}).get("waiting") or {}
            reason = waiting.get("reason")
            if reason and reason not in NORMAL_REASONS:
                return format_error(f"{reason}: {waiting.get('message', '')}").rstrip(": ")
    return None


def name_step(pod: KubernetesObject, step_names: Collection[str]) -> str:
    """Name the step of a pod, by Argo's name of its node; the pod's name for a pod of no step."""
    node_name = (pod["metadata"].get("annotations") or {}).get(NODE_NAME_ANNOTATION, "")
    for part in reversed(node_name.split(".")):
        name = re.sub(r"\(.*\)$", "", part)
        if name in step_names:
            return name
        if name.endswith("-driver") and name.removesuffix("-driver") in step_names:
            return f"{name.removesuffix('-driver')} (Kubeflow's driver of it)"
    return str(pod["metadata"]["name"])


def measure_pod_age(pod: KubernetesObject) -> float:
    """Compute the seconds since a pod was made, by this machine's clock."""
    created = pod["metadata"].get("creationTimestamp")
    if not created:
        return 0.0
    age = datetime.now(UTC) - datetime.fromisoformat(created)
    return max(0.0, age.total_seconds())
