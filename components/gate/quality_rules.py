"""Rules on the model: against the incumbent, popularity and the last four weeks, and floors."""

from math import sqrt
from statistics import median
from typing import Any

from dawnlist.components.gate import history
from dawnlist.components.gate.evidence import Evidence, weigh_evidence
from dawnlist.components.gate.history import GATE_HISTORY_DAYS, GateRecord
from dawnlist.components.gate.rules import GateRule, rule_at_least, rule_with_verdict
from dawnlist.cuts import parse_as_of
from dawnlist.settings import GateSettings

MIN_HISTORY_GATES = 7
"""So many gates make a history."""
MAD_SCALE = 1.4826
"""Times the median absolute deviation is a standard deviation, of normal values."""
SEGMENT_STANDARD_ERRORS = 3
"""Several segments are looked at at once, and the smallest must not fail by chance."""


def apply_quality_rules(
    evaluation: dict[str, Any], settings: GateSettings, gates: list[GateRecord]
) -> list[GateRule]:
    """The rules that apply; `gates` are those of the last four weeks, newest first."""
    today = Evidence.of(evaluation.get("per_user"))
    past = _select_comparable(evaluation, gates)
    pooled = Evidence.all([today, *(gate.evidence for gate in past)])
    found = [
        _check_user_count(max(evaluation["evaluated_users"], pooled.users), evaluation, settings)
    ]
    if "incumbent" in evaluation["arms"]:
        found.append(_check_incumbent(today, pooled, len(past), evaluation, settings))
        found += _check_four_weeks(pooled, len(past) + 1, settings)
    found += _check_popularity(evaluation, settings)
    found += _check_lift(
        evaluation,
        history.collect_live_lifts(gates, evaluation["metric"], evaluation["k"]),
        today,
        settings,
    )
    found.append(_check_coverage(evaluation, settings))
    return found + _check_segments(evaluation, today, settings)


def get_primary_metric(evaluation: dict[str, Any], arm: str) -> float:
    """The primary metric of an arm; 0 when no user was evaluated."""
    return float(evaluation["arms"][arm].get(f"{evaluation['metric']}@{evaluation['k']}", 0.0))


def _select_comparable(evaluation: dict[str, Any], gates: list[GateRecord]) -> list[GateRecord]:
    if not gates or "incumbent" not in evaluation["arms"]:
        return []
    start = parse_as_of(evaluation["holdout"]["from"])
    return history.select_comparable_gates(gates, evaluation["metric"], evaluation["k"], start)


def _check_user_count(users: int, evaluation: dict[str, Any], settings: GateSettings) -> GateRule:
    note = f"{evaluation['evaluated_users']:,} today, the others of the last gates"
    passed = True if users >= settings.min_users else None
    pooled = users > evaluation["evaluated_users"]
    return rule_with_verdict(
        "users",
        "enough users in the holdout",
        users,
        settings.min_users,
        passed,
        "count",
        note if pooled else "",
    )


def _check_incumbent(
    today: Evidence, pooled: Evidence, past: int, evaluation: dict[str, Any], settings: GateSettings
) -> GateRule:
    passed, used, note = weigh_evidence(today, pooled, settings.margin, settings.min_users)
    said = f"{used.users:,} users{f' of {past + 1} gates' if used is pooled and past else ''}{note and f': {note}'}"
    name = f"{_format_metric_name(evaluation)} against the incumbent, lower bound"
    return rule_with_verdict(
        "incumbent", name, _clip_share(used.low), -settings.margin, passed, "share", said
    )


def _check_four_weeks(pooled: Evidence, gates: int, settings: GateSettings) -> list[GateRule]:
    """Challengers that are each worse by less than the margin: at this rate, what would four weeks of them lose?

    One standard error in their favour: a slow leak is to be found before it is proven.
    """
    if gates < MIN_HISTORY_GATES or not pooled.incumbent:
        return []
    note = f"the last {gates} gates as they were, passed or not, {pooled.users:,} users"
    name, lost = "four weeks at the last gates' rate", GATE_HISTORY_DAYS * pooled.share(1)
    return [rule_at_least("four_weeks", name, lost, -settings.max_lift_fall, "share", note)]


