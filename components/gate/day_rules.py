"""Rules on the day: can a model be trained and judged on it?

A day that breaks one of them is no evidence for later days either.
"""

from math import log
from statistics import median

from dawnlist.components.gate.rules import rule_at_least, rule_at_most
from dawnlist.model.evaluation import Evaluation, Traffic
from dawnlist.records.verdict import GateRule
from dawnlist.settings import GateSettings

DAYS_PER_WEEK = 7
MIN_SAME_WEEKDAYS = 2
"""With fewer days of the same weekday, the usual volume is the median of all days."""
MIN_EVENT_SHARE = 1e-4
"""An event type that is missing counts as this share, because the logarithm of 0 is infinite."""
NEARLY_ALL_ITEMS = 0.99
"""When more than this share of the incumbent's items is still there, the note leaves it out."""


def apply_day_rules(
    evaluation: Evaluation, settings: GateSettings, live_winner: str | None
) -> list[GateRule]:
    """Apply the rules for which the evaluation has figures.

    `live_winner` is the winner that the incumbent was published as, or None without an incumbent.
    """
    traffic = evaluation.traffic or Traffic()
    rules = _check_volume(traffic, settings)
    if traffic.mix and traffic.mix_before:
        drift = population_stability_index(traffic.mix, traffic.mix_before)
        name = "drift of the event mix (PSI)"
        rules.append(rule_at_most("drift", name, drift, settings.max_drift))
    # The lists of popularity resemble nobody else's. Without this exception the first challenger
    # after popularity would always fail.
    if evaluation.kept_items is not None and live_winner != "popularity":
        rules.append(_check_churn(evaluation, evaluation.kept_items, settings))
    return rules


def _check_volume(traffic: Traffic, settings: GateSettings) -> list[GateRule]:
    """Compare the day's events with the least number, and with the same weekday before."""
    if traffic.events is None:
        return []
    name = "events of the last 24 hours"
    rules = [rule_at_least("events", name, traffic.events, settings.min_events, "count")]
    usual_events = estimate_usual_events(traffic.before or [])
    if usual_events:
        name = "events against the same weekday"
        share = traffic.events / usual_events
        limit = 1 - settings.max_volume_fall
        note = f"usual on this weekday: {usual_events:,.0f}"
        rules.append(rule_at_least("volume", name, share, limit, "share", note))
    return rules


def _check_churn(evaluation: Evaluation, item_share: float, settings: GateSettings) -> GateRule:
    """Limit the share of the incumbent's lists that the challenger replaces.

    `item_share` is the share of the incumbent's items that the window still has.
    """
    name = f"churn of the top {evaluation.k} against the incumbent"
    # There is no churn when no item of the incumbent is left, since no user then has two lists.
    churn = 1 - item_share * (1 - (evaluation.churn or 0.0))
    note = ""
    if item_share <= NEARLY_ALL_ITEMS:
        note = f"{1 - item_share:.0%} of the incumbent's items are gone from the window"
    return rule_at_most("churn", name, churn, settings.max_churn, "share", note)


def estimate_usual_events(before: list[int]) -> float:
    """Return the median event count of the same weekday in the last four weeks.

    `before` has the counts of the days before, newest first. The median is of all days when there
    are too few of the same weekday, and 0 without any day.
    """
    days = before[DAYS_PER_WEEK - 1 :: DAYS_PER_WEEK]
    if len(days) < MIN_SAME_WEEKDAYS:
        days = before
    return median(days) if days else 0.0


def population_stability_index(mix: dict[str, float], before: dict[str, float]) -> float:
    """Return the population stability index of two mixes, sum of (p - q) ln(p / q).

    Siddiqi, "Credit Risk Scorecards" (2006): below 0.1 no change, above 0.25 a large one. It is the
    symmetrised Kullback-Leibler divergence of Jeffreys (1946).
    """
    terms = []
    for event_type in {**mix, **before}:
        p = max(mix.get(event_type, 0), MIN_EVENT_SHARE)
        q = max(before.get(event_type, 0), MIN_EVENT_SHARE)
        terms.append((p - q) * log(p / q))
    return sum(terms)
