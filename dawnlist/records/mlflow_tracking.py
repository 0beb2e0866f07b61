"""Log a run's parameters and metrics to an MLflow tracking server, through its REST API (2.x, 3.x)."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from dawnlist.records.rest_api import RestApi
from dawnlist.secret_values import read_secret
from dawnlist.urls import MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_USERNAME

API_ROOT: Final = "/api/2.0/mlflow"
RUN_TAG: Final = "dawnlist.run"
"""The tag by which a second call for the same run finds the first one's entry."""
MAX_PARAMETERS: Final = 100
"""How many parameters one request may have."""
MAX_PARAMETER_TEXT: Final = 500
"""Characters of a parameter's value. Newer servers take 6000, older ones no more than this."""
_FORBIDDEN_CHARACTER = re.compile(r"[^\w\-./ :]", re.ASCII)
"""What a name of a metric or a parameter may not contain."""

TrackedStatus = Literal["FINISHED", "FAILED"]


@dataclass(frozen=True)
class TrackedRun:
    """A run, as MLflow keeps it."""

    run: str
    """The id of the run."""
    name: str
    """What the list of runs shows."""
    status: TrackedStatus
    start: datetime
    end: datetime
    parameters: Mapping[str, Any]
    """The parameters of the run and of its best trial."""
    metrics: Mapping[str, float]
    """Figures by name. Those that are not finite are left out."""
    tags: Mapping[str, str]


def log_run(url: str, experiment: str, tracked: TrackedRun) -> str:
    """Log a run to an experiment, which is created if it is missing.

    A second call for the same run replaces the first one's metrics and adds no entry.

    Args:
        url: The server's address, e.g. http://mlflow.example:5000.
        experiment: The experiment's name.
        tracked: What to log.

    Returns:
        Where the run is, in one line.

    Raises:
        RestApiError: The server does not answer, or refuses.
    """
    with RestApi(url, read_secret(MLFLOW_TOKEN), _read_basic_auth()) as api:
        experiment_id = _find_or_create_experiment(api, experiment)
        entry_id = _find_or_create_entry(api, experiment_id, tracked)
        batch = {
            "run_id": entry_id,
            "params": _build_parameters(tracked.parameters),
            "metrics": _build_metrics(tracked.metrics, tracked.end),
        }
        api.post(f"{API_ROOT}/runs/log-batch", batch)
        end = {"run_id": entry_id, "status": tracked.status, "end_time": _to_millis(tracked.end)}
        api.post(f"{API_ROOT}/runs/update", end)
    return f"run {entry_id} of the experiment {experiment}"


def _read_basic_auth() -> tuple[str, str] | None:
    user, password = read_secret(MLFLOW_USERNAME), read_secret(MLFLOW_PASSWORD)
    if user and password:
        return user, password
    return None


def _find_or_create_experiment(api: RestApi, name: str) -> str:
    answer = api.find(f"{API_ROOT}/experiments/get-by-name", experiment_name=name)
    if answer is None:
        created = api.post(f"{API_ROOT}/experiments/create", {"name": name})
        return str(created["experiment_id"])
    return str(answer["experiment"]["experiment_id"])


def _find_or_create_entry(api: RestApi, experiment_id: str, tracked: TrackedRun) -> str:
    """Return the id of MLflow's entry of the run."""
    search = {
        "experiment_ids": [experiment_id],
        "filter": f"tags.`{RUN_TAG}` = '{tracked.run}'",
        "max_results": 1,
    }
    existing = api.post(f"{API_ROOT}/runs/search", search).get("runs")
    if existing:
        return str(existing[0]["info"]["run_id"])
    tags = []
    for key, value in {**tracked.tags, RUN_TAG: tracked.run}.items():
        tags.append({"key": key, "value": value})
    body = {
        "experiment_id": experiment_id,
        "run_name": tracked.name,
        "start_time": _to_millis(tracked.start),
        "tags": tags,
    }
    return str(api.post(f"{API_ROOT}/runs/create", body)["run"]["info"]["run_id"])


def _build_parameters(parameters: Mapping[str, Any]) -> list[dict[str, str]]:
    entries = []
    for name, value in parameters.items():
        text = str(value)[:MAX_PARAMETER_TEXT]
        if text:
            entries.append({"key": _rename(name), "value": text})
    return entries[:MAX_PARAMETERS]


def _build_metrics(metrics: Mapping[str, float], moment: datetime) -> list[dict[str, Any]]:
    entries = []
    for name, value in metrics.items():
        if math.isfinite(value):
            entry = {"key": _rename(name), "value": value, "timestamp": _to_millis(moment)}
            entries.append({**entry, "step": 0})
    return entries


def _rename(name: str) -> str:
    """Return a name that MLflow takes, e.g. `ndcg_at_20` for `ndcg@20`."""
    return _FORBIDDEN_CHARACTER.sub("_", name.replace("@", "_at_"))


def _to_millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
