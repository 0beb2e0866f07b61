"""A Kubeflow Pipelines API (v2beta1) with state, which holds each request and each answer to the API's definition.

The definition is the one that Kubeflow's own client was generated from, read back from `kfp_server_api`: methods,
paths, names in queries, and the models' fields and types. Beyond it are the rules of the backend that a client may
meet: parameters must fit the pipeline's specification, what is referred to must exist, and names may not repeat.
"""

import contextlib
import email.parser
import email.policy
import http.server
import inspect
import io
import json
import re
import ssl
import sys
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import kfp_server_api
import pytest
import typer
import yaml
from rich.console import Console

from dawnlist.pipelines import cli, terminal
from dawnlist.pipelines.deploy.manifests import YAML_LOADER
from dawnlist.pipelines.kubeflow import output as kubeflow_words
from dawnlist.pipelines.kubeflow.api_version import parse_api_version
from dawnlist.pipelines.kubeflow.parameters import collect_step_names
from dawnlist.pipelines.package import build_version_name
from tests.support.threads import serving

Object = dict[str, Any]
LONG = ("max_concurrency", "interval_second")
"""int64 in the API's protocol buffers: text in JSON, and taken as a number, too."""
UNDEFINED = ("commit_sha", "tag_name")
"""What the API says of its health beyond its definition."""
TYPES = {"str": str, "bool": bool, "int": int, "float": (int, float), "object": object}
PARAMETERS = {"STRING": str, "NUMBER_INTEGER": (int, float), "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool,
              "LIST": list, "STRUCT": dict}  # fmt: skip


class RefusedError(Exception):
    """A request that the API answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Operation:
    """One method of the API's definition."""

    name: str
    verb: str
    path: "re.Pattern[str]"
    query: dict[str, str]
    """Name -> type."""
    body: str
    """The model of the body, if it has one."""
    answer: str
    files: bool


@cache
def operations() -> list[Operation]:
    """The definition of the API, from the client that was generated from it."""
    services = [
        service for name, service in vars(kfp_server_api).items() if name.endswith("ServiceApi")
    ]
    return [
        _operation(name.removesuffix("_with_http_info"), method)
        for service in services
        for name, method in vars(service).items()
        if name.endswith("_with_http_info")
    ]


def _operation(name: str, method: Callable[..., Any]) -> Operation:
    source = inspect.getsource(method)
    types = dict(re.findall(r":type (\w+): (\S+)", source))
    [(path, verb)] = re.findall(r"call_api\(\s*'(/apis/v2beta1/[^']+)', '(\w+)'", source)
    body = re.findall(r"body_params = local_var_params\['(\w+)'\]", source)
    arguments = re.findall(r"local_var_params\['(\w+)'\]\)\)  # noqa", source)
    names = re.findall(r"query_params\.append\(\('([\w.]+)'", source)
    pattern = re.sub(
        r"\\\{([\w.]+)\\\}",
        lambda found: f"(?P<{found[1].replace('.', '_')}>[^/:]+)",
        re.escape(path),
    )
    return Operation(
        name, verb, re.compile(pattern), {wire: types[own] for wire, own in zip(names, arguments, strict=True)},
        types[body[0]] if body else "", re.findall(r"response_type='([^']*)'", source)[0], "local_var_files[" in source,
    )  # fmt: skip


def check(value: Any, kind: str, place: str) -> None:
    """RefusedError(400) when a JSON value is not of the definition's type `kind`: unknown fields, wrong types."""
    if found := re.fullmatch(r"list\[(.+)\]", kind):
        check_type(value, list, place)
        for number, one in enumerate(value):
            check(one, found[1], f"{place}[{number}]")
    elif found := re.fullmatch(r"dict\(str, (.+)\)", kind):
        check_type(value, dict, place)
        for name, one in value.items():
            check(one, found[1], f"{place}.{name}")
    elif kind == "datetime":
        check_type(value, str, place)
        datetime.fromisoformat(value)
    elif kind in TYPES:
        long = place.rpartition(".")[2] in LONG
        check_type(value, (str, int) if long else TYPES[kind], place)
    else:
        _check_model(value, getattr(kfp_server_api.models, kind), place)


def check_type(value: Any, kind: Any, place: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind not in (bool, object)):
        raise RefusedError(400, f"{place} is {value!r}, no {kind}")


