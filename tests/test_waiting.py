"""A run that waits: what `submit` and `status` say of it, and what ends it."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run, V2beta1RunDetails

from dawnlist.pipelines import terminal
from dawnlist.pipelines.kubeflow import api_version, run_display, run_following, waiting_pods
from dawnlist.pipelines.kubeflow.parameters import read_needed_version
from dawnlist.pipelines.kubeflow.run_display import TerminalDisplay
from dawnlist.pipelines.kubeflow.run_following import RunningStep
from dawnlist.pipelines.kubeflow.waiting_pods import (
    RunPods,
    WaitingPod,
    explain_waiting_pod,
    name_step,
)
from dawnlist.pipelines.package import write_package
from dawnlist.pipelines.placement import Placement
from dawnlist.pipelines.terminal import StepStatus
from tests.support import kube_api as kube
from tests.support.kfp_api import Done, Fault, Kubeflow, dawnlist
from tests.support.kube_api import KubeApi, kube_api, kubeconfig

SHOP = ("--source", "postgresql://dawn@db/shop", "--lake", "s3://bucket/lake", "--redis", "redis://store:6379/0",
        "--namespace", "shop")  # fmt: skip
FULL = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims."
UNSCHEDULABLE = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                                 "message": FULL}]}  # fmt: skip
SCHEDULED = {"type": "PodScheduled", "status": "True"}


@pytest.fixture
def cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kubeflow: Kubeflow
) -> Iterator[KubeApi]:
    """A cluster that KUBECONFIG points at; `kubeflow` unsets it first."""
    with kube_api() as api:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(api, tmp_path / "kubeconfig")))
        yield api


def submit(kubeflow: Kubeflow, package: Path, *words: str) -> Done:
    return dawnlist("submit", "--host", kubeflow.url, "--package", str(package), *SHOP, *words)


def waiting_container(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return {"name": "main", "state": state, **more}


def pod(
    run: str, status: dict[str, Any], seconds: float = 120, namespace: str = "kubeflow"
) -> dict[str, Any]:
    """The pod of the step fetch, as Argo makes it."""
    created = datetime.now(UTC) - timedelta(seconds=seconds)
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "daily-x7k2p-system-container-impl-1", "namespace": namespace,
            "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"), "labels": {"pipeline/runid": run},
            "annotations": {
                "workflows.argoproj.io/node-name": "daily-x7k2p.root.exit-handler-1.fetch.executor(0)"
            },
        },
        "status": {"phase": "Pending", **status},
    }  # fmt: skip


def start_waiting_run(kubeflow: Kubeflow, package: Path) -> str:
    """A run whose fetch waits; gives its id."""
    kubeflow.waiting = "fetch"
    assert submit(kubeflow, package, "--detach").code == 0
    return str(kubeflow.runs[-1]["run_id"])


# what submit says


def test_submit_says_why_a_pod_waits_and_ends_the_run_when_it_is_told_to(
    kubeflow: Kubeflow, package: Path, cluster: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.waiting = "fetch"
    created = kubeflow.run_service_create_run

    def create_with_pod(body: dict[str, Any]) -> dict[str, Any]:
        run = created(body)
        cluster.put(pod(run["run_id"], UNSCHEDULABLE))
        return run

    monkeypatch.setattr(kubeflow, "run_service_create_run", create_with_pod)
    done = submit(kubeflow, package, "--pending-minutes", "2")
    _, waits, overdue, *_, fetch, notify, end = done.err.splitlines()
    assert re.fullmatch(rf"! fetch waits for its pod, for 12\d s now: {re.escape(FULL)}", waits)
    assert overdue == "✗ a pod has waited for 2 min: the run is ended"
    assert (fetch.split()[:2], notify.split()[:2]) == (["✗", "fetch"], ["✓", "notify"])
    assert end.startswith("dawnlist: the run failed after") and done.code == 1
    assert kubeflow.requests.count("run_service_terminate_run") == 1


def test_where_the_cluster_can_not_be_asked_submit_says_what_kubeflow_says(
    kubeflow: Kubeflow, package: Path
) -> None:
    kubeflow.waiting, kubeflow.waiting_seconds = "fetch", 60
    done = submit(kubeflow, package, "--pending-minutes", "1")
    assert (
        "! fetch waits for its pod, for 60 s now: Kubeflow calls it pending, and the cluster can't be asked why (there "
        "is no kubeconfig here)"
    ) in done.err.splitlines()
    assert "✓ notify" in done.err and done.code == 1


@pytest.mark.parametrize(("seconds", "found"), [(25, 1), (24.9, 0)])
def test_what_kubeflow_calls_pending_waits_from_25_seconds_on(
    seconds: float, found: int, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_following, "_measure_running_seconds", lambda task: seconds)
    tasks = [V2beta1PipelineTaskDetail(display_name=name, state=state)
             for name, state in (("fetch", "SUCCEEDED"), ("tune", "RUNNING"), ("tune-2", "RUNNING"),
                                 ("executor", "PENDING"))]  # fmt: skip
    run = V2beta1Run(run_id="run-1", run_details=V2beta1RunDetails(task_details=tasks))
    waiting = run_following.list_waiting_pods(run, {"fetch", "tune", "tune-2"}, RunPods())
    assert [one.step for one in waiting] == ["tune or tune-2"][:found]


@pytest.mark.parametrize(
    ("phase", "seconds", "waits"),
    [
        ("Succeeded", 26, True),
        ("Succeeded", 20, False),
        ("Running", 26, False),
        ("Pending", 26, False),
    ],
)
def test_a_pod_that_can_not_be_made_is_told_by_kubeflow_calling_it_pending(
    phase: str, seconds: float, waits: bool, kubeflow: Kubeflow, package: Path, cluster: KubeApi
) -> None:
    run = start_waiting_run(kubeflow, package)
    for _ in range(4):  # each look at a run is one step more
        kubeflow.run_service_get_run(run)
    kubeflow.waiting_seconds = seconds
    cluster.put(pod(run, {"phase": phase}))
    [described] = json.loads(status_of(kubeflow, "--format", "json").out)["runs"]
    reasons = [one["reason"] for one in described["waiting"]]
    assert reasons == ([run_following.NO_POD_REASON] if waits else [])


def test_a_run_whose_pod_waits_is_ended_by_its_package_and_notify_speaks(
    kubeflow: Kubeflow, package: Path
) -> None:
    kubeflow.waiting, kubeflow.hours_passed = "fetch", 20.01
    done = submit(kubeflow, package)
    *_, fetch, notify, end = done.err.splitlines()
    assert (fetch.split()[:2], notify.split()[:2]) == (["✗", "fetch"], ["✓", "notify"])
    assert end.startswith("dawnlist: the run failed") and done.code == 1


@pytest.mark.parametrize(
    ("status", "seconds", "problem"),
    [
        ({"phase": "Running"}, 120, ""),
        ({"containerStatuses": [waiting_container("ContainerCreating")], "conditions": [SCHEDULED]}, 120, ""),
        (UNSCHEDULABLE, 5, ""),
    ],
)  # fmt: skip
def test_a_pod_that_runs_or_starts_does_not_wait(
    status: dict[str, Any], seconds: float, problem: str, cluster: KubeApi
) -> None:
    cluster.put(pod("run-1", status, seconds))
    pods = RunPods()
    assert (pods.list_waiting("run-1", {"fetch"}), pods.problem) == ([], problem)


@pytest.mark.parametrize(("seconds", "found"), [(10, 1), (9.9, 0)])
def test_a_pod_waits_from_ten_seconds_on(
    seconds: float, found: int, cluster: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_pods, "measure_pod_age", lambda pod: seconds)
    cluster.put(pod("run-1", UNSCHEDULABLE))
    assert len(RunPods().list_waiting("run-1", {"fetch"}) or []) == found


@pytest.mark.parametrize(("seconds", "found"), [(25, 1), (24.9, 0)])
def test_a_volume_that_is_missing_is_told_by_the_pods_events(
    seconds: float, found: int, cluster: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_pods, "measure_pod_age", lambda pod: seconds)
    starting = {"containerStatuses": [waiting_container("ContainerCreating")]}
    cluster.put(pod("run-1", starting))
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e1", "namespace": "kubeflow"},
             "involvedObject": {"kind": "Pod", "name": "daily-x7k2p-system-container-impl-1"}, "type": "Warning",
             "reason": "FailedMount", "message": 'configmap "kfp-launcher" not found',
             "lastTimestamp": "2026-01-31T00:00:00Z"}  # fmt: skip
    cluster.put(event)
    reasons = [one.reason for one in RunPods().list_waiting("run-1", {"fetch"}) or []]
    assert reasons == ['FailedMount: configmap "kfp-launcher" not found'][:found]


def test_pods_are_looked_for_in_the_profile_of_the_runs(cluster: KubeApi) -> None:
    cluster.put(pod("run-1", UNSCHEDULABLE, namespace="team-a"))
    [found] = RunPods("team-a").list_waiting("run-1", {"fetch"}) or []
    assert (found.step, found.reason) == ("fetch", FULL)
    elsewhere = RunPods("team-b")
    assert elsewhere.list_waiting("run-1", {"fetch"}) is None
    assert elsewhere.problem == "the cluster of your kubeconfig shows you no pod of the run"


def test_a_cluster_that_refuses_or_is_away_is_no_error(
    cluster: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.put(pod("run-1", UNSCHEDULABLE))
    pods = RunPods()
    cluster.faults = [kube.Fault("GET", "/pods", 403, '{"message": "pods is forbidden"}', times=2)]
    assert pods.list_waiting("run-1", {"fetch"}) is None
    assert len(pods.list_waiting("run-1", {"fetch"}) or []) == 1  # it may look again
    cluster.faults = [kube.Fault("GET", "/pods", 503, "{}")]
    assert (
        pods.list_waiting("run-1", {"fetch"}) is None and "error of its own (503)" in pods.problem
    )
    away = RunPods()
    cluster.faults = [kube.Fault("GET", "", 0)]
    assert away.list_waiting("run-1", {"fetch"}) is None and away.problem
    cluster.faults = []
    assert (
        away.list_waiting("run-1", {"fetch"}) is None
    )  # it is not asked again: that would take time each time


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (UNSCHEDULABLE, FULL),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
         "SchedulingGated"),
        ({"containerStatuses": [waiting_container("ImagePullBackOff", 'Back-off pulling image "r/dawnlist:9"')]},
         'ImagePullBackOff: Back-off pulling image "r/dawnlist:9"'),
        ({"containerStatuses": [waiting_container("PodInitializing")],
          "initContainerStatuses": [waiting_container("ErrImagePull", "not found")]}, "ErrImagePull: not found"),
        ({"containerStatuses": [waiting_container("CreateContainerConfigError", 'secret "x" not found')]},
         'CreateContainerConfigError: secret "x" not found'),
        ({"containerStatuses": [waiting_container("ErrImageNeverPull")]}, "ErrImageNeverPull"),
        ({"containerStatuses": [waiting_container("PodInitializing")], "conditions": [SCHEDULED]}, None),
        ({"containerStatuses": [{"name": "main", "state": {"running": {}}}]}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_reasons_are_the_words_of_the_scheduler_or_the_node(
    status: dict[str, Any], reason: str | None
) -> None:
    assert explain_waiting_pod({"status": status}) == reason


@pytest.mark.parametrize(
    ("node", "step"),
    [
        ("daily-x.root.exit-handler-1.tune.executor", "tune"),
        ("daily-x.root.exit-handler-1.tune-2.executor(1)", "tune-2"),
        ("daily-x.root.exit-handler-1.gate-passed.refit(0).executor", "refit"),
        ("daily-x.root.exit-handler-1.onExit.notify.executor", "notify"),
        ("daily-x.root.exit-handler-1.fetch-driver", "fetch (Kubeflow's driver of it)"),
        ("daily-x.root-driver", "pod-1"),
        ("", "pod-1"),
    ],
)
def test_the_step_of_a_pod_is_told_by_argos_name_of_its_node(node: str, step: str) -> None:
    metadata = {"name": "pod-1", "annotations": {"workflows.argoproj.io/node-name": node}}
    assert name_step({"metadata": metadata}, {"fetch", "tune", "tune-2", "refit", "notify"}) == step


# what is shown


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The lines that a display prints."""
    lines: list[str] = []
    monkeypatch.setattr(
        terminal.err, "print", lambda text, **options: lines.append(text), raising=True
    )
    return lambda: lines


