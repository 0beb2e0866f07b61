"""The counts behind `/metrics`: plain integers, turned into Prometheus's text only when it is read.

An increment of one of prometheus_client's own counters with labels takes 1 to 3 us, and a request
makes five of them.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.watch.families import FamilyBuilder, Histogram

TIERS: Final = ("fold_in", "vector", "list", "content", "segment", "popular", "static", "none")
SHELF_TIERS: Final = (
    "similar", "similar_content", "associated", "trending", "continue", "segment", "popular", "static", "none",
)  # fmt: skip
"""The rungs of shelves."""
BATCH_TIER: Final = "batch"
"""The tier of a request for several users, whose answers may be of several tiers."""


class PredictorMetrics(Collector):
    """All counts of one predictor; the engine reports to it as answers.metrics.EngineMetrics.

    Increments take no lock. CPython's GIL keeps each of them whole; a reader may see a request of
    which only a part is counted.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        """The value of the label `shop`."""
        self.requests: dict[tuple[str, int], int] = {}
        """Requests by route and status."""
        self.tiers = dict.fromkeys(TIERS, 0)
        """Answers by tier. All tiers are there from the start, so that the first answer is a change
        from 0 to 1."""
        self.request_seconds: dict[str, Histogram] = {}
        """Times of requests by tier."""
        self.fold_in_seconds = Histogram()
        """Times of rankings."""
        self.redis_errors: dict[str, int] = {}
        """Failed commands of the store by class of exception."""
        self.degradations: dict[str, int] = {}
        """Answers below the ladder's best by reason."""
        self.corruptions: dict[str, int] = {}
        """Missing or damaged values of the store by what they are."""
        self.failures: dict[str, int] = {}
        """Exceptions that should never be raised, by class."""
        self.shown = {"written": 0, "dropped": 0}
        """Answers that were logged, and those that were not for lack of room or of a store."""
        self.group_members = {"counted": 0, "unknown": 0}
        """Members of the groups that were asked for: those whose scores counted, and others."""
        self.closed_connections = 0
        """Connections that were closed to make room for others."""
        self.in_flight = 0
        """Requests that are being answered."""
        self.loads = 0
        """Versions that were loaded since the start."""
        self.version = 0
        """The version that answers; 0 for none."""
        self.load_seconds = 0.0
        """How long its load took."""
        self.as_of = 0.0
        """Its as_of in seconds since 1970; 0 for none."""
        self.withdrawn_items = 0
        """Items that are withdrawn besides those that the run left out."""
        self.breaker_open = False
        """Whether the circuit breaker in front of the store is open."""
        self.ready = False
        """Whether a version is loaded, as of the last read of /metrics."""

    # The server reports requests.

    def count_request(self, route: str, status: int) -> None:
        """Count a request that was answered with this status."""
        key = (route, status)
        self.requests[key] = self.requests.get(key, 0) + 1

    def count_closed_connection(self) -> None:
        """Count a connection that was closed to make room for another one."""
        self.closed_connections += 1

    def count_answers(self, answers: Sequence[Recommendation], seconds: float) -> None:
        """Count the answers of one request, which were ready `seconds` after it had arrived."""
        tiers = self.tiers
        for answer in answers:
            tiers[answer.tier] = tiers.get(answer.tier, 0) + 1
        tier = answers[0].tier if len(answers) == 1 else BATCH_TIER
        if tier not in self.request_seconds:
            self.request_seconds[tier] = Histogram()
        self.request_seconds[tier].observe(seconds)

    def count_members(self, counted: int, unknown: int) -> None:
        """Count the members of a group: those with a vector, and those without."""
        self.group_members["counted"] += counted
        self.group_members["unknown"] += unknown

    def count_shown(self, what: str, answers: int) -> None:
        """Count answers that were `written` to the log of what was shown, or `dropped`."""
        self.shown[what] += answers

    def count_failure(self, kind: str) -> None:
        """Count an exception that should never be raised; `kind` is its class name."""
        _increment(self.failures, kind)

    # The engine reports through EngineMetrics.

    def report_store_error(self, kind: str) -> None:
        """Count a command of the store that failed."""
        _increment(self.redis_errors, kind)

    def report_breaker(self, is_open: bool) -> None:
        """Note whether the circuit breaker is open."""
        self.breaker_open = is_open

    def report_fold_in(self, seconds: float) -> None:
        """Count a ranking and its time."""
        self.fold_in_seconds.observe(seconds)

    def report_degradation(self, reason: str) -> None:
        """Count an answer below the ladder's best."""
        _increment(self.degradations, reason)

    def report_version(self, version: int, as_of: datetime, seconds: float) -> None:
        """Note the version that answers from now on."""
        self.version = version
        self.load_seconds = seconds
        self.as_of = as_of.timestamp()
        self.loads += 1

    def report_withdrawals(self, items: int) -> None:
        """Note how many items are withdrawn from now on."""
        self.withdrawn_items = items

    def report_corruption(self, what: str) -> None:
        """Count a value that was missing or damaged."""
        _increment(self.corruptions, what)

    # Prometheus reads.

    def collect(self) -> Iterator[Any]:
        """Generate all metric families."""
        families = FamilyBuilder(self.namespace)
        yield from self._collect_requests(families)
        yield from self._collect_errors(families)
        yield from self._collect_state(families)

    def _collect_requests(self, families: FamilyBuilder) -> Iterator[Any]:
        """Generate the metrics of requests and answers."""
        yield families.build_labelled_counters(
            "requests", "Requests by route and status.", ["route", "status"], self.requests.copy()
        )
        yield families.build_counters(
            "answers", "Users' answers by the rung of the ladder.", "tier", self.tiers
        )
        yield families.build_counters(
            "group_members",
            "Members of groups: those whose scores counted, and those without a vector.",
            "kind",
            self.group_members,
        )
        yield families.build_histograms(
            "request_seconds",
            "From a request's arrival to its answer.",
            "tier",
            self.request_seconds.copy(),
        )
        yield families.build_histogram(
            "fold_in_seconds",
            "From asking for a fold-in to the ranked items.",
            self.fold_in_seconds,
        )

    def _collect_errors(self, families: FamilyBuilder) -> Iterator[Any]:
        """Generate the metrics of errors and degraded answers."""
        yield families.build_counters(
            "redis_errors",
            "Commands of the store that failed, by error.",
            "kind",
            self.redis_errors,
        )
        yield families.build_counters(
            "degraded", "Answers below the ladder's best, by reason.", "reason", self.degradations
        )
        yield families.build_counters(
            "corrupt",
            "Values of the store with a wrong checksum, or gone.",
            "what",
            self.corruptions,
        )
        yield families.build_counters(
            "failures", "Errors that should not happen, by class.", "kind", self.failures
        )
        yield families.build_counters(
            "shown",
            "Answers whose items were logged, or dropped from the log.",
            "result",
            self.shown,
        )
        yield families.build_counter(
            "closed_connections",
            "Connections closed to make room for others.",
            self.closed_connections,
        )

    def _collect_state(self, families: FamilyBuilder) -> Iterator[Any]:
        """Generate the metrics of the version that answers."""
        gauge = families.build_gauge
        yield families.build_counter("loads", "Versions loaded since the start.", self.loads)
        yield gauge(
            "breaker_open",
            "1 while the store is not asked because it did not answer.",
            self.breaker_open,
        )
        yield gauge("ready", "1 when a version is loaded and warm.", self.ready)
        yield gauge("in_flight", "Requests being answered.", self.in_flight)
        yield gauge("version", "The version that answers; 0: none.", self.version)
        yield gauge(
            "withdrawn_items",
            "Items that `dawnlist items withdraw` keeps out of answers.",
            self.withdrawn_items,
        )
        yield gauge("load_seconds", "How long the last load of a version took.", self.load_seconds)
        if self.as_of:
            age = time.time() - self.as_of
            yield gauge("version_age_seconds", "From the version's as_of to now.", age)


def render_metrics(collectors: Iterable[Collector]) -> bytes:
    """Render the collectors' metrics, and this process's CPU, memory and open files, as text."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _increment(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
