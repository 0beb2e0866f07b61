"""Explain one user's verdict: what every rule says of the user, and what decides."""

from typing import Any

import duckdb

from dawnlist.components.filter_bots.behaviour import list_signs_of_user
from dawnlist.components.filter_bots.decision import apply_rules
from dawnlist.components.filter_bots.rules import (
    BOT_RULES,
    DENY_RULE,
    DuckDBConnection,
    classify_visiting_agents,
)
from dawnlist.components.filter_bots.verdicts import load_window
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import TimeWindow
from dawnlist.settings import BotSettings

Explanation = dict[str, Any]
"""An explanation or a part of one, as `dawnlist bots explain --format json` writes it."""
_MAX_ROWS = 5
"""User agents and networks of an explanation."""


def explain_user(
    lake: Lake, version: int, window: TimeWindow, settings: BotSettings, user_id: str
) -> Explanation:
    """Judge the interactions in a window [start, end) at a table version, and explain one user.

    Rules that are off are applied too, but do not count.

    Returns:
        user_id, start, end, events, days (the number of days with events), agents (user_agent,
        events, rule) and networks (ip, events), the most frequent first, rules (rule, mode,
        evidence, events, and whole: whether these are all of the user's events), signs (see
        behaviour.list_signs_of_user), allowed, verdict and because.

    Raises:
        ValueError: The user has no events in the window, or the lake has no interactions.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        load_window(connection, lake, version, window)
        modes = _apply_all_rules(connection, settings)
        days, events = connection.execute(
            "SELECT count(*), sum(events)::BIGINT FROM user_days WHERE user_id = ?", [user_id]
        ).fetchall()[0]
        start, end = map(format_iso, window)
        if not days:
            raise ValueError(
                f"user {user_id!r} has no events in [{start}, {end}): give the id as the source "
                "has it"
            )
        rules = []
        for rule, mode in modes.items():
            rules.append(_explain_rule(connection, rule, mode, user_id, events))
        is_allowed = user_id in settings.allow
        verdict, reason = _explain_decision(rules, is_allowed)
        return {
            "user_id": user_id,
            "start": start,
            "end": end,
            "events": events,
            "days": days,
            "agents": _list_agents_of_user(connection, settings, user_id),
            "networks": _list_networks_of_user(connection, user_id),
            "rules": rules,
            "signs": list_signs_of_user(connection, user_id),
            "allowed": is_allowed,
            "verdict": verdict,
            "because": reason,
        }


def _apply_all_rules(connection: DuckDBConnection, settings: BotSettings) -> dict[str, str]:
    """Apply the rules, those that are off last, and return each rule's mode."""
    report = apply_rules(connection, settings)
    modes = {rule["rule"]: rule["mode"] for rule in report["rules"]}
    for rule, mode in modes.items():
        if mode == "off":
            BOT_RULES[rule](connection, settings)
    return modes


def _explain_rule(
    connection: DuckDBConnection, rule: str, mode: str, user_id: str, events: int
) -> Explanation:
    """Explain what a rule has found: the user, single events, or nothing."""
    single_events, evidence = connection.execute(
        "SELECT count(event_id), min(evidence) FROM found WHERE user_id = ? AND rule = ?",
        [user_id, rule],
    ).fetchall()[0]
    is_whole_user = evidence is not None and not single_events
    if single_events:
        evidence = f"single events ({single_events:,}): {evidence}"
    return {
        "rule": rule,
        "mode": mode,
        "evidence": evidence,
        "events": events if is_whole_user else single_events,
        "whole": is_whole_user,
    }


def _list_agents_of_user(
    connection: DuckDBConnection, settings: BotSettings, user_id: str
) -> list[Explanation]:
    agents, rules = classify_visiting_agents(connection, settings)
    rule_by_agent = dict(zip(agents.to_pylist(), rules.to_pylist(), strict=True))
    query = _SELECT_MOST_FREQUENT.format(column="user_agent")
    explanations = []
    for agent, events in connection.execute(query, [user_id]).fetchall():
        rule = rule_by_agent.get(agent)
        explanations.append({"user_agent": agent, "events": events, "rule": rule})
    return explanations


def _list_networks_of_user(connection: DuckDBConnection, user_id: str) -> list[Explanation]:
    query = _SELECT_MOST_FREQUENT.format(column="ip")
    rows = connection.execute(query, [user_id]).fetchall()
    return [{"ip": ip, "events": events} for ip, events in rows]


_SELECT_MOST_FREQUENT = (
    "SELECT {column}, sum(events)::BIGINT FROM visits WHERE user_id = ? GROUP BY 1 "
    f"ORDER BY 2 DESC, 1 NULLS LAST LIMIT {_MAX_ROWS}"
)


def _explain_decision(rules: list[Explanation], is_allowed: bool) -> tuple[str, str]:
    """Return the verdict and its reason."""
    finding = [rule for rule in rules if rule["evidence"]]
    dropping = [rule for rule in finding if rule["mode"] == "on"]
    dropping_user = [rule["rule"] for rule in dropping if rule["whole"]]
    if DENY_RULE in dropping_user:
        return "dropped", "found by deny, which wins over everything"
    if is_allowed and any(rule["rule"] == DENY_RULE for rule in dropping):
        return "kept, but for single events", "the id is in allow, and deny found the events"
    if is_allowed:
        return "kept", "the id is in allow, which wins over all rules but deny"
    if dropping_user:
        return "dropped", f"found by {_join_with_and(dropping_user)}"
    if dropping:
        names = [rule["rule"] for rule in dropping]
        return "kept, but for single events", f"found by {_join_with_and(names)}"
    if finding:
        descriptions = [_describe_inactive_rule(rule) for rule in finding]
        return "kept", f"found only by {_join_with_and(descriptions)}"
    return "kept", "no rule has found anything"


def _describe_inactive_rule(rule: Explanation) -> str:
    if rule["mode"] == "off":
        return f"{rule['rule']}, which is off"
    return f"{rule['rule']}, which is in shadow"


def _join_with_and(names: list[str]) -> str:
    return " and ".join(names)