def test_a_reason_is_printed_again_when_it_has_changed_after_a_minute(
    printed: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    display = TerminalDisplay(StepStatus("waiting"))
    waiting = WaitingPod("p", "tune", 12, "ErrImagePull: not found")
    for seconds, reason, lines in (
        (0, "ErrImagePull: not found", 1),
        (59, "ImagePullBackOff", 1),
        (60, "ErrImagePull: not found", 1),
        (60, "ImagePullBackOff", 2),
    ):
        now[0] = 1000.0 + seconds
        display.show_waiting([replace(waiting, reason=reason)])
        assert len(printed()) == lines
    display.show_waiting([replace(waiting, name="q")])
    assert len(printed()) == 3


def test_a_node_without_memory_brings_the_advice_of_smaller_sizes() -> None:
    waiting = WaitingPod("p", "tune", 12, "0/1 nodes are available: 1 Insufficient memory.")
    assert "Smaller sizes request less (--interactions" in run_display.describe_waiting_pod(waiting)
    other = replace(waiting, reason=FULL)
    assert "--interactions" not in run_display.describe_waiting_pod(other)


def test_the_steps_that_run_are_shown_with_their_seconds_which_count_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    status = StepStatus("waiting for the first step")
    display = TerminalDisplay(status)
    assert status.__rich__() == "waiting for the first step"
    display.show_running([RunningStep("tune-2", 65.2), RunningStep("tune", 3.0)])
    assert status.__rich__() == "tune-2 65 s, tune 3 s"
    now[0] += 2
    assert status.__rich__() == "tune-2 67 s, tune 5 s"
    display.show_running([])
    assert status.__rich__() == "waiting for the first step"


def test_an_outage_is_one_line_when_it_begins_and_one_when_it_ends(
    kubeflow: Kubeflow, package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kubeflow.faults = [
        Fault("GET .*/runs/", "drop", times=12)
    ]  # three requests, of four tries each
    done = submit(kubeflow, package)
    begins, ends, *steps = done.err.splitlines()
    assert begins.startswith(f"! {kubeflow.url} broke off the request (")
    assert begins.endswith("; the run goes on, and is followed again within 5 min")
    assert ends == "✓ the API answers again, after 0 s" and len(steps) == 12
    assert done.code == 0 and caplog.records == []


# what status says


def status_of(kubeflow: Kubeflow, *words: str) -> Done:
    return dawnlist("status", "--host", kubeflow.url, "--namespace", "shop", *words)


def test_status_says_what_runs_and_why_a_pod_waits(
    kubeflow: Kubeflow, package: Path, cluster: KubeApi
) -> None:
    run = start_waiting_run(kubeflow, package)
    cluster.put(pod(run, UNSCHEDULABLE))
    for _ in range(4):  # each look at a run is one step more
        kubeflow.run_service_get_run(run)
    text = status_of(kubeflow).out
    assert re.search(rf"^{run}: fetch runs, for \d s now$", text, re.MULTILINE)
    assert re.search(
        rf"^{run}: fetch waits for its pod, for 12\d s now: {re.escape(FULL)}$", text, re.MULTILINE
    )
    [described] = json.loads(status_of(kubeflow, "--format", "json").out)["runs"]
    assert described["running"] == [{"step": "fetch", "seconds": pytest.approx(0, abs=5)}]
    [waiting] = described["waiting"]
    assert (waiting["step"], waiting["reason"]) == ("fetch", FULL)
    assert waiting["name"] == "daily-x7k2p-system-container-impl-1"


def test_status_of_a_run_that_has_ended_has_nothing_that_runs(
    kubeflow: Kubeflow, package: Path
) -> None:
    submit(kubeflow, package)
    [described] = json.loads(status_of(kubeflow, "--format", "json").out)["runs"]
    assert (described["running"], described["waiting"]) == ([], [])


# the version of Kubeflow Pipelines


@pytest.mark.parametrize("tag", ["2.14.5", "2.14", "v2.5.0", "1.8.22", "2.14.99-rc.1"])
def test_an_older_kubeflow_is_refused_with_one_line(
    tag: str, kubeflow: Kubeflow, package: Path
) -> None:
    kubeflow.tag = tag
    for words in (["submit"], ["schedule", "0 3 * * *"]):
        done = dawnlist(*words, "--host", kubeflow.url, "--package", str(package), *SHOP)
        assert done.err == (
            f"dawnlist: {kubeflow.url} is Kubeflow Pipelines {tag}: Dawnlist needs 2.15 or newer, because older ones "
            "fail where a secret is optional; upgrade Kubeflow Pipelines\n"
        )
        assert done.code == 1
    assert kubeflow.versions == []


@pytest.mark.parametrize(
    "tag", ["2.17.0", "v2.17.3", "2.18", "3.0.0", "unknown", "dev", "", "4a1bc2f"]
)
def test_newer_and_unknown_versions_pass(tag: str, kubeflow: Kubeflow, package: Path) -> None:
    kubeflow.tag = tag
    done = submit(kubeflow, package, "--detach")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.15.0", (2, 15)), ("v2.15", (2, 15)), ("2.17.0-rc.1", (2, 17)), ("2.17.0+build", (2, 17)),
        ("unknown", None), ("2", None), ("20260131", None), ("12abc.3", None), ("2.17.0.dev", (2, 17)),
    ],
)  # fmt: skip
def test_versions_are_parsed(text: str, version: tuple[int, int] | None) -> None:
    assert api_version.parse_api_version(text) == version


