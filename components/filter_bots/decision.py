"""Turn what the rules find into verdicts and the counts of the drop report."""

from typing import Any

import pyarrow as pa

from dawnlist.components.filter_bots.behaviour import (
    BEHAVIOUR_RULE,
    CREATE_SIGN_TABLES,
    report_signs,
)
from dawnlist.components.filter_bots.behaviour_guard import explain_shadow
from dawnlist.components.filter_bots.rules import (
    BOT_RULES,
    DENY_RULE,
    DuckDBConnection,
    classify_visiting_agents,
)
from dawnlist.schema import VERDICTS_SCHEMA
from dawnlist.settings import BotSettings

DropReport = dict[str, Any]
"""The counts of a run, see verdicts.judge_interactions. The run record keeps them."""
EXAMPLES_PER_RULE = 5


def apply_rules(connection: DuckDBConnection, settings: BotSettings) -> DropReport:
    """Apply every rule that is on or in shadow mode, create `verdicts`, and return the drop report.

    The connection needs `agent_days`, `user_days`, `users` and `source`, see
    dawnlist.components.filter_bots.rules. `verdicts` has the columns of VERDICTS_SCHEMA and
    `shadow`, `owner` (the user, also of a single event) and `events` (how many the verdict is
    about). Deny takes precedence over allow, and allow over the other rules.

    The behaviour rule goes into shadow by itself when it would drop too much, see
    behaviour_guard.explain_shadow.
    """
    connection.execute(
        "CREATE TABLE volumes AS "
        "SELECT user_id, sum(events)::BIGINT AS events FROM user_days GROUP BY 1"
    )
    connection.execute(
        "CREATE TABLE visits AS SELECT user_id, user_agent, ip, sum(events)::BIGINT AS events "
        "FROM agent_days GROUP BY ALL"
    )
    connection.execute(
        "CREATE TABLE found (user_id VARCHAR, event_id VARCHAR, rule VARCHAR, evidence VARCHAR)"
    )
    connection.execute(CREATE_SIGN_TABLES)
    modes = _read_modes(settings)
    for rule, find in BOT_RULES.items():
        if modes[rule] != "off":
            find(connection, settings)
    connection.execute(_CREATE_VERDICTS, [DENY_RULE, settings.allow, _list_shadow_rules(modes)])
    shadow_reason = None
    if modes[BEHAVIOUR_RULE] == "on":
        shadow_reason = explain_shadow(connection, settings)
    if shadow_reason is not None:
        modes[BEHAVIOUR_RULE] = "shadow"
        connection.execute("UPDATE verdicts SET shadow = TRUE WHERE rule = ?", [BEHAVIOUR_RULE])
    report = _build_drop_report(connection, modes)
    report["shadow_reason"] = shadow_reason
    return report


def _list_shadow_rules(modes: dict[str, str]) -> list[str]:
    return [rule for rule, mode in modes.items() if mode == "shadow"]


def _read_modes(settings: BotSettings) -> dict[str, str]:
    """Return each rule's mode: on, shadow or off."""
    modes = {}
    for rule in BOT_RULES:
        if rule == DENY_RULE:
            modes[rule] = "on"
        else:
            modes[rule] = getattr(settings, rule)
    return modes


def read_verdicts(connection: DuckDBConnection) -> pa.Table:
    """Return the table `verdicts` as VERDICTS_SCHEMA, in a fixed order."""
    columns = ", ".join(VERDICTS_SCHEMA.names)
    verdicts = connection.sql(
        f"SELECT {columns} FROM verdicts ORDER BY rule, user_id, event_id"
    ).to_arrow_table()
    return pa.Table.from_arrays(verdicts.columns, schema=VERDICTS_SCHEMA)


def list_suspects(connection: DuckDBConnection) -> pa.Table:
    """List the verdicts: user_id, event_id, events, rule, evidence and action.

    Verdicts about the most events come first. The action is drop, keep (the user is in allow) or
    shadow (the rule only reports).
    """
    return connection.sql(
        "SELECT owner AS user_id, event_id, events, rule, evidence, "
        "CASE WHEN shadow AND action = 'drop' THEN 'shadow' ELSE action END AS action "
        "FROM verdicts ORDER BY verdicts.events DESC, user_id, event_id, rule"
    ).to_arrow_table()


def list_user_agents(connection: DuckDBConnection, settings: BotSettings) -> pa.Table:
    """List the user agents: user_agent, users, events and the rule that finds it or NULL.

    The most frequent ones come first.
    """
    names, rules = classify_visiting_agents(connection, settings)
    connection.register("judged_agents", pa.table({"user_agent": names, "rule": rules}))
    return connection.sql(
        "SELECT user_agent, count(DISTINCT user_id) AS users, sum(events)::BIGINT AS events, rule "
        "FROM visits LEFT JOIN judged_agents USING (user_agent) "
        "GROUP BY ALL ORDER BY sum(events) DESC, user_agent"
    ).to_arrow_table()


