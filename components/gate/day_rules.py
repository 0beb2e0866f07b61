"""Rules on the day: whether it was one that a model can be trained and judged on. A day that breaks one is no evidence
for the days after it either."""

from math import log
from statistics import median
from typing import Any

from dawnlist.components.gate.rules import GateRule, rule_at_least, rule_at_most
from dawnlist.settings import GateSettings

DAYS_PER_WEEK = 7
MIN_SAME_WEEKDAYS = 2
"""Of so few same weekdays the median is of all days."""
MIN_EVENT_SHARE = 1e-4
"""A type that is missing counts as this share: the logarithm of 0 is infinite."""


def apply_day_rules(
    evaluation: dict[str, Any], settings: GateSettings, over: str | None
) -> list[GateRule]:
    """The rules that apply; `over` is the winner that the incumbent was published as, None without an incumbent."""
    traffic = evaluation.get("traffic") or {}
    found = []
    if "events" in traffic:
        found.append(
            rule_at_least(
                "events",
                "events of the last 24 hours",
                traffic["events"],
                settings.min_events,
                "count",
            )
        )
    if usual := estimate_usual_events(traffic.get("before", [])):
        share, least = traffic["events"] / usual, 1 - settings.max_volume_fall
        note = f"usual on this weekday: {usual:,.0f}"
        found.append(
            rule_at_least("volume", "events against the same weekday", share, least, "share", note)
        )
    if traffic.get("mix") and traffic.get("mix_before"):
        drift = population_stability_index(traffic["mix"], traffic["mix_before"])
        found.append(
            rule_at_most("drift", "drift of the event mix (PSI)", drift, settings.max_drift)
        )
    # popularity's lists have little in common with anybody's, and the first challenger after it must not stop at that
    if "kept_items" in evaluation and over != "popularity":
        name, kept = (
            f"churn of the top {evaluation['k']} against the incumbent",
            evaluation["kept_items"],
        )
        gone = 1 - kept * (
            1 - evaluation.get("churn", 0.0)
        )  # no user has two lists when no item is known any more
        note = (
            ""
            if kept > 0.99
            else f"{1 - kept:.0%} of the incumbent's items are gone from the window"
        )
        found.append(rule_at_most("churn", name, gone, settings.max_churn, "share", note))
    return found


def estimate_usual_events(before: list[int]) -> float:
    """The median of the same weekday of the last four weeks, of all days when few are known; 0 without any."""
    weekdays = before[DAYS_PER_WEEK - 1 :: DAYS_PER_WEEK]
    known = weekdays if len(weekdays) >= MIN_SAME_WEEKDAYS else before
    return median(known) if known else 0.0


def population_stability_index(mix: dict[str, float], before: dict[str, float]) -> float:
    """The population stability index of two mixes, sum of (p - q) ln(p / q).

    Siddiqi, "Credit Risk Scorecards" (2006): below 0.1 no change, above 0.25 a large one. It is the symmetrised
    Kullback-Leibler divergence of Jeffreys (1946).
    """
    pairs = [
        (max(mix.get(kind, 0), MIN_EVENT_SHARE), max(before.get(kind, 0), MIN_EVENT_SHARE))
        for kind in {**mix, **before}
    ]
    return sum((p - q) * log(p / q) for p, q in pairs)
