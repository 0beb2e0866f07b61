"""The names of the metrics that a model's lists are judged by."""

from typing import Any, Final

METRICS: Final = ("ndcg", "recall", "map", "mrr", "hit_rate")
"""The metrics with a value for each user. Any of them may be the primary metric."""


def validate_metric(metric: Any) -> str:
    """Return the name of the metric.

    Raises:
        ValueError: It is not one of METRICS.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is unknown: give one of {', '.join(METRICS)}")
    return str(metric)
