"""The tables about the models: their metrics on the holdout, and how they compare."""

from collections.abc import Collection, Iterable
from math import inf
from typing import Any

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import (
    MISSING_VALUE_MARK,
    format_count,
    format_difference,
    format_json_value,
    format_percent,
    format_score,
    parse_finite,
)
from dawnlist.components.notify.tables import TextTable, build_table

OMITTED_METRIC = "hit_rate"
"""The models' table leaves it out unless it decides: recall and MRR say as much."""
OWN_ITEMS_ARM = "own_items"
"""Only an evaluation that counts repeats as hits has this arm."""
ARM_NAMES = {"item_knn": "item-kNN", OWN_ITEMS_ARM: "own items"}


def format_arm_name(facts: Facts, arm: str) -> str:
    """Name an arm for people; popularity is named with its window."""
    window = facts.get_value("evaluate", "popularity_window")
    if arm == "popularity" and window:
        return f"popularity ({window})"
    return ARM_NAMES.get(arm, arm)


def build_metrics_table(facts: Facts) -> TextTable | None:
    """Show the metrics of each arm, the deciding metric first."""
    means_by_name = {}
    for arm, means in facts.get_mapping("evaluate", "arms").items():
        if isinstance(means, dict):
            means_by_name[format_arm_name(facts, arm)] = means
    return _build_means_table(means_by_name, facts.metric)


def build_popularity_windows_table(facts: Facts) -> TextTable | None:
    """Show the metrics of popularity, counted over windows of several lengths."""
    means_by_name = {}
    for window, means in facts.get_mapping("evaluate", "popularity_windows").items():
        if isinstance(means, dict):
            means_by_name[window] = means
    return _build_means_table(means_by_name, facts.metric)


def _build_means_table(
    means_by_name: dict[str, dict[str, Any]], deciding_metric: str
) -> TextTable | None:
    """Show means by name, the deciding metric first and its best value in bold."""
    if not means_by_name:
        return None
    metrics = _list_metrics(means_by_name.values(), deciding_metric)
    rows = []
    for name, means in means_by_name.items():
        scores = [format_score(means.get(metric)) for metric in metrics]
        rows.append([name, *scores])
    # Only the deciding metric is named with the length of the lists, to keep seven columns narrow.
    head = [""]
    for metric in metrics:
        short_name = metric.partition("@")[0].replace("_", " ")
        head.append(metric if metric == deciding_metric else short_name)
    best_row = _find_best(means_by_name.values(), deciding_metric)
    tones = {} if best_row is None else {best_row: "best"}
    return TextTable(head, rows, tones=tones)


def _list_metrics(all_means: Collection[dict[str, Any]], deciding_metric: str) -> list[str]:
    metrics: dict[str, None] = {}
    for means in all_means:
        for metric in means:
            if metric != deciding_metric and not metric.startswith(OMITTED_METRIC):
                metrics[metric] = None
    if any(deciding_metric in means for means in all_means):
        return [deciding_metric, *metrics]
    return list(metrics)


def _find_best(all_means: Iterable[dict[str, Any]], metric: str) -> int | None:
    """Return the index of the greatest finite value, the first of equal ones; None without any."""
    best_index, best_value = None, -inf
    for index, means in enumerate(all_means):
        value = parse_finite(means.get(metric))
        if value is not None and value > best_value:
            best_index, best_value = index, value
    return best_index


def build_differences_table(facts: Facts) -> TextTable | None:
    """Compare the challenger with each other arm, with 95% intervals."""
    rows = []
    for arm, difference in facts.get_mapping("evaluate", "differences").items():
        if not isinstance(difference, dict):
            continue
        low, high = difference.get("low"), difference.get("high")
        interval = f"{format_difference(low)} to {format_difference(high)}"
        mean = format_difference(difference.get("mean"))
        rows.append([format_arm_name(facts, arm), mean, interval, _interpret_interval(low, high)])
    head = [f"challenger's {facts.metric} against", "difference", "95% interval", ""]
    return build_table(head, rows)


def _interpret_interval(low: Any, high: Any) -> str:
    """Say what an interval of the difference means for the challenger."""
    lower, upper = parse_finite(low), parse_finite(high)
    if lower is None or upper is None:
        return MISSING_VALUE_MARK
    if lower > 0:
        return "better"
    if upper < 0:
        return "worse"
    return "no clear difference"


def build_segments_table(facts: Facts) -> TextTable | None:
    """Show the deciding metric of each arm in each segment of the users.

    With an incumbent the last column has the challenger's difference from it, with its interval.
    """
    segments = facts.get_listing("evaluate", "segments")
    if not segments:
        return None
    arms_with_scores: set[str] = set()
    for segment in segments:
        arms_with_scores |= _get_arms(segment).keys()
    arms = [arm for arm in facts.get_mapping("evaluate", "arms") if arm in arms_with_scores]
    has_differences = any(_get_difference(segment) for segment in segments)
    rows = []
    for segment in segments:
        name = format_json_value(segment.get("segment"))
        users = format_count(segment.get("users"))
        row = [name, users]
        row += [format_score(_get_arms(segment).get(arm)) for arm in arms]
        if has_differences:
            row.append(_format_interval(_get_difference(segment)))
        rows.append(row)
    head = [f"{facts.metric} among", "users"]
    head += [format_arm_name(facts, arm) for arm in arms]
    if has_differences:
        head.append("challenger against incumbent")
    return TextTable(head, rows)


def _get_difference(segment: dict[str, Any]) -> dict[str, Any]:
    difference = segment.get("difference")
    return difference if isinstance(difference, dict) else {}


def _format_interval(difference: dict[str, Any]) -> str:
    """Write a difference with its interval, e.g. `+.0120 (+.0100 to +.0140)`."""
    if not difference:
        return MISSING_VALUE_MARK
    mean, low, high = (format_difference(difference.get(part)) for part in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def _get_arms(segment: dict[str, Any]) -> dict[str, Any]:
    arms = segment.get("arms")
    return arms if isinstance(arms, dict) else {}


def describe_comparison(facts: Facts) -> list[str]:
    """Describe lift, churn, and a change of the holdout, in one paragraph of whole sentences."""
    sentences = []
    lift = facts.get_mapping("evaluate", "lift")
    if lift:
        interval = f"{_format_lift(lift, 'low')} to {_format_lift(lift, 'high')}"
        value = _format_lift(lift, "value")
        sentences.append(f"{value} times popularity's {facts.metric} ({interval}).")
    churn = facts.get_value("evaluate", "churn")
    if churn is not None:
        share = format_percent(churn)
        sentences.append(f"{share} of the live lists are not in the challenger's.")
    first_holdout = facts.get_value("evaluate", "holdout", "first_seen")
    if first_holdout is not None:
        holdout = facts.get_value("evaluate", "holdout", "fingerprint")
        sentences.append(
            f"This day's first run was judged on another holdout ({first_holdout}, now {holdout}): "
            "the figures of the two runs can't be compared."
        )
    return [" ".join(sentences)] if sentences else []


def _format_lift(lift: dict[str, Any], key: str) -> str:
    value = parse_finite(lift.get(key)) or 0
    return f"{value:.2f}"
