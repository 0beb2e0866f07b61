"""Rules on the day's data: can any model be trained and judged on it?

On a day that breaks one of them nothing is published, and it is no evidence for later days either.
"""

from dataclasses import replace
from math import log, sqrt

from dawnlist.components.gate.rules import rule_at_least, rule_at_most
from dawnlist.components.gate.volume import measure_volume
from dawnlist.model.evaluation import Evaluation, Traffic
from dawnlist.records.verdict import GateRule
from dawnlist.settings import GateSettings

MIN_EVENT_SHARE = 1e-4
"""An event type that is missing counts as this share, because the logarithm of 0 is infinite."""
SHARE_OF_WEAKEST = 0.8
"""A day may have this share of the events of the weakest of the same weekdays."""
HALF_EVENT = 0.5
"""On a day with few events, a type that is missing counts as half an event."""


def apply_day_rules(evaluation: Evaluation, settings: GateSettings) -> list[GateRule]:
    """Apply the rules for which the evaluation has figures."""
    traffic = evaluation.traffic or Traffic()
    rules = _check_volume(traffic, settings)
    rules += _check_dropped_events(traffic, settings)
    rules += _check_drift(traffic, settings)
    has_enough_events = (traffic.events or 0) >= settings.min_events
    if traffic.known_items is not None and has_enough_events:
        name = "events of the last 24 hours with items of the days before"
        limit = 1 - settings.max_churn
        rules.append(rule_at_least("items", name, traffic.known_items, limit, "share"))
    if evaluation.kept_items is not None:
        name = "items of the live model that are still there"
        limit = 1 - settings.max_churn
        rules.append(rule_at_least("catalogue", name, evaluation.kept_items, limit, "share"))
    return [replace(rule, kind="data") for rule in rules]


def _check_volume(traffic: Traffic, settings: GateSettings) -> list[GateRule]:
    """Compare the events with the least number, and with the same weekdays before.

    They are those of the last day or, where the shop usually has too few on this weekday, of as
    many days as it takes. Weeks of a small shop differ, so a day may also be a fifth below the
    weakest of the same weekdays.
    """
    if traffic.events is None:
        return []
    volume = measure_volume(traffic.events, traffic.before or [], settings.min_events)
    lowest_events = (1 - settings.max_volume_fall) * volume.usual
    min_events: float = settings.min_events
    if volume.is_same_weekdays:
        lowest_events = min(lowest_events, SHARE_OF_WEAKEST * volume.least)
        min_events = min(min_events, lowest_events)
    name = f"events of the last {24 * volume.days} hours"
    rules = [rule_at_least("events", name, volume.events, min_events, "count")]
    if volume.usual:
        name = "events against the same weekday"
        share = volume.events / volume.usual
        limit = lowest_events / volume.usual
        note = f"usual on this weekday: {volume.usual:,.0f}"
        if volume.days > 1:
            note = f"usual in {volume.days} days up to this weekday: {volume.usual:,.0f}"
        if volume.least < volume.usual:
            note += f", at the least {volume.least:,.0f}"
        rules.append(rule_at_least("volume", name, share, limit, "share", note))
    return rules


def _check_drift(traffic: Traffic, settings: GateSettings) -> list[GateRule]:
    """Limit how far the mix of event types is from the usual one, beyond what chance explains."""
    if not traffic.mix or not traffic.mix_before:
        return []
    events = traffic.events or 1
    smallest_share = max(MIN_EVENT_SHARE, HALF_EVENT / events)
    drift = population_stability_index(traffic.mix, traffic.mix_before, smallest_share)
    types = len({**traffic.mix, **traffic.mix_before})
    limit = settings.max_drift + estimate_chance_drift(types, events)
    return [rule_at_most("drift", "drift of the event mix (PSI)", drift, limit)]


def estimate_chance_drift(types: int, events: int) -> float:
    """Estimate the drift that so few events have by chance.

    For independent events, their number times the index is about chi-square with `types` - 1
    degrees of freedom: its mean plus three standard deviations are taken, twice, since one person's
    events are alike.
    """
    freedom = max(0, types - 1)
    return 2 * (freedom + 3 * sqrt(2 * freedom)) / events


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


def population_stability_index(
    mix: dict[str, float], before: dict[str, float], smallest_share: float = MIN_EVENT_SHARE
) -> float:
    """Return the population stability index of two mixes, sum of (p - q) ln(p / q).

    A type that is missing counts as `smallest_share`.

    Siddiqi, "Credit Risk Scorecards" (2006): below 0.1 no change, above 0.25 a large one. It is the
    symmetrised Kullback-Leibler divergence of Jeffreys (1946).
    """
    terms = []
    for event_type in {**mix, **before}:
        p = max(mix.get(event_type, 0), smallest_share)
        q = max(before.get(event_type, 0), smallest_share)
        terms.append((p - q) * log(p / q))
    return sum(terms)
