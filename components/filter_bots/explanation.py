"""What every rule says of one user, and what decided."""

from datetime import datetime
from typing import Any

import duckdb

from components.cuts import iso
from components.filter_bots.decision import judged
from components.filter_bots.rules import DENY, RULES, judged_agents
from components.filter_bots.verdicts import read_window
from components.lake import Lake
from components.settings import BotSettings

Connection = duckdb.DuckDBPyConnection
Explanation = dict[str, Any]
_SHOWN = 5


def explain(
    lake: Lake, version: int, window: tuple[datetime, datetime], settings: BotSettings, user_id: str
) -> Explanation:
    """Judge the interactions of [start, end) at a table version, and tell one user's part of it.

    Returns user_id, start, end, events, days (on which there are any), agents (user_agent, events, rule) and networks
    (ip, events), the most frequent first, rules (rule, mode, evidence, events, action), the verdict, and because.
    Rules that are off are asked, too, and decide nothing. ValueError when the user has no events there.
    """
    # what is off speaks, and drops nothing, as in shadow
    asked = settings.model_copy(update={rule: "shadow" for rule, mode in _modes(settings).items() if mode == "off"})
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        read_window(connection, lake, version, window)
        judged(connection, asked)
        counted = "SELECT count(*), sum(events)::BIGINT FROM user_days WHERE user_id = ?"
        days, events = connection.execute(counted, [user_id]).fetchall()[0]
        start, end = map(iso, window)
        if not days:
            raise ValueError(f"user {user_id!r} has no events in [{start}, {end}): give the id as the source has it")
        rules = [_rule(connection, rule, mode, user_id) for rule, mode in _modes(settings).items()]
        return {
            "user_id": user_id,
            "start": start,
            "end": end,
            "events": events,
            "days": days,
            "agents": _agents(connection, settings, user_id),
            "networks": _networks(connection, user_id),
            "rules": rules,
            **_decision(rules, user_id in settings.allow),
        }


def _modes(settings: BotSettings) -> dict[str, str]:
    return {rule: "on" if rule == DENY else getattr(settings, rule) for rule in RULES}


def _rule(connection: Connection, rule: str, mode: str, user_id: str) -> Explanation:
    """What a rule has found: of the whole user, or of so many single events."""
    counted = (
        "SELECT count(event_id), min(evidence), sum(events)::BIGINT, min(action) FROM verdicts "
        "WHERE owner = ? AND rule = ?"
    )
    single, evidence, events, action = connection.execute(counted, [user_id, rule]).fetchall()[0]
    whole = evidence is not None and not single
    said = f"single events ({single:,}): {evidence}" if single else evidence
    return {
        "rule": rule, "mode": mode, "evidence": said, "events": events or 0, "action": action, "whole": whole,
    }  # fmt: skip


def _agents(connection: Connection, settings: BotSettings, user_id: str) -> list[Explanation]:
    found = dict(zip(*(column.to_pylist() for column in judged_agents(connection, settings)), strict=True))
    rows = connection.execute(_MOST.format(column="user_agent"), [user_id]).fetchall()
    return [{"user_agent": agent, "events": events, "rule": found.get(agent)} for agent, events in rows]


def _networks(connection: Connection, user_id: str) -> list[Explanation]:
    rows = connection.execute(_MOST.format(column="ip"), [user_id]).fetchall()
    return [{"ip": ip, "events": events} for ip, events in rows]


_MOST = (
    "SELECT {column}, sum(events)::BIGINT FROM visits WHERE user_id = ? GROUP BY 1 "
    f"ORDER BY 2 DESC, 1 NULLS LAST LIMIT {_SHOWN}"
)


def _decision(rules: list[Explanation], allowed: bool) -> Explanation:
    said = [rule for rule in rules if rule["evidence"]]
    dropping = [rule for rule in said if rule["mode"] == "on" and rule["action"] == "drop"]
    whole = [rule["rule"] for rule in dropping if rule["whole"]]
    if DENY in whole:
        return {"verdict": "dropped", "because": "the id is in deny, which wins over everything"}
    if allowed:
        return {"verdict": "kept", "because": "the id is in allow, which wins over all rules but deny"}
    if whole:
        return {"verdict": "dropped", "because": f"found by {_and(whole)}"}
    if dropping:
        return {
            "verdict": "kept, but for single events",
            "because": f"found by {_and([one['rule'] for one in dropping])}",
        }
    if said:
        quiet = [f"{one['rule']}, which is {'off' if one['mode'] == 'off' else 'in shadow'}" for one in said]
        return {"verdict": "kept", "because": f"found only by {_and(quiet)}"}
    return {"verdict": "kept", "because": "no rule has found anything"}


def _and(names: list[str]) -> str:
    return " and ".join(names)
