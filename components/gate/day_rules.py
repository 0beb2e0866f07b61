"""Rules on the day's data: can any model be trained and judged on it?

On a day that breaks one of them nothing is published, and it is no evidence for later days either.
"""

from dataclasses import replace
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


def apply_day_rules(evaluation: Evaluation, settings: GateSettings) -> list[GateRule]:
    """Apply the rules for which the evaluation has figures."""
    traffic = evaluation.traffic or Traffic()
    rules = _check_volume(traffic, settings)
    rules += _check_dropped_events(traffic, settings)
    if traffic.mix and traffic.mix_before:
        drift = population_stability_index(traffic.mix, traffic.mix_before)
        name = "drift of the event mix (PSI)"
        rules.append(rule_at_most("drift", name, drift, settings.max_drift))
    if traffic.known_items is not None:
        name = "events of the last 24 hours with items of the days before"
        limit = 1 - settings.max_churn
        rules.append(rule_at_least("items", name, traffic.known_items, limit, "share"))
    if evaluation.kept_items is not None:
        name = "items of the live model that are still there"
        limit = 1 - settings.max_churn
        rules.append(rule_at_least("catalogue", name, evaluation.kept_items, limit, "share"))
    return [replace(rule, kind="data") for rule in rules]


def _check_volume(traffic: Traffic, settings: GateSettings) -> list[GateRule]:
    """Compare the day's events with the least number, and with the same weekday before.

    A shop that is usually closed on this weekday needs no more events than it usually has then.
    """
    if traffic.events is None:
        return []
    days_before = traffic.before or []
    limit = 1 - settings.max_volume_fall
    min_events: float = settings.min_events
    same_weekdays = select_same_weekdays(days_before)
    if len(same_weekdays) >= MIN_SAME_WEEKDAYS:
        min_events = min(min_events, limit * median(same_weekdays))
    name = "events of the last 24 hours"
    rules = [rule_at_least("events", name, traffic.events, min_events, "count")]
    usual_events = estimate_usual_events(days_before)
    if usual_events:
        name = "events against the same weekday"
        share = traffic.events / usual_events
        note = f"usual on this weekday: {usual_events:,.0f}"
        rules.append(rule_at_least("volume", name, share, limit, "share", note))
    return rules


def _check_dropped_events(traffic: Traffic, settings: GateSettings) -> list[GateRule]:
    """Limit the share of the last 24 hours' events that the bot filter dropped."""
    if traffic.events is None or traffic.dropped is None:
        return []
    events = traffic.events + traffic.dropped
    if not events:
        return []
    name = "events of the last 24 hours dropped as bots'"
    share = traffic.dropped / events
    note = f"{traffic.dropped:,} of {events:,} events"
    return [rule_at_most("dropped", name, share, settings.max_dropped, "share", note)]


def select_same_weekdays(before: list[int]) -> list[int]:
    """Return the event counts of the same weekday, of the counts of the days before."""
    return before[DAYS_PER_WEEK - 1 :: DAYS_PER_WEEK]


def estimate_usual_events(before: list[int]) -> float:
    """Return the median event count of the same weekday in the last four weeks.

    `before` has the counts of the days before, newest first. The median is of all days when there
    are too few of the same weekday, and 0 without any day.
    """
    days = select_same_weekdays(before)
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
