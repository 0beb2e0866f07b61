"""What `/metrics` shows: plain integers on the way of a request, made into Prometheus's text only when asked.

prometheus_client's own counters cost 1 to 3 us for each increment with labels; a request makes five of them.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from dawnlist.cuts import parse_as_of
from dawnlist.serving.predictor.answers.ladder import Recommendation

LATENCY_BOUNDS: Final = (
    0.0005,
    0.001,
    0.002,
    0.004,
    0.006,
    0.008,
    0.012,
    0.016,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
)
"""Of the histograms, in seconds; 12 ms is the aim for the 99th percentile."""
TIERS: Final = ("fold_in", "vector", "list", "content", "segment", "popular", "static")
BATCH_TIER: Final = "batch"
"""The tier of a request for several users, whose answers may be of several."""


@dataclass(slots=True)
class Histogram:
    """How many values fell up to each of BOUNDS, and above; and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulated, as Prometheus wants them."""
        reached, buckets = 0, list[tuple[str, float]]()
        for bound, count in zip([*map(str, LATENCY_BOUNDS), "+Inf"], self.counts, strict=True):
            reached += count
            buckets.append((bound, reached))
        return buckets


class PredictorMetrics(Collector):
    """All counts of one predictor; metrics.Metrics is what the engine reports to it.

    Increments take no lock: within CPython's GIL none is cut in two, and a reader may see one request half counted.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.requests: dict[tuple[str, int], int] = {}
        self.tiers = dict.fromkeys(
            TIERS, 0
        )  # there from the start: a first answer is a change of 0 to 1
        self.seconds: dict[str, Histogram] = {}
        self.redis_errors: dict[str, int] = {}
        self.degradations: dict[str, int] = {}
        self.corruptions: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        self.fold_ins = Histogram()
        self.in_flight = self.loads = self.version = 0
        self.load_seconds = self.as_of = 0.0
        self.breaker_open = self.ready = False

    # requests

    def request(self, route: str, status: int) -> None:
        """A request was answered."""
        key = (route, status)
        self.requests[key] = self.requests.get(key, 0) + 1

    def count_answers(self, answers: Sequence[Recommendation], seconds: float) -> None:
        """One request's answers were made, `seconds` after it had arrived."""
        tiers = self.tiers
        for answer in answers:
            tiers[answer.tier] = tiers.get(answer.tier, 0) + 1
        tier = answers[0].tier if len(answers) == 1 else BATCH_TIER
        if tier not in self.seconds:
            self.seconds[tier] = Histogram()
        self.seconds[tier].observe(seconds)

    def failed(self, kind: str) -> None:
        """Something was raised that should not have been; `kind` is the exception's class name."""
        _increment(self.failures, kind)

    # what the engine reports

    def report_store_error(self, kind: str) -> None:
        _increment(self.redis_errors, kind)

    def report_breaker(self, is_open: bool) -> None:
        self.breaker_open = is_open

    def fold_in(self, seconds: float) -> None:
        self.fold_ins.observe(seconds)

    def report_degradation(self, reason: str) -> None:
        _increment(self.degradations, reason)

    def report_version(self, version: int, as_of: str, seconds: float) -> None:
        self.version, self.load_seconds = version, seconds
        self.as_of = parse_as_of(as_of).timestamp() if as_of else 0.0
        self.loads += 1

    def report_corruption(self, what: str) -> None:
        _increment(self.corruptions, what)

    # Prometheus

    def collect(self) -> Iterator[Any]:
        def counter(
            name: str, text: str, counts: dict[Any, int], *labels: str
        ) -> CounterMetricFamily:
            family = CounterMetricFamily(f"dawnlist_{name}", text, labels=["shop", *labels])
            for key, count in counts.copy().items():
                values = key if isinstance(key, tuple) else (key,)
                family.add_metric([self.namespace, *map(str, values)], count)
            return family

        def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
            family = GaugeMetricFamily(f"dawnlist_{name}", text, labels=["shop"])
            family.add_metric([self.namespace], value)
            return family

        yield counter("requests", "Requests by route and status.", self.requests, "route", "status")
        yield counter("answers", "Users' answers by the rung of the ladder.", self.tiers, "tier")
        yield self._histogram(
            "request_seconds",
            "From a request's arrival to its answer.",
            self.seconds.copy(),
            "tier",
        )
        yield self._histogram(
            "fold_in_seconds", "From asking for a fold-in to the ranked items.", {"": self.fold_ins}
        )
        yield counter(
            "redis_errors",
            "Commands of the store that failed, by error.",
            self.redis_errors,
            "kind",
        )
        yield counter(
            "degraded", "Answers below the ladder's best, by reason.", self.degradations, "reason"
        )
        yield counter(
            "corrupt",
            "Values of the store with a wrong checksum, or gone.",
            self.corruptions,
            "what",
        )
        yield counter("failures", "Errors that should not happen, by class.", self.failures, "kind")
        yield counter("loads", "Versions loaded since the start.", {(): self.loads})
        yield gauge(
            "breaker_open",
            "1 while the store is not asked because it did not answer.",
            self.breaker_open,
        )
        yield gauge("ready", "1 when a version is loaded and warm.", self.ready)
        yield gauge("in_flight", "Requests being answered.", self.in_flight)
        yield gauge("version", "The version that answers; 0: none.", self.version)
        yield gauge("load_seconds", "How long the last load of a version took.", self.load_seconds)
        if self.as_of:
            yield gauge(
                "version_age_seconds", "From the version's as_of to now.", time.time() - self.as_of
            )

    def _histogram(
        self, name: str, text: str, histograms: dict[str, Histogram], *labels: str
    ) -> HistogramMetricFamily:
        family = HistogramMetricFamily(f"dawnlist_{name}", text, labels=["shop", *labels])
        for key, histogram in histograms.items():
            values = [self.namespace, key] if labels else [self.namespace]
            family.add_metric(values, histogram.buckets(), histogram.total)
        return family


def render_metrics(collectors: Iterable[Collector]) -> bytes:
    """What the collectors have, in Prometheus's text format, and this process's CPU, memory and file handles."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _increment(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
