"""Rules on the model: against the incumbent, popularity and the last four weeks, and floors."""

from math import sqrt
from statistics import median
from typing import Any

from dawnlist.components.gate import history
from dawnlist.components.gate.evidence import Evidence, judged
from dawnlist.components.gate.history import DAYS, Gate
from dawnlist.components.gate.rules import Rule, at_least, decided
from dawnlist.cuts import parse_as_of
from dawnlist.settings import GateSettings

WEEK = 7
"""So many gates make a history."""
MAD = 1.4826
"""Times the median absolute deviation is a standard deviation, of normal values."""
SEGMENT_ERRORS = 3
"""Several segments are looked at at once, and the smallest must not fail by chance."""


def rules(evaluation: dict[str, Any], settings: GateSettings, gates: list[Gate]) -> list[Rule]:
    """The rules that apply; `gates` are those of the last four weeks, newest first."""
    today = Evidence.of(evaluation.get("per_user"))
    past = _comparable(evaluation, gates)
    pooled = Evidence.all([today, *(gate.evidence for gate in past)])
    found = [_users(max(evaluation["evaluated_users"], pooled.users), evaluation, settings)]
    if "incumbent" in evaluation["arms"]:
        found.append(_incumbent(today, pooled, len(past), evaluation, settings))
        found += _four_weeks(pooled, len(past) + 1, settings)
    found += _popularity(evaluation, settings)
    found += _lift(evaluation, history.lifts(gates, evaluation["metric"], evaluation["k"]), today, settings)
    found.append(_coverage(evaluation, settings))
    return found + _segments(evaluation, today, settings)


def value(evaluation: dict[str, Any], arm: str) -> float:
    """The primary metric of an arm; 0 when no user was evaluated."""
    return float(evaluation["arms"][arm].get(f"{evaluation['metric']}@{evaluation['k']}", 0.0))


def _comparable(evaluation: dict[str, Any], gates: list[Gate]) -> list[Gate]:
    if not gates or "incumbent" not in evaluation["arms"]:
        return []
    start = parse_as_of(evaluation["holdout"]["from"])
    return history.comparable(gates, evaluation["metric"], evaluation["k"], start)


def _users(users: int, evaluation: dict[str, Any], settings: GateSettings) -> Rule:
    note = f"{evaluation['evaluated_users']:,} today, the others of the last gates"
    passed = True if users >= settings.min_users else None
    pooled = users > evaluation["evaluated_users"]
    return decided(
        "users", "enough users in the holdout", users, settings.min_users, passed, "count", note if pooled else ""
    )


def _incumbent(
    today: Evidence, pooled: Evidence, past: int, evaluation: dict[str, Any], settings: GateSettings
) -> Rule:
    passed, used, note = judged(today, pooled, settings.margin, settings.min_users)
    said = f"{used.users:,} users{f' of {past + 1} gates' if used is pooled and past else ''}{note and f': {note}'}"
    name = f"{_metric(evaluation)} against the incumbent, lower bound"
    return decided("incumbent", name, _finite(used.low), -settings.margin, passed, "share", said)


def _four_weeks(pooled: Evidence, gates: int, settings: GateSettings) -> list[Rule]:
    """Challengers that are each worse by less than the margin: at this rate, what would four weeks of them lose?

    One standard error in their favour: a slow leak is to be found before it is proven.
    """
    if gates < WEEK or not pooled.incumbent:
        return []
    note = f"the last {gates} gates as they were, passed or not, {pooled.users:,} users"
    name, lost = "four weeks at the last gates' rate", DAYS * pooled.share(1)
    return [at_least("four_weeks", name, lost, -settings.max_lift_fall, "share", note)]


def _popularity(evaluation: dict[str, Any], settings: GateSettings) -> list[Rule]:
    """Not shown to be worse: few users must not stop a model that is as good."""
    popular = value(evaluation, "popularity")
    upper = popular + evaluation["differences"]["popularity"]["high"]
    name = f"{_metric(evaluation)} against popularity, upper bound"
    return [at_least("popularity", name, upper, popular * (1 - settings.margin))]


def _lift(evaluation: dict[str, Any], lifts: list[float], today: Evidence, settings: GateSettings) -> list[Rule]:
    """The upper bound is of users and of days: how far lifts scatter from day to day, whichever is wider.

    A challenger that is ahead of the incumbent passes: to refuse it would keep the worse of the two.
    """
    lift = evaluation.get("lift") or {}
    if "value" not in lift or len(lifts) < WEEK:
        return []
    usual = median(lifts)
    scatter = 2 * MAD * median(abs(one - usual) for one in lifts)
    upper = max(lift["high"], lift["value"] + scatter)
    limit = usual * (1 - settings.max_lift_fall)
    ahead = today.users > 0 and today.total >= 0
    note = f"today {lift['value']:.3f}, the median of {len(lifts)} gates {usual:.3f}"
    note += "; ahead of the incumbent" if ahead and upper < limit else ""
    name, passed = "lift over popularity, upper bound", upper >= limit or ahead
    return [decided("lift", name, upper, limit, passed, "score", note)]


def _coverage(evaluation: dict[str, Any], settings: GateSettings) -> Rule:
    k, users = evaluation["k"], evaluation["evaluated_users"]
    possible = min(1.0, users * k / max(1, evaluation["items"]))
    shown = evaluation["arms"]["challenger"].get(f"coverage@{k}", 0.0)
    return at_least("coverage", f"coverage@{k} of the catalogue", shown, settings.min_coverage * possible, "share")


def _segments(evaluation: dict[str, Any], today: Evidence, settings: GateSettings) -> list[Rule]:
    """The segment that comes nearest to its limit, or falls deepest below it."""
    judged_ones = [
        _segment(segment, today, evaluation, settings)
        for segment in evaluation.get("segments") or []
        if segment["users"] >= settings.min_users and {"challenger", "incumbent"} <= segment["arms"].keys()
    ]
    return [min(judged_ones, key=lambda rule: rule["value"] - rule["limit"])] if today.users and judged_ones else []


def _segment(segment: dict[str, Any], today: Evidence, evaluation: dict[str, Any], settings: GateSettings) -> Rule:
    before = segment["arms"]["incumbent"]
    slack = SEGMENT_ERRORS * sqrt(today.spread / max(1, today.users) / segment["users"])
    limit = before * (1 - settings.max_segment_fall) - slack
    note = f"the nearest of the segments to its limit; incumbent {before:.4f}, {segment['users']:,} users"
    name = f"{_metric(evaluation)} of segment {segment['segment']}"
    return at_least("segments", name, segment["arms"]["challenger"], max(0.0, limit), "score", note)


def _metric(evaluation: dict[str, Any]) -> str:
    return f"{evaluation['metric']}@{evaluation['k']}"


def _finite(share: float) -> float:
    """A share of an incumbent whose mean is 0 is infinite, which JSON can't say."""
    return max(-9.99, min(9.99, share))
