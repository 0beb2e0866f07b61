"""Rules on the model: against the incumbent, popularity and the last four weeks, and floors."""

from dataclasses import replace
from math import sqrt
from statistics import median

from dawnlist.components.gate import history
from dawnlist.components.gate.evidence import Evidence, weigh_evidence
from dawnlist.components.gate.history import GATE_HISTORY_DAYS, GateRecord
from dawnlist.components.gate.list_rules import check_coverage
from dawnlist.components.gate.rules import rule_at_least, rule_with_verdict
from dawnlist.cuts import parse_as_of
from dawnlist.model.evaluation import Evaluation, SegmentScores
from dawnlist.records.verdict import GateRule
from dawnlist.settings import GateSettings

MIN_HISTORY_GATES = 7
"""The rules on the last four weeks need at least so many gates."""
MAD_SCALE = 1.4826
"""For normal values, the median absolute deviation times this is the standard deviation."""
SEGMENT_STANDARD_ERRORS = 3
"""The slack of a segment is wide, because the smallest of several must not fail by chance."""
MAX_SHARE = 9.99
"""A share is clipped to plus or minus this value."""


def apply_quality_rules(
    evaluation: Evaluation, settings: GateSettings, gates: list[GateRecord]
) -> list[GateRule]:
    """Apply the rules for which the evaluation has figures.

    `gates` are the gates of the last four weeks, newest first.
    """
    today = Evidence.from_users(evaluation.per_user)
    past_gates = _select_past_gates(evaluation, gates)
    pooled = Evidence.pool([today, *(gate.evidence for gate in past_gates)])
    gate_count = len(past_gates) + 1
    rules = [_check_user_count(pooled, evaluation, settings)]
    if "incumbent" in evaluation.arms:
        rules.append(_check_incumbent(today, pooled, gate_count, evaluation, settings))
        rules += _check_four_weeks(pooled, gate_count, settings)
    rules.append(_check_popularity(evaluation, settings))
    live_lifts = history.collect_live_lifts(gates, evaluation.metric, evaluation.k)
    rules += _check_lift(evaluation, live_lifts, today, settings)
    rules.append(check_coverage(evaluation, settings, today, pooled))
    rules += _check_segments(evaluation, today, settings)
    return rules


def get_primary_metric(evaluation: Evaluation, arm: str) -> float:
    """Return the primary metric of an arm, or 0 when no user was evaluated."""
    return float(evaluation.arms[arm].get(evaluation.metric_name, 0.0))


def _select_past_gates(evaluation: Evaluation, gates: list[GateRecord]) -> list[GateRecord]:
    if not gates or "incumbent" not in evaluation.arms:
        return []
    start = parse_as_of(evaluation.holdout.start)
    return history.select_comparable_gates(gates, evaluation.metric, evaluation.k, start)


def _check_user_count(pooled: Evidence, evaluation: Evaluation, settings: GateSettings) -> GateRule:
    """Require enough users; too few are no failure, but not enough evidence."""
    name = "enough users in the holdout"
    users_today = evaluation.evaluated_users
    users = max(users_today, pooled.users)
    passed = True if users >= settings.min_users else None
    note = ""
    if users > users_today:
        note = f"{users_today:,} today, the others of the last gates"
    return rule_with_verdict("users", name, users, settings.min_users, passed, "count", note)


def _check_incumbent(
    today: Evidence,
    pooled: Evidence,
    gate_count: int,
    evaluation: Evaluation,
    settings: GateSettings,
) -> GateRule:
    """Require that the challenger is shown to lose at most the margin."""
    passed, evidence, reason = weigh_evidence(today, pooled, settings.margin, settings.min_users)
    note = f"{evidence.users:,} users"
    if evidence is pooled and gate_count > 1:
        note += f" of {gate_count} gates"
    if reason:
        note += f": {reason}"
    name = f"{evaluation.metric_name} against the incumbent, lower bound"
    value = _clip_share(evidence.low)
    return rule_with_verdict("incumbent", name, value, -settings.margin, passed, "share", note)


def _check_four_weeks(pooled: Evidence, gate_count: int, settings: GateSettings) -> list[GateRule]:
    """Limit what four weeks of challengers would lose, each of them worse by less than the margin.

    The rule adds one standard error in their favour, and still finds a slow loss before it could
    be proven.
    """
    if gate_count < MIN_HISTORY_GATES or not pooled.incumbent:
        return []
    name = "four weeks at the last gates' rate"
    change = GATE_HISTORY_DAYS * pooled.relative_difference(1)
    limit = -settings.max_lift_fall
    note = f"the last {gate_count} gates, whether they passed or not, with {pooled.users:,} users"
    return [rule_at_least("four_weeks", name, change, limit, "share", note)]


