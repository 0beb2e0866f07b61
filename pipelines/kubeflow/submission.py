"""Pipelines, versions and runs at the Kubeflow Pipelines API: what stands there, what is added, how a run goes."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dawnlist.pipelines.kubeflow.client import KfpClient, silence_sdk
from dawnlist.pipelines.kubeflow.parameters import PipelineSpec, read_spec, unwrap_pipeline_spec
from dawnlist.pipelines.package import build_version_name

FINAL_STATES: Final = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
RUN_POLL_SECONDS = 5.0
API_OUTAGE_SECONDS = 300.0
"""For so long a run is followed through an API that does not answer."""
API_REFUSAL_SECONDS = 15.0
"""For so long a run is followed through an API that does not know us any more."""

StepEndCallback = Callable[[str, str, float, str], None]
"""Called with a step, the state it ended in, its seconds, and what the API says of a failure."""


@dataclass(frozen=True)
class PipelineVersion:
    """A version of a pipeline that the API has."""

    pipeline_id: str
    """The pipeline's id."""
    id: str
    name: str
    spec: PipelineSpec


def ensure_version_uploaded(
    client: KfpClient, pipeline: str, package: Path
) -> tuple[PipelineVersion, bool]:
    """The version of these very bytes, and whether it had to be uploaded; the pipeline is made if need be."""
    name, held = build_version_name(package.read_bytes()), _find_pipeline(client, pipeline)
    if held is None:
        from kfp_server_api import V2beta1Pipeline

        held = client.pipelines.pipeline_service_create_pipeline(
            V2beta1Pipeline(name=pipeline, display_name=pipeline, namespace=client.space)
        )
    if found := _list_newest_versions(
        client, held.pipeline_id, build_equals_filter("display_name", name)
    ):
        return _to_version(found[0]), False
    with silence_sdk():
        made = client.upload_pipeline_version(str(package), name, pipeline_id=held.pipeline_id)
    return PipelineVersion(
        held.pipeline_id, made.pipeline_version_id, made.display_name, read_spec(package)
    ), True


def find_newest_version(client: KfpClient, pipeline: str) -> PipelineVersion | None:
    """The version of a pipeline that was made last, or None when there is none."""
    held = _find_pipeline(client, pipeline)
    found = _list_newest_versions(client, held.pipeline_id) if held else []
    return _to_version(found[0]) if found else None


def find_experiment(client: KfpClient, name: str) -> str | None:
    """The id of an experiment, or None when there is none of that name."""
    found = client.list_experiments(
        filter=build_equals_filter("display_name", name), namespace=client.space
    ).experiments
    return found[0].experiment_id if found else None


def ensure_experiment(client: KfpClient, name: str) -> str:
    """The id of an experiment, which is made if need be."""
    with silence_sdk():
        return str(client.create_experiment(name, namespace=client.space).experiment_id)


def iter_pages(ask: Callable[[str], Any], field: str) -> Iterator[Any]:
    """All entries of a list that comes in pages; `ask` takes the token of the next one."""
    token = ""
    while True:
        page = ask(token)
        yield from getattr(page, field) or []
        token = page.next_page_token
        if not token:
            return


def start_run(
    client: KfpClient,
    version: PipelineVersion,
    experiment_id: str,
    name: str,
    parameters: dict[str, Any],
    account: str,
) -> str:
    """Start a run and return its id."""
    with silence_sdk():
        made = client.run_pipeline(
            experiment_id, name, params=parameters, pipeline_id=version.pipeline_id, version_id=version.id,
            service_account=account or None,
        )  # fmt: skip
    return str(made.run_id)


def follow_run(client: KfpClient, run_id: str, steps: set[str], tell: StepEndCallback) -> Any:
    """Tell of each step as it ends until the run has, and return the run; ConnectionError when the API is lost."""
    told: set[str] = set()
    heard, asked, lost = time.monotonic(), client.connection_arguments, False
    while True:
        try:
            # a token or cookie may have ended, and be there anew
            client, lost = (KfpClient(*asked) if lost else client), False
            found = client.get_run(run_id)
            heard = time.monotonic()
        except (ConnectionError, PermissionError) as error:
            patience = (
                API_OUTAGE_SECONDS if isinstance(error, ConnectionError) else API_REFUSAL_SECONDS
            )
            if time.monotonic() - heard > patience:
                raise
            lost = True
            time.sleep(RUN_POLL_SECONDS)
            continue
        for task in list_ended_steps(found, steps):
            if task.display_name not in told:
                told.add(task.display_name)
                tell(
                    task.display_name,
                    task.state,
                    measure_task_seconds(task),
                    (task.error and task.error.message) or "",
                )
        if is_over(found):
            return found
        time.sleep(RUN_POLL_SECONDS)


def is_over(found: Any) -> bool:
    """Whether a run has ended."""
    return found.state in FINAL_STATES


def list_ended_steps(found: Any, steps: set[str]) -> list[Any]:
    """The tasks of a run that have ended and are steps, in the order they did: what drives them is left out."""
    tasks = (found.run_details.task_details if found.run_details else None) or []
    over = [
        task
        for task in tasks
        if task.display_name in steps and task.state in FINAL_STATES and task.end_time
    ]
    return sorted(over, key=lambda task: (task.end_time, task.display_name))


def measure_task_seconds(task: Any) -> float:
    """How long a task took, as the API tells it."""
    begun = task.start_time or task.create_time
    return float((task.end_time - begun).total_seconds()) if begun else 0.0


def _find_pipeline(client: KfpClient, name: str) -> Any:
    found = client.list_pipelines(
        filter=build_equals_filter("display_name", name), namespace=client.space
    ).pipelines
    return found[0] if found else None


def _list_newest_versions(client: KfpClient, pipeline: str, among: str | None = None) -> list[Any]:
    answer = client.list_pipeline_versions(
        pipeline, sort_by="created_at desc", page_size=1, filter=among
    )
    return answer.pipeline_versions or []


def _to_version(found: Any) -> PipelineVersion:
    return PipelineVersion(
        found.pipeline_id,
        found.pipeline_version_id,
        found.display_name,
        unwrap_pipeline_spec(found.pipeline_spec),
    )


def build_equals_filter(key: str, value: str) -> str:
    """A filter of the API's lists; where it keeps pipelines as Kubernetes' objects, it can hardly do more than this."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value}]})
