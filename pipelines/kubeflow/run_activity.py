"""Read what a run does now: the steps that run, and the pods that wait."""

from dataclasses import asdict
from typing import Any

from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.parameters import collect_step_names, unwrap_pipeline_spec
from dawnlist.pipelines.kubeflow.run_following import list_running_steps, list_waiting_pods
from dawnlist.pipelines.kubeflow.submission import is_over
from dawnlist.pipelines.kubeflow.waiting_pods import RunPods


def read_activity(client: KfpClient, run: Any, pods: RunPods) -> dict[str, Any]:
    """Describe what a run does now, for `dawnlist status`.

    Args:
        client: The client of the API.
        run: The run, as a list of the API has it, without its tasks.
        pods: Finds the pods that wait.

    Returns:
        A dict with `running` (step, seconds) and `waiting` (name, step, seconds, reason). Both
        lists are empty for a run that has ended.
    """
    activity: dict[str, Any] = {"running": [], "waiting": []}
    if is_over(run):
        return activity
    run_with_tasks = client.get_run(run.run_id)
    step_names = _read_step_names(client, run)
    for step in list_running_steps(run_with_tasks, step_names):
        activity["running"].append({"step": step.name, "seconds": round(step.seconds, 1)})
    for pod in list_waiting_pods(run_with_tasks, step_names, pods):
        activity["waiting"].append({**asdict(pod), "seconds": round(pod.seconds, 1)})
    return activity


def _read_step_names(client: KfpClient, run: Any) -> set[str]:
    reference = run.pipeline_version_reference
    version = client.get_pipeline_version(reference.pipeline_id, reference.pipeline_version_id)
    return collect_step_names(unwrap_pipeline_spec(version.pipeline_spec))
