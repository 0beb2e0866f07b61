"""What every rule says of one user, and what decided."""

from datetime import datetime
from typing import Any

import duckdb

from dawnlist.components.filter_bots.behaviour import BEHAVIOUR_RULE, compare_habits
from dawnlist.components.filter_bots.decision import apply_rules
from dawnlist.components.filter_bots.rules import BOT_RULES, DENY_RULE, classify_visiting_agents
from dawnlist.components.filter_bots.verdicts import load_window
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.settings import BotSettings

DuckDBConnection = duckdb.DuckDBPyConnection
Explanation = dict[str, Any]
_MAX_ROWS = 5


def explain_user(
    lake: Lake, version: int, window: tuple[datetime, datetime], settings: BotSettings, user_id: str
) -> Explanation:
    """Judge the interactions of [start, end) at a table version, and tell one user's part of it.

    Returns user_id, start, end, events, days (on which there are any), agents (user_agent, events, rule) and networks
    (ip, events), the most frequent first, rules (rule, mode, evidence, events, and whole, whether they are all of the
    user's), habits (see behaviour.compared), allowed, the verdict, and because. Rules that are off are asked, too, and
    decide nothing.
    ValueError when the user has no events there.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        load_window(connection, lake, version, window)
        report = apply_rules(connection, settings)
        modes = {rule["rule"]: rule["mode"] for rule in report["rules"]}
        for rule, mode in modes.items():
            if mode == "off":  # last, since behaviour learns from whom the others have not found
                BOT_RULES[rule](connection, settings)
        counted = "SELECT count(*), sum(events)::BIGINT FROM user_days WHERE user_id = ?"
        days, events = connection.execute(counted, [user_id]).fetchall()[0]
        start, end = map(format_iso, window)
        if not days:
            raise ValueError(
                f"user {user_id!r} has no events in [{start}, {end}): give the id as the source has it"
            )
        rules = [
            _explain_rule(connection, rule, mode, user_id, events) for rule, mode in modes.items()
        ]
        return {
            "user_id": user_id,
            "start": start,
            "end": end,
            "events": events,
            "days": days,
            "agents": _list_agents_of_user(connection, settings, user_id),
            "networks": _list_networks_of_user(connection, user_id),
            "rules": rules,
            "habits": _compare_habits_with_people(connection, modes, user_id),
            "allowed": user_id in settings.allow,
            **_explain_decision(rules, user_id in settings.allow),
        }


def _explain_rule(
    connection: DuckDBConnection, rule: str, mode: str, user_id: str, events: int
) -> Explanation:
    """What a rule has found: the whole user, or some of the events."""
    counted = "SELECT count(event_id), min(evidence) FROM found WHERE user_id = ? AND rule = ?"
    single, evidence = connection.execute(counted, [user_id, rule]).fetchall()[0]
    whole = evidence is not None and not single
    said = f"single events ({single:,}): {evidence}" if single else evidence
    return {
        "rule": rule,
        "mode": mode,
        "evidence": said,
        "events": events if whole else single,
        "whole": whole,
    }


def _compare_habits_with_people(
    connection: DuckDBConnection, modes: dict[str, str], user_id: str
) -> list[Explanation]:
    # behaviour learns from whom the rules before it have not found
    others = [BEHAVIOUR_RULE, DENY_RULE, *(rule for rule, mode in modes.items() if mode == "off")]
    connection.execute("DELETE FROM found WHERE list_contains(?, rule)", [others])
    return compare_habits(connection, user_id)


def _list_agents_of_user(
    connection: DuckDBConnection, settings: BotSettings, user_id: str
) -> list[Explanation]:
    found = dict(
        zip(
            *(column.to_pylist() for column in classify_visiting_agents(connection, settings)),
            strict=True,
        )
    )
    rows = connection.execute(
        _SELECT_MOST_FREQUENT.format(column="user_agent"), [user_id]
    ).fetchall()
    return [
        {"user_agent": agent, "events": events, "rule": found.get(agent)} for agent, events in rows
    ]


def _list_networks_of_user(connection: DuckDBConnection, user_id: str) -> list[Explanation]:
    rows = connection.execute(_SELECT_MOST_FREQUENT.format(column="ip"), [user_id]).fetchall()
    return [{"ip": ip, "events": events} for ip, events in rows]


_SELECT_MOST_FREQUENT = (
    "SELECT {column}, sum(events)::BIGINT FROM visits WHERE user_id = ? GROUP BY 1 "
    f"ORDER BY 2 DESC, 1 NULLS LAST LIMIT {_MAX_ROWS}"
)


def _explain_decision(rules: list[Explanation], allowed: bool) -> Explanation:
    said = [rule for rule in rules if rule["evidence"]]
    dropping = [rule for rule in said if rule["mode"] == "on"]
    whole = [rule["rule"] for rule in dropping if rule["whole"]]
    if DENY_RULE in whole:
        return {"verdict": "dropped", "because": "the id is in deny, which wins over everything"}
    if allowed:
        return {
            "verdict": "kept",
            "because": "the id is in allow, which wins over all rules but deny",
        }
    if whole:
        return {"verdict": "dropped", "because": f"found by {_join_with_and(whole)}"}
    if dropping:
        return {
            "verdict": "kept, but for single events",
            "because": f"found by {_join_with_and([one['rule'] for one in dropping])}",
        }
    if said:
        quiet = [
            f"{one['rule']}, which is {'off' if one['mode'] == 'off' else 'in shadow'}"
            for one in said
        ]
        return {"verdict": "kept", "because": f"found only by {_join_with_and(quiet)}"}
    return {"verdict": "kept", "because": "no rule has found anything"}


def _join_with_and(names: list[str]) -> str:
    return " and ".join(names)
