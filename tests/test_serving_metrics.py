"""What /metrics counts, and that alert rules and dashboard ask for nothing else."""

import json
import re
import time
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dawnlist.serving.collector.counts import CollectorMetrics
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.watch.counts import PredictorMetrics, render_metrics
from dawnlist.serving.predictor.watch.families import LATENCY_BOUNDS
from tests.support.published import counted
from tests.support.rendered import Tree, one, pods, rendered, selected
from tests.support.servers import Predictor

NAME = re.compile(r"\b(?:dawnlist|process)_[a-z_]+\b")
SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def families(url: str) -> dict[str, Any]:
    response = httpx.get(f"{url}/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {family.name: family for family in text_string_to_metric_families(response.text)}


def test_requests_answers_and_their_time_are_counted(served: Predictor) -> None:
    def now() -> list[float]:
        metric = counted(served.url)
        return [
            metric("dawnlist_requests_total", route="lean", status="200"),
            metric("dawnlist_requests_total", route="v1", status="200"),
            metric("dawnlist_requests_total", route="v1", status="400"),
            metric("dawnlist_requests_total", route="unknown", status="404"),
            metric("dawnlist_answers_total", tier="list"),
            metric("dawnlist_answers_total", tier="popular"),
            metric("dawnlist_answers_total", tier="fold_in"),
            metric("dawnlist_request_seconds_count", tier="list"),
            metric("dawnlist_request_seconds_count", tier="batch"),
            metric("dawnlist_fold_in_seconds_count"),
        ]

    before = now()
    instances: list[dict[str, Any]] = [{"user_id": "ann"}, {"user_id": "nobody"}]
    for body in (instances, []):
        httpx.post(f"{served.url}/v1/models/dawnlist:predict", json={"instances": body})
    for path in ("/v1/recommendations/ann", "/v1/recommendations/ann?recent=d", "/nowhere"):
        httpx.get(served.url + path)
    changes = [after - was for after, was in zip(now(), before, strict=True)]
    assert changes == [2, 1, 1, 1, 2, 1, 1, 1, 1, 1]


def test_the_version_and_its_age_are_told(served: Predictor) -> None:
    as_of = 1772334000  # 2026-03-01T03:00:00Z
    earliest = time.time()
    metric = counted(served.url)
    latest = time.time()
    assert [metric(f"dawnlist_{name}") for name in ("version", "ready", "in_flight", "breaker_open")] == [
        1, 1, 0, 0,
    ]  # fmt: skip
    assert earliest - as_of <= metric("dawnlist_version_age_seconds") <= latest - as_of
    assert metric("dawnlist_load_seconds") > 0
    assert metric("process_resident_memory_bytes") > 1e7


def test_each_tier_is_there_from_the_start() -> None:
    """Else the first static answer would be no increase to Prometheus, and no alert."""
    text = render_metrics([PredictorMetrics("shop")]).decode()
    assert 'dawnlist_answers_total{shop="shop",tier="static"} 0.0' in text


def test_a_histogram_is_cumulated() -> None:
    counts = PredictorMetrics("shop")
    for seconds in (0.0005, 0.003, 0.003, 9.0):
        counts.count_answers([Recommendation("list", [], [])], seconds)
    buckets = counts.request_seconds["list"].cumulate_buckets()
    assert [bound for bound, _ in buckets] == [*map(str, LATENCY_BOUNDS), "+Inf"]
    assert [reached for _, reached in buckets] == [1, 1, 1, *[3] * (len(LATENCY_BOUNDS) - 3), 4]


@pytest.fixture
def built() -> list[Tree]:
    return rendered("gke-gpu", "keda", "monitoring", "spark")


def rules(built: list[Tree]) -> list[Tree]:
    return [
        rule for group in one(built, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]
    ]


def dashboard(built: list[Tree]) -> Tree:
    config = one(built, "ConfigMap", "dawnlist-dashboard")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    found: Tree = json.loads(config["data"]["dashboard.json"])
    return found


def expressions(built: list[Tree]) -> list[str]:
    panels = [target["expr"] for panel in dashboard(built)["panels"] for target in panel["targets"]]
    metrics = one(built, "InferenceService")["spec"]["predictor"]["autoScaling"]["metrics"]
    scaled = [
        metric["external"]["metric"]["query"] for metric in metrics if metric["type"] == "External"
    ]
    return [*panels, *scaled, *(rule["expr"] for rule in rules(built))]


def test_rules_and_panels_ask_only_for_what_the_predictor_tells(
    built: list[Tree], served: Predictor
) -> None:
    httpx.get(f"{served.url}/v1/recommendations/ann")
    known = families(served.url)
    told_by_collector = {metric.name for metric in CollectorMetrics("shop").registry.collect()}
    for expression in expressions(built):
        names = NAME.findall(re.sub(r'"[^"]*"', "", expression))
        assert names, expression
        for name in names:
            base = next(
                (name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name
            )
            assert {base, name} & (known.keys() | told_by_collector), name
    asked = {name for expression in expressions(built) for name in NAME.findall(expression)}
    unseen = {
        name
        for name in known
        if name.startswith("dawnlist") and not any(a.startswith(name) for a in asked)
    }
    assert unseen == set()  # every metric has a panel or an alert
    assert told_by_collector <= {name.removesuffix("_total") for name in asked}


def test_labels_in_rules_and_panels_are_those_of_the_metrics(built: list[Tree]) -> None:
    given = {
        "shop",
        "tier",
        "route",
        "status",
        "kind",
        "reason",
        "what",
        "le",
        "pod",
        "job",
        "result",
        "stream",
    }
    for expression in expressions(built):
        selected = {
            name
            for inside in re.findall(r"\{([^}]*)\}", expression)
            for name in re.findall(r"(\w+)[=!]", inside)
        }
        grouped = {
            name
            for names in re.findall(r"by \(([^)]*)\)", expression)
            for name in names.split(", ")
        }
        assert selected | grouped <= given, expression
        assert expression.count("(") == expression.count(")") and expression.count(
            "{"
        ) == expression.count("}")


def test_rules_are_what_the_operator_knows(built: list[Tree]) -> None:
    names = [rule["alert"] for rule in rules(built)]
    assert len(set(names)) == len(names) >= 10
    for rule in rules(built):
        assert {"alert", "expr", "labels", "annotations"} <= rule.keys() <= {*rule, "for"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"\d+m", rule.get("for", "1m"))
    for wanted in (
        "NoOwnLists",
        "StaticAnswers",
        "OldVersion",
        "RedisErrors",
        "Slow",
        "ServerErrors",
        "FoldInOverload",
    ):
        assert f"Dawnlist{wanted}" in names


def test_the_panels_do_not_overlap(built: list[Tree]) -> None:
    panels = dashboard(built)["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len({panel["id"] for panel in panels}) == len(panels)


def test_the_predictors_pods_are_scraped_where_they_listen(built: list[Tree]) -> None:
    spec = one(built, "PodMonitor")["spec"]
    (pod,) = (pod for pod in pods(built) if selected(spec["selector"], pod.labels))
    ports = {
        port["name"]: port["containerPort"]
        for container in pod.containers
        for port in container["ports"]
    }
    assert (pod.owner, [ports[endpoint["port"]] for endpoint in spec["podMetricsEndpoints"]]) == (
        "InferenceService/dawnlist", [8080],
    )  # fmt: skip