def _check_popularity(evaluation: Evaluation, settings: GateSettings) -> GateRule:
    """Require that the challenger is not shown to be worse than popularity.

    The rule takes the upper bound, so that few users do not stop a model that is as good.
    """
    popularity = get_primary_metric(evaluation, "popularity")
    upper = popularity + evaluation.differences["popularity"].high
    name = f"{evaluation.metric_name} against popularity, upper bound"
    return rule_at_least("popularity", name, upper, popularity * (1 - settings.margin))


def _check_lift(
    evaluation: Evaluation, live_lifts: list[float], today: Evidence, settings: GateSettings
) -> list[GateRule]:
    """Require that the lift over popularity does not fall below that of the last four weeks.

    The upper bound is the wider of two: that of the users, and that of how much lifts vary from day
    to day. A challenger that is ahead of the incumbent passes, because a refusal would keep the
    worse model live.
    """
    lift = evaluation.lift
    if lift is None or len(live_lifts) < MIN_HISTORY_GATES:
        return []
    name = "lift over popularity, upper bound"
    usual = median(live_lifts)
    deviations = [abs(live_lift - usual) for live_lift in live_lifts]
    upper = max(lift.high, lift.value + 2 * MAD_SCALE * median(deviations))
    limit = usual * (1 - settings.max_lift_fall)
    is_ahead = today.users > 0 and today.total >= 0
    note = f"today {lift.value:.3f}, the median of {len(live_lifts)} gates {usual:.3f}"
    if is_ahead and upper < limit:
        note += "; ahead of the incumbent"
    passed = upper >= limit or is_ahead
    return [rule_with_verdict("lift", name, upper, limit, passed, "score", note)]


def _check_segments(
    evaluation: Evaluation, today: Evidence, settings: GateSettings
) -> list[GateRule]:
    """Return the rule of the segment that is nearest to its limit, or furthest below it."""
    if not today.users:
        return []
    rules = []
    for segment in evaluation.segments:
        has_both = {"challenger", "incumbent"} <= segment.arms.keys()
        if has_both and segment.users >= settings.min_users:
            rules.append(_check_segment(segment, today, evaluation, settings))
    if not rules:
        return []
    return [min(rules, key=_measure_slack)]


def _measure_slack(rule: GateRule) -> float:
    return rule.value - rule.limit


def _check_segment(
    segment: SegmentScores, today: Evidence, evaluation: Evaluation, settings: GateSettings
) -> GateRule:
    """Limit what one kind of user may lose; the fewer its users, the more slack it has."""
    incumbent, challenger = segment.arms["incumbent"], segment.arms["challenger"]
    users = segment.users
    slack = SEGMENT_STANDARD_ERRORS * sqrt(today.spread / max(1, today.users) / users)
    limit = max(0.0, incumbent * (1 - settings.max_segment_fall) - slack)
    name = f"{evaluation.metric_name} of segment {segment.segment}"
    note = f"the segment that is nearest to its limit; incumbent {incumbent:.4f}, {users:,} users"
    return rule_at_least("segments", name, challenger, limit, "score", note)


def check_renewal(evaluation: Evaluation, settings: GateSettings) -> list[GateRule]:
    """Require that the live configuration, fitted anew, is not shown to lose to the live lists.

    There is no rule where the live model has seen the holdout, or where too few users can tell.
    """
    per_user = evaluation.per_user or {}
    if "live" not in per_user:
        return []
    renewed = {"challenger": per_user["incumbent"], "incumbent": per_user["live"]}
    evidence = Evidence.from_users(renewed)
    if evidence.users < settings.min_users or not evidence.has_hits:
        return []
    name = f"{evaluation.metric_name} of the renewed live configuration, upper bound"
    # A loss of exactly the margin passes, whatever the last bits of the quotient are.
    value = round(_clip_share(evidence.high), 6)
    note = f"against the live lists, {evidence.users:,} users"
    rule = rule_at_least("renewal", name, value, -settings.margin, "share", note)
    return [replace(rule, kind="renewal")]


def _clip_share(share: float) -> float:
    """Clip a share: that of an incumbent whose mean is 0 is infinite, which JSON can't hold."""
    return max(-MAX_SHARE, min(MAX_SHARE, share))
