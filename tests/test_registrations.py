"""What notify enters into Kubeflow's Model Registry and into MLflow, and what the report says of it."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dawnlist.components.notify.daily import read_run_facts, render_text_report, write_report
from dawnlist.components.notify.registrations import register_run
from dawnlist.components.notify.run_figures import build_tracked_run
from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.messages.masking import mask_secrets
from dawnlist.records import mlflow_tracking, model_registry, registry
from dawnlist.records.mlflow_tracking import TrackedRun, log_run
from dawnlist.records.rest_api import RestApiError
from dawnlist.records.run_records import record_step
from dawnlist.settings import Settings
from dawnlist.store.version_reports import VersionReport
from tests.support.mlflow_api import Mlflow
from tests.support.model_registry_api import ModelRegistry
from tests.support.servers import free_port

DAY = parse_as_of("2026-01-31T03:00:00Z")
RULES = [
    {"rule": "margin", "value": 0.01, "limit": -0.01, "unit": "share", "passed": True},
    {"rule": "drift", "value": None, "limit": 0.25, "unit": "score", "passed": None},
]
EVALUATION = {
    "k": 20,
    "metric": "ndcg",
    "evaluated_users": 300,
    "arms": {"challenger": {"ndcg@20": 0.3}, "popularity": {"ndcg@20": 0.1, "map@20": None}},
    "differences": {"popularity": {"mean": 0.2, "low": 0.1, "high": 0.3}},
}
TRIAL = {"engine": "als", "factors": 64, "alpha": 2.0, "ndcg@20": 0.3}


class Shop:
    """A lake with published versions and a run of the newest."""

    def __init__(self, folder: Path) -> None:
        self.root, self.folder = str(folder / "lake"), folder
        self.lake = Lake.open(self.root, "shop")

    def publish(self, number: int) -> None:
        """Publish version 1, 2, …, a day each."""
        as_of = format_iso(DAY + timedelta(days=number))
        report = VersionReport(
            version=number, token=f"{number}-0000000a", as_of=as_of, run=f"run-{number}", users=9
        )
        meta = {"model": f"refit-{number}", "winner": "challenger", "metrics": {"ndcg@20": 0.25}}
        registry.record_publication(
            self.lake, report, {**meta, "engine": "als"}, "redis://h:6379/0"
        )
        registry.set_champion(self.lake, report)

    def run(self, run: str = "run-1", error: Exception | None = None) -> None:
        """Record the steps of a run; with an error the last one fails."""
        reports: dict[str, dict[str, Any]] = {
            "clean": {"rows_in": 1000, "clean": 940, "quarantined": 60},
            "tune": {"trials": [TRIAL], "metric": "ndcg", "k": 20},
            "evaluate": EVALUATION,
            "gate": {"passed": True, "rules": RULES, "winner": "challenger", "reason": "better"},
        }
        for step, report in reports.items():
            with record_step(self.root, "shop", DAY, run, step) as record:
                record.update(report)
        if error:
            with pytest.raises(type(error)), record_step(self.root, "shop", DAY, run, "refit"):
                raise error

    def settings(self, **sections: Any) -> str:
        path = self.folder / "settings.yaml"
        path.write_text(json.dumps(sections))
        return str(path)

    def register(self, settings: str, run: str = "run-1") -> tuple[dict[str, str], list[str]]:
        """Register as the step notify does; give the lines, and the report in its three forms."""
        facts = read_run_facts(self.lake, DAY, run)
        parameters = {"source": "postgresql://u:hush-hush@db/shop", "k": 20}
        facts = register_run(self.lake, facts, settings, parameters)
        page, summary = self.folder / "page.html", self.folder / "summary.md"
        log = write_report(self.lake, facts, page, summary)
        with record_step(self.root, "shop", DAY, run, "notify") as record:
            record["registrations"] = dict(facts.registrations)
        assert render_text_report(self.lake, DAY, run) == log
        return dict(facts.registrations), [log, page.read_text(), summary.read_text()]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.run()
    return shop


@pytest.fixture(params=[("v1", "v1alpha3"), ("v1alpha3",)], ids=["new", "old"])
def hub(request: pytest.FixtureRequest) -> Iterator[ModelRegistry]:
    """A registry of today, and one that has only the older version of the API."""
    api = ModelRegistry(versions=request.param)
    with api.running():
        yield api


@pytest.fixture
def mlflow() -> Iterator[Mlflow]:
    api = Mlflow()
    with api.running():
        yield api


def test_a_published_version_is_in_the_registry(shop: Shop, hub: ModelRegistry) -> None:
    shop.publish(1)
    settings = shop.settings(model_registry={"url": hub.url})
    lines, reports = shop.register(settings)
    line = "version 1 is dawnlist-shop, version 1-0000000a"
    assert lines == {"Model Registry": line}
    assert all(line in report.replace("\\", "") for report in reports)
    [model], [version], [artifact] = hub.models, hub.model_versions, hub.artifacts
    assert model["name"] == "dawnlist-shop"
    assert (version["name"], version["registeredModelId"]) == ("1-0000000a", model["id"])
    assert version["customProperties"] == {
        "version": {"metadataType": "MetadataIntValue", "int_value": "1"},
        "as_of": {"metadataType": "MetadataStringValue", "string_value": "2026-02-01T03:00:00Z"},
        "run": {"metadataType": "MetadataStringValue", "string_value": "run-1"},
        "winner": {"metadataType": "MetadataStringValue", "string_value": "challenger"},
        "engine": {"metadataType": "MetadataStringValue", "string_value": "als"},
        "store": {"metadataType": "MetadataStringValue", "string_value": "redis://h:6379/0"},
        "ndcg@20": {"metadataType": "MetadataDoubleValue", "double_value": 0.25},
    }
    assert (artifact["of"], artifact["uri"]) == (version["id"], f"{shop.lake.uri}/models/refit-1")
    served = {request.path.split("/")[3] for request in hub.requests[1:]}
    assert served == {hub.versions[0]}


def test_a_second_call_adds_nothing_and_missed_versions_are_added(
    shop: Shop, hub: ModelRegistry
) -> None:
    for number in (1, 2):
        shop.publish(number)
    settings = shop.settings(model_registry={"url": hub.url})
    first = shop.register(settings)
    hub.artifacts.pop()  # as if the step had been killed before its last request
    assert shop.register(settings) == first
    assert first[0]["Model Registry"].startswith("version 2 is ")
    assert [version["name"] for version in hub.model_versions] == ["1-0000000a", "2-0000000a"]
    assert [artifact["of"] for artifact in hub.artifacts] == ["1", "2"]


def test_only_the_newest_ten_versions_are_registered(shop: Shop, hub: ModelRegistry) -> None:
    for number in range(1, model_registry.MAX_REGISTERED + 2):
        shop.publish(number)
    shop.register(shop.settings(model_registry={"url": hub.url}))
    numbers = [int(version["name"].split("-")[0]) for version in hub.model_versions]
    assert numbers == list(range(2, model_registry.MAX_REGISTERED + 2))


def test_a_registry_with_a_token(
    shop: Shop, hub: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.publish(1)
    hub.token = "hush-hush-registry"
    settings = shop.settings(model_registry={"url": hub.url})
    root = f"{hub.url}/api/model_registry/v1"
    assert shop.register(settings)[0] == {
        "Model Registry": "not reached, the run is not affected: "
        f"{root}/registered_models answers 401: a valid token is needed"
    }
    monkeypatch.setenv("DAWNLIST_MODEL_REGISTRY_TOKEN", hub.token)
    assert shop.register(settings)[0]["Model Registry"].startswith("version 1 is ")
    assert mask_secrets(f"x {hub.token} y") == "x *** y"


def test_before_the_first_version_nothing_is_registered(shop: Shop, hub: ModelRegistry) -> None:
    lines, _ = shop.register(shop.settings(model_registry={"url": hub.url}))
    assert lines == {"Model Registry": "nothing was published yet"}
    assert hub.requests == []


def test_a_run_is_in_mlflow(shop: Shop, mlflow: Mlflow) -> None:
    lines, reports = shop.register(shop.settings(mlflow={"url": mlflow.url}))
    assert lines == {"MLflow": "run entry1 of the experiment dawnlist-shop"}
    assert all(lines["MLflow"] in report.replace("\\", "") for report in reports)
    entry = mlflow.entries["entry1"]
    assert mlflow.experiments == {"dawnlist-shop": entry.experiment}
    assert entry.status == "FAILED"  # the record of this run ends before publish
    assert entry.end is not None and entry.start <= entry.end
    assert entry.params["source"] == "postgresql://u:***@db/shop"
    assert (entry.params["k"], entry.params["best/factors"]) == ("20", "64")
    seconds = {name: entry.metrics.pop(name) for name in list(entry.metrics) if "seconds" in name}
    assert sorted(seconds) == [f"seconds/{step}" for step in ("clean", "evaluate", "gate", "tune")]
    assert entry.metrics == {
        "clean/rows_in": 1000, "clean/clean": 940, "clean/quarantined": 60,
        "evaluate/challenger/ndcg_at_20": 0.3, "evaluate/popularity/ndcg_at_20": 0.1,
        "evaluate/challenger_over_popularity/mean": 0.2, "evaluate/challenger_over_popularity/low": 0.1,
        "evaluate/challenger_over_popularity/high": 0.3, "evaluate/evaluated_users": 300,
        "gate/margin": 0.01, "gate/passed": 1.0,
    }  # fmt: skip
    assert entry.tags["dawnlist.run"] == "run-1"


def test_a_second_call_adds_no_entry_and_another_run_does(shop: Shop, mlflow: Mlflow) -> None:
    settings = shop.settings(mlflow={"url": mlflow.url, "experiment": "ours"})
    assert shop.register(settings) == shop.register(settings)
    shop.run("run-2", OSError("disk"))
    shop.register(settings, "run-2")
    assert [entry.tags["dawnlist.run"] for entry in mlflow.entries.values()] == ["run-1", "run-2"]
    assert mlflow.experiments.keys() == {"ours"}
    assert mlflow.entries["entry2"].tags["dawnlist.outcome"] == "failed"


def test_a_published_run_is_finished(shop: Shop) -> None:
    with record_step(shop.root, "shop", DAY, "run-1", "publish") as record:
        record.update({"published": True, "version": 4, "users": 80, "items": 50})
    parameters = {"search": {"factors": [32, 64], "metric": "ndcg"}}
    tracked = build_tracked_run(read_run_facts(shop.lake, DAY, "run-1"), parameters)
    assert (tracked.status, tracked.metrics["publish/version"]) == ("FINISHED", 4)
    assert tracked.parameters["search/factors"] == "[32, 64]"
    assert tracked.parameters["search/metric"] == "ndcg"


def track(**changes: Any) -> TrackedRun:
    now = datetime.now(UTC)
    run = TrackedRun("run-1", "a name", "FINISHED", now, now, {"k": 20}, {"ndcg@20": 0.5}, {})
    return replace(run, **changes)


def test_what_mlflow_would_refuse_is_not_sent(mlflow: Mlflow) -> None:
    parameters = {f"p{number}": number for number in range(mlflow_tracking.MAX_PARAMETERS + 1)}
    metrics = {"a,b (c) é": 1.0, "nan": math.nan, "inf": math.inf}
    log_run(mlflow.url, "x", track(parameters=parameters, metrics=metrics))
    [entry] = mlflow.entries.values()
    assert len(entry.params) == mlflow_tracking.MAX_PARAMETERS
    assert entry.metrics == {"a_b _c_ _": 1.0}


@pytest.mark.parametrize("length", [500, 501])
def test_a_long_parameter_is_cut(mlflow: Mlflow, length: int) -> None:
    log_run(mlflow.url, "x", track(parameters={"long": "a" * length, "empty": ""}))
    assert mlflow.entries["entry1"].params == {"long": "a" * 500}


def test_a_changed_parameter_is_the_servers_own_words(mlflow: Mlflow) -> None:
    log_run(mlflow.url, "x", track())
    with pytest.raises(RestApiError, match=r"log-batch answers 400: .*[Cc]hang"):
        log_run(mlflow.url, "x", track(parameters={"k": 21}))


def test_mlflow_with_a_password(
    shop: Shop, mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.login = "ann:hush-hush-mlflow"
    settings = shop.settings(mlflow={"url": mlflow.url})
    assert "answers 401: You are not authenticated." in shop.register(settings)[0]["MLflow"]
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hush-hush-mlflow")
    assert shop.register(settings)[0]["MLflow"].startswith("run entry1 ")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hush-hush-token")
    assert "answers 401" in shop.register(settings)[0]["MLflow"]
    assert mlflow.requests[-1].headers["Authorization"] == "Bearer hush-hush-token"
    assert mask_secrets("hush-hush-mlflow hush-hush-token") == "*** ***"


def test_a_server_that_is_away_fails_nothing(shop: Shop) -> None:
    shop.publish(1)
    url = f"http://127.0.0.1:{free_port()}"
    settings = shop.settings(model_registry={"url": url}, mlflow={"url": f"{url}/"})
    lines, reports = shop.register(settings)
    reason = f"not reached, the run is not affected: {url} does not answer"
    assert list(lines) == ["Model Registry", "MLflow"]
    assert all(line.startswith(reason) and "\n" not in line for line in lines.values())
    assert all(url in report.replace("\\", "") for report in reports)


def test_another_server_than_was_meant(shop: Shop, mlflow: Mlflow) -> None:
    shop.publish(1)
    lines, _ = shop.register(shop.settings(model_registry={"url": mlflow.url}))
    assert lines["Model Registry"].endswith("registered_models answers 404: no JSON object")


@pytest.mark.parametrize("settings", ["", "/nowhere/settings.yaml"])
def test_without_settings_nothing_is_registered(shop: Shop, settings: str) -> None:
    shop.publish(1)
    lines, reports = shop.register(settings)
    assert lines == {}
    assert not any("Model Registry" in report or "MLflow" in report for report in reports)


@pytest.mark.parametrize("section", ["model_registry", "mlflow"])
@pytest.mark.parametrize("url", ["ftp://x", "http://user@x", "http://x?a=b"])
def test_an_address_that_is_none(tmp_path: Path, section: str, url: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(json.dumps({section: {"url": url}}))
    with pytest.raises(ValueError, match=f"{section}.url is .*give an address that begins"):
        Settings.load(str(path))
