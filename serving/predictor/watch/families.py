"""Prometheus's metric families, built from plain counts when `/metrics` is read."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

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
"""Upper bounds of the histograms' buckets, in seconds.

12 ms is the target for the 99th percentile.
"""
BUCKETS: Final = len(LATENCY_BOUNDS) + 1
"""Buckets of a histogram; the last one has no upper bound."""
SHOP_LABEL: Final = "shop"
"""The label that holds the namespace."""


@dataclass(slots=True)
class Histogram:
    """Counts of values in the buckets between LATENCY_BOUNDS, and the values' sum."""

    counts: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    """Values in each bucket; the last bucket has no upper bound."""
    total: float = 0.0
    """The sum of all values, in seconds."""

    def observe(self, seconds: float) -> None:
        """Count a value."""
        self.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.total += seconds

    def cumulate_buckets(self) -> list[tuple[str, float]]:
        """Return each upper bound with the number of values up to it, as Prometheus wants them."""
        bounds = [*map(str, LATENCY_BOUNDS), "+Inf"]
        buckets: list[tuple[str, float]] = []
        cumulated = 0
        for bound, count in zip(bounds, self.counts, strict=True):
            cumulated += count
            buckets.append((bound, cumulated))
        return buckets


@dataclass(frozen=True, slots=True)
class FamilyBuilder:
    """Builds the families of one namespace."""

    namespace: str
    """The value of the label `shop`."""

    def build_gauge(self, name: str, text: str, value: float) -> GaugeMetricFamily:
        """Build a gauge of one value."""
        family = GaugeMetricFamily(f"dawnlist_{name}", text, labels=[SHOP_LABEL])
        family.add_metric([self.namespace], value)
        return family

    def build_counter(self, name: str, text: str, count: int) -> CounterMetricFamily:
        """Build a counter of one count."""
        family = CounterMetricFamily(f"dawnlist_{name}", text, labels=[SHOP_LABEL])
        family.add_metric([self.namespace], count)
        return family

    def build_counters(
        self, name: str, text: str, label: str, counts: dict[str, int]
    ) -> CounterMetricFamily:
        """Build a counter with a count for each value of a label."""
        keyed_counts = {(value,): count for value, count in counts.copy().items()}
        return self.build_labelled_counters(name, text, [label], keyed_counts)

    def build_labelled_counters(
        self, name: str, text: str, labels: Sequence[str], counts: Mapping[tuple[Any, ...], int]
    ) -> CounterMetricFamily:
        """Build a counter with a count for each combination of the labels' values."""
        family = CounterMetricFamily(f"dawnlist_{name}", text, labels=[SHOP_LABEL, *labels])
        for values, count in counts.items():
            family.add_metric([self.namespace, *map(str, values)], count)
        return family

    def build_histogram(self, name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
        """Build one histogram."""
        family = HistogramMetricFamily(f"dawnlist_{name}", text, labels=[SHOP_LABEL])
        family.add_metric([self.namespace], histogram.cumulate_buckets(), histogram.total)
        return family

    def build_histograms(
        self, name: str, text: str, label: str, histograms: Mapping[str, Histogram]
    ) -> HistogramMetricFamily:
        """Build a histogram for each value of a label."""
        family = HistogramMetricFamily(f"dawnlist_{name}", text, labels=[SHOP_LABEL, label])
        for value, histogram in histograms.items():
            buckets = histogram.cumulate_buckets()
            family.add_metric([self.namespace, value], buckets, histogram.total)
        return family
