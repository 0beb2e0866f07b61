"""Pipelines, versions and runs at the Kubeflow Pipelines API: what stands there, what is added, how a run goes."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dawnlist.pipelines.kubeflow.client import Client, quiet
from dawnlist.pipelines.kubeflow.parameters import Spec, plain, read_spec
from dawnlist.pipelines.package import version_name

ENDS: Final = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
POLL_SECONDS = 5.0
PATIENCE_SECONDS = 300.0
"""For so long a run is followed through an API that does not answer."""
REFUSED_SECONDS = 15.0
"""For so long a run is followed through an API that does not know us any more."""

Tell = Callable[[str, str, float, str], None]
"""Called with a step, the state it ended in, its seconds, and what the API says of a failure."""


@dataclass(frozen=True)
class Version:
    """A version of a pipeline that the API has."""

    pipeline: str
    """The pipeline's id."""
    id: str
    name: str
    spec: Spec


def uploaded(client: Client, pipeline: str, package: Path) -> tuple[Version, bool]:
    """The version of these very bytes, and whether it had to be uploaded; the pipeline is made if need be."""
    name, held = version_name(package.read_bytes()), _pipeline(client, pipeline)
    if held is None:
        from kfp_server_api import V2beta1Pipeline

        held = client.pipelines.pipeline_service_create_pipeline(
            V2beta1Pipeline(name=pipeline, display_name=pipeline, namespace=client.space)
        )
    if found := _versions(client, held.pipeline_id, where("display_name", name)):
        return _version(found[0]), False
    with quiet():
        made = client.upload_pipeline_version(str(package), name, pipeline_id=held.pipeline_id)
    return Version(held.pipeline_id, made.pipeline_version_id, made.display_name, read_spec(package)), True


def newest(client: Client, pipeline: str) -> Version | None:
    """The version of a pipeline that was made last, or None when there is none."""
    held = _pipeline(client, pipeline)
    found = _versions(client, held.pipeline_id) if held else []
    return _version(found[0]) if found else None


def experiment(client: Client, name: str) -> str | None:
    """The id of an experiment, or None when there is none of that name."""
    found = client.list_experiments(filter=where("display_name", name), namespace=client.space).experiments
    return found[0].experiment_id if found else None


def made_experiment(client: Client, name: str) -> str:
    """The id of an experiment, which is made if need be."""
    with quiet():
        return str(client.create_experiment(name, namespace=client.space).experiment_id)


def pages(ask: Callable[[str], Any], field: str) -> Iterator[Any]:
    """All entries of a list that comes in pages; `ask` takes the token of the next one."""
    token = ""
    while True:
        page = ask(token)
        yield from getattr(page, field) or []
        token = page.next_page_token
        if not token:
            return


def run(
    client: Client, version: Version, experiment_id: str, name: str, parameters: dict[str, Any], account: str
) -> str:
    """Start a run and return its id."""
    with quiet():
        made = client.run_pipeline(
            experiment_id, name, params=parameters, pipeline_id=version.pipeline, version_id=version.id,
            service_account=account or None,
        )  # fmt: skip
    return str(made.run_id)


def follow(client: Client, run_id: str, steps: set[str], tell: Tell) -> Any:
    """Tell of each step as it ends until the run has, and return the run; ConnectionError when the API is lost."""
    told: set[str] = set()
    heard, asked, lost = time.monotonic(), client.asked, False
    while True:
        try:
            # a token or cookie may have ended, and be there anew
            client, lost = (Client(*asked) if lost else client), False
            found = client.get_run(run_id)
            heard = time.monotonic()
        except (ConnectionError, PermissionError) as error:
            patience = PATIENCE_SECONDS if isinstance(error, ConnectionError) else REFUSED_SECONDS
            if time.monotonic() - heard > patience:
                raise
            lost = True
            time.sleep(POLL_SECONDS)
            continue
        for task in ended(found, steps):
            if task.display_name not in told:
                told.add(task.display_name)
                tell(task.display_name, task.state, seconds(task), (task.error and task.error.message) or "")
        if is_over(found):
            return found
        time.sleep(POLL_SECONDS)


def is_over(found: Any) -> bool:
    """Whether a run has ended."""
    return found.state in ENDS


def ended(found: Any, steps: set[str]) -> list[Any]:
    """The tasks of a run that have ended and are steps, in the order they did: what drives them is left out."""
    tasks = (found.run_details.task_details if found.run_details else None) or []
    over = [task for task in tasks if task.display_name in steps and task.state in ENDS and task.end_time]
    return sorted(over, key=lambda task: (task.end_time, task.display_name))


def seconds(task: Any) -> float:
    """How long a task took, as the API tells it."""
    begun = task.start_time or task.create_time
    return float((task.end_time - begun).total_seconds()) if begun else 0.0


def _pipeline(client: Client, name: str) -> Any:
    found = client.list_pipelines(filter=where("display_name", name), namespace=client.space).pipelines
    return found[0] if found else None


def _versions(client: Client, pipeline: str, among: str | None = None) -> list[Any]:
    answer = client.list_pipeline_versions(pipeline, sort_by="created_at desc", page_size=1, filter=among)
    return answer.pipeline_versions or []


def _version(found: Any) -> Version:
    return Version(found.pipeline_id, found.pipeline_version_id, found.display_name, plain(found.pipeline_spec))


def where(key: str, value: str) -> str:
    """A filter of the API's lists; where it keeps pipelines as Kubernetes' objects, it can hardly do more than this."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value}]})