@pytest.mark.parametrize("tag", ["2.15.0", "2.16.1"])
def test_a_kubeflow_without_deadlines_gets_packages_without_one(
    tag: str, kubeflow: Kubeflow, package: Path, tmp_path: Path
) -> None:
    kubeflow.tag = tag
    words = ("submit", "--host", kubeflow.url, *SHOP, "--detach")
    compiled = dawnlist(*words, "--image", "registry.example/dawnlist-python:2")
    assert compiled.code == 0
    platform = kubeflow.versions[0]["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    assert "pipelineConfig" not in platform and platform["deploymentSpec"]["executors"]
    refused = dawnlist(*words, "--package", str(package))
    version = tag[:4]
    assert refused.err == (
        f"dawnlist: the package needs Kubeflow Pipelines 2.17 or newer, and {kubeflow.url} is {version}: compile it "
        f"with --kfp-version {version}\n"
    )
    asked = dawnlist(*words, "--run-hours", "5")
    assert asked.code == 1 and f"Kubeflow Pipelines {version} knows no end of a run" in asked.err
    write_package(tmp_path / "older.yaml", Placement(kfp_version=version))
    assert dawnlist(*words, "--package", str(tmp_path / "older.yaml")).code == 0


def test_what_a_package_needs_is_read_from_it(tmp_path: Path) -> None:
    for placement, needed in (
        (Placement(), (2, 17)),
        (Placement(run_hours=0), (2, 16)),
        (Placement(kfp_version="2.16"), (2, 16)),
        (Placement(kfp_version="2.15"), (2, 15)),
    ):
        write_package(tmp_path / "a.yaml", placement)
        assert read_needed_version(tmp_path / "a.yaml") == needed
    choose = api_version.choose_kfp_version
    assert [choose(one) for one in (None, (2, 15), (2, 16), (2, 17), (2, 18), (3, 0))] == [
        "2.17", "2.15", "2.16", "2.17", "2.17", "2.17",
    ]  # fmt: skip


# links


@pytest.mark.parametrize(
    ("endpoint", "ui", "link"),
    [
        ("", True, "{url}/#/runs/details/{run}"),
        ("", False, "http://localhost:8080/#/runs/details/{run} after `kubectl port-forward --namespace kubeflow "
                    "svc/ml-pipeline-ui 8080:80`"),
        ("https://kubeflow.example/pipeline/", False, "https://kubeflow.example/pipeline/#/runs/details/{run}"),
        ("kubeflow.example", True, "http://kubeflow.example/#/runs/details/{run}"),
    ],
)  # fmt: skip
def test_links_are_those_of_the_ui(
    endpoint: str, ui: bool, link: str, kubeflow: Kubeflow, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    if endpoint:
        monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", endpoint)
    kubeflow.ui = ui
    done = submit(kubeflow, package, "--detach")
    run = kubeflow.runs[0]["run_id"]
    assert done.out.splitlines()[-1].endswith(": " + link.format(url=kubeflow.url, run=run))
