"""Follow a run of Kubeflow Pipelines to its end: its steps, its waiting pods, the API's outages."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.submission import is_over, list_ended_steps, measure_task_seconds
from dawnlist.pipelines.kubeflow.waiting_pods import RunPods, WaitingPod

RUN_POLL_SECONDS = 5.0
API_OUTAGE_SECONDS = 300.0
"""How long following a run goes on while the API does not answer."""
API_REFUSAL_SECONDS = 15.0
"""How long following a run goes on while the API refuses the credentials."""
NO_POD_REASON: Final = (
    "Kubeflow calls it pending, and the cluster has no pod of it. A quota or an admission rule of the "
    "namespace may forbid it: `kubectl get events` says more"
)
PENDING_GRACE_SECONDS: Final = 25
"""How long Kubeflow may call a pod pending before that is mentioned: an image may be pulled."""


@dataclass(frozen=True)
class RunningStep:
    """A step that runs now."""

    name: str
    seconds: float
    """How long ago Kubeflow started it, by this machine's clock."""


class RunDisplay(Protocol):
    """Shows a run to people while it is followed."""

    def show_ended(self, step: str, state: str, seconds: float, error: str) -> None:
        """Show a step that has ended in a state, and the API's error if there is one."""

    def show_running(self, steps: list[RunningStep]) -> None:
        """Show the steps that run now."""

    def show_waiting(self, pods: list[WaitingPod]) -> None:
        """Show the pods that wait now."""

    def show_overdue(self, seconds: float) -> None:
        """Show that the run is ended, because a pod has waited for so many seconds."""

    def show_outage(self, error: Exception) -> None:
        """Show that the API does not answer any more."""

    def show_recovery(self, seconds: float) -> None:
        """Show that the API answers again, after so many seconds."""


def follow_run(
    client: KfpClient,
    run_id: str,
    step_names: set[str],
    display: RunDisplay,
    pods: RunPods,
    pending_minutes: int | None = None,
) -> Any:
    """Wait for the end of a run, and return the run.

    An outage of the API is waited out for API_OUTAGE_SECONDS.

    Args:
        client: The client of the API.
        run_id: The run.
        step_names: The names of the tasks to show.
        display: Shows them.
        pods: Finds the pods that wait.
        pending_minutes: End the run when a pod has waited for so long; None to let it wait.

    Raises:
        ConnectionError: The API does not answer any more.
        PermissionError: The API does not accept the credentials any more.
    """
    reader = _RunReader(client, run_id, display)
    shown: set[str] = set()
    overdue_shown = False
    while True:
        run = reader.read_run()
        _show_ended_steps(run, step_names, shown, display)
        if is_over(run):
            return run
        display.show_running(list_running_steps(run, step_names))
        waiting = list_waiting_pods(run, step_names, pods)
        display.show_waiting(waiting)
        longest_wait = max((pod.seconds for pod in waiting), default=0.0)
        if pending_minutes and longest_wait >= pending_minutes * 60 and not overdue_shown:
            overdue_shown = True
            display.show_overdue(longest_wait)
            reader.end_run()
        time.sleep(RUN_POLL_SECONDS)


def _show_ended_steps(run: Any, step_names: set[str], shown: set[str], display: RunDisplay) -> None:
    """Show the steps that have ended and were not shown yet, and add them to `shown`."""
    for task in list_ended_steps(run, step_names):
        if task.display_name not in shown:
            shown.add(task.display_name)
            error = (task.error and task.error.message) or ""
            seconds = measure_task_seconds(task)
            display.show_ended(task.display_name, task.state, seconds, error)


def list_running_steps(run: Any, step_names: Collection[str]) -> list[RunningStep]:
    """List the steps that Kubeflow has started and that have not ended, the oldest first."""
    steps = []
    for task in _list_tasks(run):
        if task.display_name in step_names and task.state == "RUNNING":
            steps.append(RunningStep(task.display_name, _measure_running_seconds(task)))
    return sorted(steps, key=lambda step: (-step.seconds, step.name))


def list_waiting_pods(run: Any, step_names: Collection[str], pods: RunPods) -> list[WaitingPod]:
    """List the pods of a run that wait.

    Where the cluster can't be asked, or has no pod at all, they are those that Kubeflow calls
    pending. Kubeflow names such a task `executor`, and not its step, so the steps that run are
    named.
    """
    waiting = pods.list_waiting(run.run_id, step_names)
    if waiting or (waiting is not None and pods.has_active):
        return waiting
    longest = _measure_pending_seconds(run)
    if longest < PENDING_GRACE_SECONDS:
        return []
    reason = NO_POD_REASON
    if waiting is None:
        reason = f"Kubeflow calls it pending, and the cluster can't be asked why ({pods.problem})"
    names = [step.name for step in list_running_steps(run, step_names)]
    return [WaitingPod("", " or ".join(names) or "a step", longest, reason)]


def _measure_pending_seconds(run: Any) -> float:
    """Compute for how long Kubeflow has called a task of a run pending; 0 if there is none."""
    seconds = []
    for task in _list_tasks(run):
        if task.state == "PENDING":
            seconds.append(_measure_running_seconds(task))
    return max(seconds, default=0.0)


def _list_tasks(run: Any) -> list[Any]:
    if not run.run_details:
        return []
    return run.run_details.task_details or []


def _measure_running_seconds(task: Any) -> float:
    start = task.start_time or task.create_time
    if not start:
        return 0.0
    return max(0.0, float((datetime.now(UTC) - start).total_seconds()))


@dataclass
class _RunReader:
    """Reads a run again and again, and waits out outages of the API."""

    client: KfpClient
    run_id: str
    display: RunDisplay

    def read_run(self) -> Any:
        """Read the run. After an error the client is made anew, as a token may have expired."""
        lost_since: float | None = None
        while True:
            try:
                if lost_since is not None:
                    self.client = KfpClient(*self.client.connection_arguments)
                run = self.client.get_run(self.run_id)
            except (ConnectionError, PermissionError) as error:
                if lost_since is None:
                    lost_since = time.monotonic()
                    self.display.show_outage(error)
                elif time.monotonic() - lost_since > _choose_patience(error):
                    raise
                time.sleep(RUN_POLL_SECONDS)
                continue
            if lost_since is not None:
                self.display.show_recovery(time.monotonic() - lost_since)
            return run

    def end_run(self) -> None:
        """End the run. Kubeflow lets its last step, notify, run."""
        self.client.terminate_run(self.run_id)


def _choose_patience(error: Exception) -> float:
    if isinstance(error, ConnectionError):
        return API_OUTAGE_SECONDS
    return API_REFUSAL_SECONDS