def _check_model(value: Any, model: Any, place: str) -> None:
    if allowed := getattr(model, "allowable_values", None):
        if value not in allowed:
            raise RefusedError(400, f"{place} is {value!r}, none of {allowed}")
        return
    if not model.openapi_types:  # anything goes, such as protobuf's null
        return
    check_type(value, dict, place)
    own = {wire: name for name, wire in model.attribute_map.items()}
    for wire, one in value.items():
        if wire not in own:
            raise RefusedError(400, f"{place} has a field {wire!r} that {model.__name__} has not")
        check(one, model.openapi_types[own[wire]], f"{place}.{wire}")


@dataclass
class Fault:
    """What goes wrong with requests whose verb and path match."""

    pattern: str
    kind: str
    """A status, or `drop`: no answer, or `page`: one to log in at."""
    times: int = 1_000_000


@dataclass
class Kubeflow:
    """What stands at the API, and how it is to behave."""

    url: str = ""
    pipelines: list[Object] = field(default_factory=list)
    versions: list[Object] = field(default_factory=list)
    experiments: list[Object] = field(default_factory=list)
    runs: list[Object] = field(default_factory=list)
    recurring: list[Object] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """Names of the operations that were asked for."""
    faults: list[Fault] = field(default_factory=list)
    token: str = ""
    """If set, whoever does not send it is answered 401."""
    failing: str = ""
    """The step that fails in runs."""
    multi_user: bool = False
    """Whether experiments and runs are somebody's, whose namespace has to be said, and may not be otherwise."""
    page: int = 100
    """At most so many entries in a page."""
    tag: str = "2.17.0"
    """The version that it says it is."""
    ui: bool = True
    """Whether this is the server of the UI, which passes the API's requests on; else it is the API alone."""
    waiting: str = ""
    """The step whose pod waits in runs: no node has room for it."""
    waiting_seconds: float = 0.0
    """For how long that pod has waited, whenever it is looked at."""
    hours_passed: float = 0.0
    """How long ago runs were started, for the deadline of their package."""
    terminated: set[str] = field(default_factory=set)
    """The ids of runs that somebody has ended."""
    clock: int = 0

    def fault(self, request: str) -> str | None:
        """What goes wrong with a request, if anything."""
        for one in self.faults:
            if one.times and re.search(one.pattern, request):
                one.times -= 1
                return one.kind
        return None

    def now(self) -> str:
        """A moment that is later each time."""
        self.clock += 1
        return (
            (datetime(2026, 1, 31, 3, tzinfo=UTC) + timedelta(seconds=self.clock))
            .isoformat()
            .replace("+00:00", "Z")
        )

    def install(self, package: Path) -> str:
        """A pipeline with one version, as an earlier command has left them; gives the version's name."""
        pipeline = self.pipeline_service_create_pipeline(
            {"name": "dawnlist-daily", "display_name": "dawnlist-daily"}
        )
        name = build_version_name(package.read_bytes())
        self.upload_pipeline_version(name, pipeline["pipeline_id"], package.read_bytes())
        return name

    # the operations, by the names that the definition gives them

    def healthz_service_get_healthz(self) -> Object:
        """As backend/src/apiserver/main.go writes it: with two fields that the definition has not."""
        names = {"commit_sha": "0" * 40, "tag_name": self.tag}
        return {**names, "multi_user": self.multi_user, "pipeline_store": "database"}

    def pipeline_service_list_pipelines(self, **query: Any) -> Object:
        return self._list("pipelines", self.pipelines, query)

    def pipeline_service_create_pipeline(self, body: Object) -> Object:
        if any(
            one["name"] == body["name"] and one.get("namespace") == body.get("namespace")
            for one in self.pipelines
        ):
            raise RefusedError(409, f"AlreadyExistsError: a pipeline {body['name']} exists")
        return self._add(self.pipelines, {**body, "pipeline_id": str(uuid.uuid4())})

    def pipeline_service_list_pipeline_versions(self, pipeline_id: str, **query: Any) -> Object:
        found = [one for one in self.versions if one["pipeline_id"] == pipeline_id]
        return self._list("pipeline_versions", found, query)

    def pipeline_service_get_pipeline_version(
        self, pipeline_id: str, pipeline_version_id: str
    ) -> Object:
        self._get(self.pipelines, "pipeline_id", pipeline_id)
        return self._get(self.versions, "pipeline_version_id", pipeline_version_id)

    def upload_pipeline_version(
        self, name: str, pipelineid: str, file: bytes, description: str = ""
    ) -> Object:
        self._get(self.pipelines, "pipeline_id", pipelineid)
        if any(one["name"] == name and one["pipeline_id"] == pipelineid for one in self.versions):
            raise RefusedError(409, f"AlreadyExistsError: a version {name} exists")
        version = {
            "pipeline_id": pipelineid,
            "pipeline_version_id": str(uuid.uuid4()),
            "name": name,
            "description": description,
        }
        return self._add(
            self.versions, {**version, "display_name": name, "pipeline_spec": self._read(file)}
        )

    def _read(self, file: bytes) -> Object:
        """A package as the API keeps it. Before 2.17 a document with a deadline is none that it knows.

        backend/src/apiserver/template/v2_template.go, IsPlatformSpecWithKubernetesConfig: what protojson does not
        know makes the document one of another kind, which is left out without a word.
        """
        spec = parsed(file)
        version = parse_api_version(self.tag)
        if version and version < (2, 17) and _deadline(spec):
            return {**spec, "platform_spec": {}}
        return spec

    def experiment_service_list_experiments(self, **query: Any) -> Object:
        self._owned(query)
        return self._list("experiments", self.experiments, query)

    def experiment_service_create_experiment(self, body: Object) -> Object:
        self._owned(body)
        return self._add(self.experiments, {**body, "experiment_id": str(uuid.uuid4())})

    def run_service_create_run(self, body: Object) -> Object:
        self._runnable(body)
        return self._add(self.runs, {**body, "run_id": str(uuid.uuid4()), "state": "PENDING"})

    def run_service_list_runs(self, experiment_id: str = "", **query: Any) -> Object:
        return self._list(
            "runs", [one for one in self.runs if one["experiment_id"] == experiment_id], query
        )

    def run_service_get_run(self, run_id: str) -> Object:
        """The run as it stands; each time one more of its steps has ended, so that nobody waits."""
        run = self._get(self.runs, "run_id", run_id)
        if run["state"] in ("PENDING", "RUNNING", "CANCELING"):
            self._advance(run)
        return run

    def run_service_terminate_run(self, run_id: str) -> Object:
        """The workflow gets a deadline of 0 seconds, so all but its exit handler ends."""
        self._get(self.runs, "run_id", run_id)["state"] = "CANCELING"
        self.terminated.add(run_id)
        return {}

    def recurring_run_service_create_recurring_run(self, body: Object) -> Object:
        self._runnable(body)
        cron = body.get("trigger", {}).get("cron_schedule", {}).get("cron", "")
        if len(cron.split()) != 6:
            raise RefusedError(400, f"InvalidInputError: cron {cron!r} has no six fields")
        if not 1 <= int(body.get("max_concurrency") or 0) <= 10:
            raise RefusedError(400, "InvalidInputError: max_concurrency must be 1 to 10")
        made = {
            **body,
            "max_concurrency": str(body["max_concurrency"]),
            "recurring_run_id": str(uuid.uuid4()),
        }
        return self._add(self.recurring, made)

    def recurring_run_service_list_recurring_runs(
        self, experiment_id: str = "", **query: Any
    ) -> Object:
        found = [one for one in self.recurring if one["experiment_id"] == experiment_id]
        return self._list("recurringRuns", found, query)

    def recurring_run_service_delete_recurring_run(self, recurring_run_id: str) -> Object:
        self.recurring.remove(self._get(self.recurring, "recurring_run_id", recurring_run_id))
        return {}

    # what they share

    def _owned(self, given: Object) -> None:
        if bool(given.get("namespace")) != self.multi_user:
            raise RefusedError(
                400, f"InvalidInputError: namespace {given.get('namespace')!r} in this mode"
            )

    def _add(self, entries: list[Object], entry: Object) -> Object:
        entries.append({**entry, "created_at": self.now()})
        return entries[-1]

    def _get(self, entries: list[Object], key: str, value: str) -> Object:
        for entry in entries:
            if entry[key] == value:
                return entry
        raise RefusedError(404, f"ResourceNotFoundError: {key} {value} not found")

    def _list(self, name: str, entries: list[Object], query: Object) -> Object:
        if query.get("namespace"):
            entries = [one for one in entries if one.get("namespace") == query["namespace"]]
        for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
            wanted = predicate.get("string_value", predicate.get("stringValue"))
            if predicate["operation"] not in ("EQUALS", 1):
                raise RefusedError(400, f"operation {predicate['operation']!r} is not known here")
            entries = [one for one in entries if wanted == one[predicate["key"]]]
        key, _, order = (query.get("sort_by") or "created_at").partition(" ")
        entries = sorted(entries, key=lambda one: str(one[key]), reverse=order == "desc")
        start, size = (
            int(query.get("page_token") or 0),
            min(int(query.get("page_size") or 20), self.page),
        )
        more = {"next_page_token": str(start + size)} if start + size < len(entries) else {}
        return {name: entries[start : start + size], "total_size": len(entries), **more}

    def _runnable(self, body: Object) -> None:
        """What a run or a recurring run is of exists, and its parameters fit it."""
        reference = body["pipeline_version_reference"]
        self._get(self.pipelines, "pipeline_id", reference["pipeline_id"])
        self._get(self.experiments, "experiment_id", body["experiment_id"])
        version = self._get(self.versions, "pipeline_version_id", reference["pipeline_version_id"])
        spec = version["pipeline_spec"]["pipeline_spec"]
        declared, given = (
            spec["root"]["inputDefinitions"]["parameters"],
            body["runtime_config"]["parameters"],
        )
        if extra := set(given) - set(declared):
            raise RefusedError(400, f"InvalidInputError: parameters {extra} are unknown")
        for name, about in declared.items():
            if name in given:
                check_type(given[name], PARAMETERS[about["parameterType"]], name)
            elif "defaultValue" not in about:
                raise RefusedError(400, f"InvalidInputError: parameter {name} is missing")

    def _advance(self, run: Object) -> None:
        """One more step ends, and the next one runs. A step that waits stays, until the run's deadline."""
        names = self.order(run)
        tasks = run.setdefault("run_details", {"task_details": []})["task_details"]
        tasks[:] = [task for task in tasks if task["state"] in ("SUCCEEDED", "FAILED")]
        step = names[len(tasks) // 2]
        if step == self.waiting:
            if self._past_deadline(run):
                self._end_by_deadline(run, tasks, step)
            else:
                tasks += self._waiting_tasks(run, step)
                run["state"] = "RUNNING"
            return
        failed = step == self.failing
        state = "FAILED" if failed else "SUCCEEDED"
        for name in (f"{step}-driver", step):  # what drives a step is a task of its own
            tasks.append({"run_id": run["run_id"], "display_name": name, "state": state, "create_time": self.now(),
                          "end_time": self.now()})  # fmt: skip
        if failed:
            tasks[-1]["error"] = {"code": 2, "message": f"{step}: exit code 1"}
        over = failed or len(tasks) == 2 * len(names)
        run["state"] = state if over else "RUNNING"
        if over:
            run["finished_at"] = self.now()
        else:
            tasks.append(self._running_task(run, names[len(tasks) // 2]))

    def _past_deadline(self, run: Object) -> bool:
        reference = run["pipeline_version_reference"]["pipeline_version_id"]
        version = self._get(self.versions, "pipeline_version_id", reference)
        deadline = _deadline(version["pipeline_spec"])
        passed = bool(deadline) and self.hours_passed * 3600 > deadline
        return passed or run["run_id"] in self.terminated

    def _end_by_deadline(self, run: Object, tasks: list[Object], step: str) -> None:
        """As Argo ends a workflow at its deadline (workflow/controller/exec_control.go, workflowpod.go).

        The pod that waits is deleted and fails, and the exit handler's pods are made and run all the same.
        """
        for name, state in ((step, "FAILED"), ("notify", "SUCCEEDED")):
            tasks.append({"run_id": run["run_id"], "display_name": name, "state": state, "create_time": self.now(),
                          "end_time": self.now()})  # fmt: skip
        run |= {"state": "FAILED", "finished_at": self.now()}

    def _running_task(self, run: Object, name: str, state: str = "RUNNING") -> Object:
        """A task that has not ended: backend/src/apiserver/server/api_converter.go gives it the end of Go's zero."""
        start = datetime.now(UTC) - timedelta(seconds=self.waiting_seconds)
        return {"run_id": run["run_id"], "display_name": name, "state": state,
                "start_time": start.isoformat(), "end_time": "0001-01-01T00:00:00Z"}  # fmt: skip

    def _waiting_tasks(self, run: Object, step: str) -> list[Object]:
        """A step whose pod waits: the step's node of the workflow runs, and the node of its pod is pending."""
        return [self._running_task(run, step), self._running_task(run, "executor", "PENDING")]

    def order(self, run: Object) -> list[str]:
        """The steps of a run in some order; the API's tasks come in none that means anything."""
        reference = run["pipeline_version_reference"]["pipeline_version_id"]
        version = self._get(self.versions, "pipeline_version_id", reference)
        return sorted(collect_step_names(version["pipeline_spec"]["pipeline_spec"]))


def _deadline(spec: Object) -> int:
    """The seconds after which Argo ends a run of a package; 0 for no end."""
    kubernetes = spec["platform_spec"].get("platforms", {}).get("kubernetes", {})
    return int(kubernetes.get("pipelineConfig", {}).get("activeDeadlineSeconds", 0))


@cache
def parsed(package: bytes) -> Object:
    """A package as the API keeps it; RefusedError when it is none."""
    documents = list(yaml.load_all(package, Loader=YAML_LOADER))
    if (
        len(documents) != 2
        or documents[0].get("schemaVersion") != "2.1.0"
        or "platforms" not in documents[1]
    ):
        raise RefusedError(400, "InvalidInputError: no pipeline spec is provided")
    return {"pipeline_spec": documents[0], "platform_spec": documents[1]}


class Handler(http.server.BaseHTTPRequestHandler):
    """Requests over HTTP, checked, to methods of Kubeflow; their answers checked, too."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in two packets waits 40 ms for its second half
    kubeflow: Kubeflow

    def answer(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.kubeflow.fault(f"{self.command} {self.path}")
        if fault == "drop":
            self.close_connection = True
            return
        if self.command == "GET" and self.path == "/":
            if self.kubeflow.ui:
                self._send(200, b"<!doctype html><title>Kubeflow Pipelines</title>", "text/html")
            else:
                self._send(404, b"404 page not found", "text/plain")
            return
        if fault == "page":
            self._send(200, b"<!doctype html><title>Log in</title>", "text/html")
            return
        try:
            if fault:
                raise RefusedError(
                    int(fault), f"said by the API, to Bearer {self.kubeflow.token or 'nobody'}"
                )
            self._send(200, json.dumps(self._answer(data)).encode(), "application/json")
        except RefusedError as error:
            said = {"error": str(error), "code": 3, "message": str(error), "details": []}
            self._send(error.status, json.dumps(said).encode(), "application/json")

    do_GET = do_POST = do_DELETE = do_PATCH = answer  # noqa: N815 - the names that http.server asks for

    def _answer(self, data: bytes) -> Object:
        if (
            self.kubeflow.token
            and self.headers.get("Authorization") != f"Bearer {self.kubeflow.token}"
        ):
            raise RefusedError(401, "Unauthenticated: Request header error")
        url = urllib.parse.urlsplit(self.path)
        operation, parts = self._operation(url.path)
        given: Object = {**parts, **self._query(operation, url.query)}
        if operation.files:
            given["file"] = self._file(data)
        elif operation.body:
            given["body"] = json.loads(data)
            check(given["body"], operation.body, operation.body)
        self.kubeflow.requests.append(operation.name)
        answer: Object = getattr(self.kubeflow, operation.name)(**given)
        defined = {name: value for name, value in answer.items() if name not in UNDEFINED}
        check(defined, operation.answer, operation.answer)
        return answer

    def _operation(self, path: str) -> tuple[Operation, dict[str, str]]:
        for operation in operations():
            found = operation.path.fullmatch(path)
            if found and operation.verb == self.command and hasattr(self.kubeflow, operation.name):
                return operation, {
                    name: urllib.parse.unquote(value) for name, value in found.groupdict().items()
                }
        raise RefusedError(404, f"{self.command} {path} is nothing that this API has")

    def _query(self, operation: Operation, text: str) -> dict[str, str]:
        query = dict(urllib.parse.parse_qsl(text, strict_parsing=bool(text)))
        for name, value in query.items():
            if name not in operation.query:
                raise RefusedError(400, f"{operation.name} has no {name} in its query")
            if operation.query[name] == "int" and not value.isdigit():
                raise RefusedError(400, f"{name} is {value!r}, no number")
        if query.get("filter"):
            snake = re.sub(
                r'"stringValue"', '"string_value"', query["filter"]
            )  # protobuf's JSON takes both
            whole = re.sub(r'"operation": 1\b', '"operation": "EQUALS"', snake)
            check(json.loads(whole), "V2beta1Filter", "filter")
        return query

    def _file(self, data: bytes) -> bytes:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        [part] = (
            email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + data).iter_parts()
        )
        assert part.get_param("name", header="content-disposition") == "uploadfile"
        return bytes(part.get_payload(decode=True))

    def _send(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


@cache
def command() -> Any:
    """What typer makes of all commands: once, here, where so many are given."""
    return typer.main.get_command(cli.app)


def dawnlist(*words: str) -> Done:
    """The command in this process, whose start would cost a second each time."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["dawnlist", *words])
        patch.setattr(cli, "app", command())
        patch.setattr(terminal, "err", Console(file=err, highlight=False))
        patch.setattr(kubeflow_words, "err", terminal.err)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


@contextlib.contextmanager
def kubeflow_api(certificate: tuple[Path, Path] | None = None) -> Iterator[Kubeflow]:
    """An API that is up, with nothing in it; with the files of a certificate and its key behind TLS."""
    kubeflow = Kubeflow()
    handler = type("Handler", (Handler,), {"kubeflow": kubeflow})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        kubeflow.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        with serving(server):
            yield kubeflow
