"""The part of MLflow's tracking API that Dawnlist uses, with state: paths, fields, limits and errors of its REST API.

Read in mlflow 3.17.2: protos/service.proto, utils/validation.py, store/tracking/sqlalchemy_store.py. `log_run` was
tried by hand on a real server of that version: it took and refused the same.
"""

import base64
import re
from dataclasses import dataclass, field
from typing import Final

from tests.support.json_api import JsonApi, Object, RefusedError, Request, check_body

Answer = tuple[int, Object]
NAME: Final = re.compile(r"[/\w.\- :]+", re.ASCII)
MAX_PARAMETERS, MAX_METRICS, MAX_PARAMETER_TEXT = 100, 1000, 6000
INVALID: Final = "INVALID_PARAMETER_VALUE"


@dataclass
class Entry:
    """A run, as the server keeps it."""

    experiment: str
    name: str
    start: int
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    status: str = "RUNNING"
    end: int | None = None


@dataclass
class Mlflow(JsonApi):
    """A tracking server."""

    code_field: str = "error_code"
    experiments: dict[str, str] = field(default_factory=dict)
    """Id by name."""
    entries: dict[str, Entry] = field(default_factory=dict)
    login: str = ""
    """USER:PASSWORD that requests must have; empty for none."""

    def __post_init__(self) -> None:
        root = "/api/2.0/mlflow"
        self.routes = [
            ("GET", f"{root}/experiments/get-by-name", self._get_experiment),
            ("POST", f"{root}/experiments/create", self._create_experiment),
            ("POST", f"{root}/runs/search", self._search),
            ("POST", f"{root}/runs/create", self._create_run),
            ("POST", f"{root}/runs/log-batch", self._log_batch),
            ("POST", f"{root}/runs/update", self._update),
        ]

    def answer(self, request: Request) -> tuple[int, Object | None]:
        """Refuse a caller without the login, as MLflow's basic authentication does."""
        wanted = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        if self.login and request.headers.get("Authorization") != wanted:
            self.requests.append(request)
            return 401, {"error_code": "UNAUTHENTICATED", "message": "You are not authenticated."}
        return super().answer(request)

    def _get_experiment(self, request: Request, _: "re.Match[str]") -> Answer:
        name = request.query["experiment_name"]
        if name not in self.experiments:
            message = f"Could not find experiment with name '{name}'"
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", message)
        return 200, {"experiment": {"experiment_id": self.experiments[name], "name": name}}

    def _create_experiment(self, request: Request, _: "re.Match[str]") -> Answer:
        check_body(request.body, {"name": str, "artifact_location": str, "tags": list}, ("name",))
        name = request.body["name"]
        if name in self.experiments:
            raise RefusedError(400, "RESOURCE_ALREADY_EXISTS", f"Experiment(name={name}) exists.")
        self.experiments[name] = str(len(self.experiments) + 1)
        return 200, {"experiment_id": self.experiments[name]}

    def _search(self, request: Request, _: "re.Match[str]") -> Answer:
        fields = {"experiment_ids": list, "filter": str, "max_results": int, "order_by": list}
        check_body(request.body, fields, ("experiment_ids",))
        match = re.fullmatch(r"tags\.`([^`]+)` = '([^']*)'", request.body["filter"])
        if not match:
            raise RefusedError(400, INVALID, f"Invalid clause {request.body['filter']}")
        runs = []
        for entry_id, entry in self.entries.items():
            is_among = entry.experiment in request.body["experiment_ids"]
            if is_among and entry.tags.get(match[1]) == match[2]:
                runs.append({"info": {"run_id": entry_id}})
        return 200, {"runs": runs[: request.body["max_results"]]} if runs else {}

    def _create_run(self, request: Request, _: "re.Match[str]") -> Answer:
        body = request.body
        fields = {
            "experiment_id": str,
            "run_name": str,
            "start_time": int,
            "tags": list,
            "user_id": str,
        }
        check_body(body, fields, ("experiment_id",))
        if body["experiment_id"] not in self.experiments.values():
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", "No Experiment with that id")
        entry_id = f"entry{len(self.entries) + 1}"
        tags = {tag["key"]: tag["value"] for tag in body["tags"]}
        self.entries[entry_id] = Entry(
            body["experiment_id"], body["run_name"], body["start_time"], tags
        )
        return 200, {"run": {"info": {"run_id": entry_id}}}

    def _log_batch(self, request: Request, _: "re.Match[str]") -> Answer:
        check_body(
            request.body,
            {"run_id": str, "params": list, "metrics": list, "tags": list},
            ("run_id",),
        )
        entry = self._get_entry(request.body["run_id"])
        params, metrics = request.body["params"], request.body["metrics"]
        if len(params) > MAX_PARAMETERS or len(metrics) > MAX_METRICS:
            raise RefusedError(400, INVALID, "too many in a batch")
        for param in params:
            check_body(param, {"key": str, "value": str}, ("key",))
            _check_name(param["key"])
            if len(param["value"]) > MAX_PARAMETER_TEXT:
                raise RefusedError(400, INVALID, "a parameter's value is too long")
            if entry.params.get(param["key"], param["value"]) != param["value"]:
                raise RefusedError(400, INVALID, f"Changing param {param['key']} is not allowed")
            entry.params[param["key"]] = param["value"]
        for metric in metrics:
            fields = {"key": str, "value": float, "timestamp": int, "step": int}
            check_body({**metric, "value": float(metric["value"])}, fields, ("key", "timestamp"))
            _check_name(metric["key"])
            entry.metrics[metric["key"]] = metric["value"]
        return 200, {}

    def _update(self, request: Request, _: "re.Match[str]") -> Answer:
        status = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
        check_body(
            request.body,
            {"run_id": str, "status": status, "end_time": int, "run_name": str},
            ("run_id",),
        )
        entry = self._get_entry(request.body["run_id"])
        entry.status, entry.end = request.body["status"], request.body["end_time"]
        return 200, {"run_info": {"run_id": request.body["run_id"]}}

    def _get_entry(self, entry_id: str) -> Entry:
        if entry_id not in self.entries:
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"Run with id={entry_id} not found")
        return self.entries[entry_id]


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > 250:
        raise RefusedError(400, INVALID, f"Invalid name: '{name}'")
