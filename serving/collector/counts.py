"""The collector's metrics, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge


class CollectorMetrics:
    """Counts events and requests of one shop."""

    def __init__(self, namespace: str) -> None:
        self.registry = CollectorRegistry()
        labels = ("shop", "status")
        self._namespace = namespace
        self._events = Counter(
            "dawnlist_collector_events",
            "Events by what became of them.",
            labels,
            registry=self.registry,
        )
        self._errors = Counter(
            "dawnlist_collector_request_errors",
            "Requests that were refused whole, by HTTP status.",
            labels,
            registry=self.registry,
        )
        self._memory = Gauge(
            "dawnlist_collector_memory_share",
            "The share of its memory that the store uses.",
            ("shop",),
            registry=self.registry,
        )
        self._streams = Gauge(
            "dawnlist_collector_stream_events",
            "Events in a stream of the store.",
            ("shop", "stream"),
            registry=self.registry,
        )

        self._oldest = Gauge(
            "dawnlist_collector_oldest_seconds",
            "The age of the oldest event in a stream.",
            ("shop", "stream"),
            registry=self.registry,
        )

    def count_events(self, statuses: Iterable[str]) -> None:
        """Count the events of a request."""
        for status, number in Tally(statuses).items():
            self._events.labels(self._namespace, status).inc(number)

    def count_request_error(self, status: int) -> None:
        """Count a request that was refused whole."""
        self._errors.labels(self._namespace, str(status)).inc()

    def set_memory_share(self, share: float) -> None:
        """Set the share of its memory that the store uses."""
        self._memory.labels(self._namespace).set(share)

    def set_stream(self, stream: str, events: int, oldest_seconds: float) -> None:
        """Set the number of events in a stream, and the age of the oldest."""
        self._streams.labels(self._namespace, stream).set(events)
        self._oldest.labels(self._namespace, stream).set(oldest_seconds)