def _check_popularity(evaluation: dict[str, Any], settings: GateSettings) -> list[GateRule]:
    """Not shown to be worse: few users must not stop a model that is as good."""
    popular = get_primary_metric(evaluation, "popularity")
    upper = popular + evaluation["differences"]["popularity"]["high"]
    name = f"{_format_metric_name(evaluation)} against popularity, upper bound"
    return [rule_at_least("popularity", name, upper, popular * (1 - settings.margin))]


def _check_lift(
    evaluation: dict[str, Any], lifts: list[float], today: Evidence, settings: GateSettings
) -> list[GateRule]:
    """The upper bound is of users and of days: how far lifts scatter from day to day, whichever is wider.

    A challenger that is ahead of the incumbent passes: to refuse it would keep the worse of the two.
    """
    lift = evaluation.get("lift") or {}
    if "value" not in lift or len(lifts) < MIN_HISTORY_GATES:
        return []
    usual = median(lifts)
    scatter = 2 * MAD_SCALE * median(abs(one - usual) for one in lifts)
    upper = max(lift["high"], lift["value"] + scatter)
    limit = usual * (1 - settings.max_lift_fall)
    ahead = today.users > 0 and today.total >= 0
    note = f"today {lift['value']:.3f}, the median of {len(lifts)} gates {usual:.3f}"
    note += "; ahead of the incumbent" if ahead and upper < limit else ""
    name, passed = "lift over popularity, upper bound", upper >= limit or ahead
    return [rule_with_verdict("lift", name, upper, limit, passed, "score", note)]


def _check_coverage(evaluation: dict[str, Any], settings: GateSettings) -> GateRule:
    k, users = evaluation["k"], evaluation["evaluated_users"]
    possible = min(1.0, users * k / max(1, evaluation["items"]))
    shown = evaluation["arms"]["challenger"].get(f"coverage@{k}", 0.0)
    return rule_at_least(
        "coverage",
        f"coverage@{k} of the catalogue",
        shown,
        settings.min_coverage * possible,
        "share",
    )


def _check_segments(
    evaluation: dict[str, Any], today: Evidence, settings: GateSettings
) -> list[GateRule]:
    """The segment that comes nearest to its limit, or falls deepest below it."""
    judged_ones = [
        _check_segment(segment, today, evaluation, settings)
        for segment in evaluation.get("segments") or []
        if segment["users"] >= settings.min_users
        and {"challenger", "incumbent"} <= segment["arms"].keys()
    ]
    return (
        [min(judged_ones, key=lambda rule: rule["value"] - rule["limit"])]
        if today.users and judged_ones
        else []
    )


def _check_segment(
    segment: dict[str, Any], today: Evidence, evaluation: dict[str, Any], settings: GateSettings
) -> GateRule:
    before = segment["arms"]["incumbent"]
    slack = SEGMENT_STANDARD_ERRORS * sqrt(today.spread / max(1, today.users) / segment["users"])
    limit = before * (1 - settings.max_segment_fall) - slack
    note = f"the nearest of the segments to its limit; incumbent {before:.4f}, {segment['users']:,} users"
    name = f"{_format_metric_name(evaluation)} of segment {segment['segment']}"
    return rule_at_least(
        "segments", name, segment["arms"]["challenger"], max(0.0, limit), "score", note
    )


def _format_metric_name(evaluation: dict[str, Any]) -> str:
    return f"{evaluation['metric']}@{evaluation['k']}"


def _clip_share(share: float) -> float:
    """A share of an incumbent whose mean is 0 is infinite, which JSON can't say."""
    return max(-9.99, min(9.99, share))