_CREATE_VERDICTS = """
    CREATE TABLE verdicts AS
    SELECT CASE WHEN event_id IS NULL THEN user_id END AS user_id, event_id, rule, evidence,
        CASE WHEN rule <> ? AND list_contains(?, user_id) THEN 'keep' ELSE 'drop' END AS action,
        list_contains(?, rule) AS shadow, user_id AS owner,
        CASE WHEN event_id IS NULL THEN events ELSE 1 END AS events
    FROM found JOIN volumes USING (user_id)
"""


def _build_drop_report(connection: DuckDBConnection, modes: dict[str, str]) -> DropReport:
    users, events = _fetch_row(connection, _COUNT_USERS)
    [agents] = _fetch_row(connection, "SELECT count(DISTINCT user_agent) FROM visits")
    dropped_users, events_of_dropped_users = _fetch_row(connection, _COUNT_DROPPED_USERS)
    [dropped_single_events] = _fetch_row(connection, _COUNT_DROPPED_EVENTS)
    dropped_events = events_of_dropped_users + dropped_single_events
    return {
        "users": users,
        "events": events,
        "agents": agents,
        "dropped_users": dropped_users,
        "dropped_events": dropped_events,
        "kept_users": users - dropped_users,
        "kept_events": events - dropped_events,
        "share": _compute_share(dropped_events, events),
        "rules": _report_rules(connection, modes, events),
        "signs": _report_signs(connection, modes),
    }


def _report_signs(connection: DuckDBConnection, modes: dict[str, str]) -> list[DropReport]:
    """Report what the behaviour rule's signs have found; nothing when the rule is off."""
    if modes[BEHAVIOUR_RULE] == "off":
        return []
    return report_signs(connection)


def _report_rules(
    connection: DuckDBConnection, modes: dict[str, str], event_count: int
) -> list[DropReport]:
    """Report what each rule finds by itself, with examples."""
    counts = {}
    for rule, users, events in connection.execute(_COUNT_BY_RULE).fetchall():
        counts[rule] = (users, events)
    reports: list[DropReport] = []
    for rule, mode in modes.items():
        users, events = counts.get(rule, (0, 0))
        reports.append(
            {
                "rule": rule,
                "mode": mode,
                "users": users,
                "events": events,
                "share": _compute_share(events, event_count),
                "examples": _fetch_examples(connection, rule),
            }
        )
    return reports


def _fetch_examples(connection: DuckDBConnection, rule: str) -> list[DropReport]:
    rows = connection.execute(_SELECT_EXAMPLES, {"rule": rule}).fetchall()
    examples = []
    for user_id, events, evidence in rows:
        examples.append({"user_id": user_id, "events": events, "evidence": evidence})
    return examples


def _compute_share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _fetch_row(connection: DuckDBConnection, query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] = connection.execute(query).fetchall()[0]
    return row


_IS_DROPPED = "action = 'drop' AND NOT shadow"
_DROPPED_USER_IDS = f"(SELECT user_id FROM verdicts WHERE user_id IS NOT NULL AND {_IS_DROPPED})"
_COUNT_USERS = "SELECT count(*), coalesce(sum(events), 0)::BIGINT FROM volumes"
_COUNT_DROPPED_USERS = f"{_COUNT_USERS} WHERE user_id IN {_DROPPED_USER_IDS}"
_COUNT_DROPPED_EVENTS = (
    "SELECT count(DISTINCT event_id) FROM verdicts "
    f"WHERE event_id IS NOT NULL AND {_IS_DROPPED} AND owner NOT IN {_DROPPED_USER_IDS}"
)
# What each rule alone would drop, whether it is in shadow mode or not.
_COUNT_BY_RULE = (
    "SELECT rule, count(DISTINCT owner), sum(events)::BIGINT "
    "FROM verdicts WHERE action = 'drop' GROUP BY 1"
)
# Users whom no other rule finds come first, since they show what this rule adds.
_SELECT_EXAMPLES = (
    "SELECT owner, sum(events)::BIGINT AS hits, min(evidence) FROM verdicts "
    "WHERE action = 'drop' AND rule = $rule GROUP BY owner "
    "ORDER BY owner IN (SELECT owner FROM verdicts WHERE rule <> $rule), hits DESC, owner "
    f"LIMIT {EXAMPLES_PER_RULE}"
)
