"""Upload versions of the pipeline to Kubeflow Pipelines, start runs, and read their tasks."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from dawnlist.pipelines.kubeflow.client import KfpClient, silence_sdk
from dawnlist.pipelines.kubeflow.descriptions import describe_pipeline, describe_version
from dawnlist.pipelines.kubeflow.parameters import (
    PipelineSpec,
    read_node_kind,
    read_spec,
    unwrap_pipeline_spec,
)
from dawnlist.pipelines.package import build_version_name

SEARCHED_VERSIONS: Final = 100
"""How many of a pipeline's newest versions are looked at."""
FINAL_STATES: Final = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
"""The states in which a run or a task has ended."""


@dataclass(frozen=True)
class PipelineVersion:
    """A version of a pipeline at the API."""

    pipeline_id: str
    """The id of the pipeline."""
    id: str
    """The id of the version."""
    name: str
    """The name of the version in the UI."""
    spec: PipelineSpec


def ensure_version_uploaded(
    client: KfpClient, pipeline: str, package: Path
) -> tuple[PipelineVersion, bool]:
    """Find the version of a package's bytes, or upload the package. Create the pipeline if need be.

    Returns:
        The version, and whether it was uploaded.
    """
    name = build_version_name(package.read_bytes())
    spec = read_spec(package)
    uploaded_pipeline = _find_pipeline(client, pipeline)
    if uploaded_pipeline is None:
        uploaded_pipeline = _create_pipeline(client, pipeline, describe_pipeline(spec))
    pipeline_id = uploaded_pipeline.pipeline_id
    name_filter = build_equals_filter("display_name", name)
    page = client.list_pipeline_versions(pipeline_id, page_size=1, filter=name_filter)
    if page.pipeline_versions:
        return _to_version(page.pipeline_versions[0]), False
    with silence_sdk():
        uploaded = client.upload_pipeline_version(
            str(package), name, pipeline_id=pipeline_id, description=describe_version(spec)
        )
    version = PipelineVersion(
        pipeline_id, uploaded.pipeline_version_id, uploaded.display_name, spec
    )
    return version, True


def find_newest_version(client: KfpClient, pipeline: str, nodes: str) -> PipelineVersion | None:
    """Find the version of a pipeline that was created last; None when there is none.

    Versions that were compiled for `nodes`, which is "cpu" or "gpu", go before others.
    """
    uploaded_pipeline = _find_pipeline(client, pipeline)
    if uploaded_pipeline is None:
        return None

    def list_page(token: str) -> Any:
        return client.list_pipeline_versions(
            uploaded_pipeline.pipeline_id, token, page_size=10, sort_by="created_at desc"
        )

    newest = None
    for found in islice(iter_pages(list_page, "pipeline_versions"), SEARCHED_VERSIONS):
        version = _to_version(found)
        if "root" not in version.spec:
            continue
        if read_node_kind(version.spec) == nodes:
            return version
        newest = newest or version
    return newest


def find_experiment(client: KfpClient, name: str) -> str | None:
    """Find the id of an experiment by its name; None when there is none."""
    name_filter = build_equals_filter("display_name", name)
    page = client.list_experiments(filter=name_filter, namespace=client.space)
    return page.experiments[0].experiment_id if page.experiments else None


def ensure_experiment(client: KfpClient, name: str) -> str:
    """Return the id of an experiment, and create the experiment if need be."""
    with silence_sdk():
        return str(client.create_experiment(name, namespace=client.space).experiment_id)


def iter_pages(list_page: Callable[[str], Any], field: str) -> Iterator[Any]:
    """Iterate over a list that comes in pages.

    Args:
        list_page: Returns the page of a token; the token of the first page is empty.
        field: The name of the attribute of a page that holds its entries.
    """
    token = ""
    while True:
        page = list_page(token)
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
        run = client.run_pipeline(
            experiment_id,
            name,
            params=parameters,
            pipeline_id=version.pipeline_id,
            version_id=version.id,
            service_account=account or None,
        )
    return str(run.run_id)


def is_over(run: Any) -> bool:
    """Say whether a run has ended."""
    return run.state in FINAL_STATES


def list_ended_steps(run: Any, step_names: set[str]) -> list[Any]:
    """List the ended tasks of a run, in the order in which they ended.

    Kubeflow's own tasks, which drive the steps, are left out.
    """
    if not run.run_details:
        return []
    ended = []
    for task in run.run_details.task_details or []:
        is_step = task.display_name in step_names
        if is_step and task.state in FINAL_STATES and task.end_time:
            ended.append(task)
    return sorted(ended, key=lambda task: (task.end_time, task.display_name))


def measure_task_seconds(task: Any) -> float:
    """Compute how long an ended task took; 0 when the API does not know its start."""
    start = task.start_time or task.create_time
    if not start:
        return 0.0
    return float((task.end_time - start).total_seconds())


def _find_pipeline(client: KfpClient, name: str) -> Any:
    name_filter = build_equals_filter("display_name", name)
    page = client.list_pipelines(filter=name_filter, namespace=client.space)
    return page.pipelines[0] if page.pipelines else None


def _create_pipeline(client: KfpClient, name: str, description: str) -> Any:
    from kfp_server_api import V2beta1Pipeline

    return client.pipelines.pipeline_service_create_pipeline(
        V2beta1Pipeline(
            name=name, display_name=name, description=description, namespace=client.space
        )
    )


def _to_version(version: Any) -> PipelineVersion:
    return PipelineVersion(
        version.pipeline_id,
        version.pipeline_version_id,
        version.display_name,
        unwrap_pipeline_spec(version.pipeline_spec),
    )


def build_equals_filter(key: str, value: str) -> str:
    """Build a filter for the API's lists: the field `key` must equal a value.

    An installation that keeps pipelines as Kubernetes objects supports few other filters.
    """
    predicate = {"operation": "EQUALS", "key": key, "stringValue": value}
    return json.dumps({"predicates": [predicate]})
