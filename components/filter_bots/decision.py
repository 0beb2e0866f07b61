"""From what the rules found to verdicts, and to the counts of the drop report."""

from typing import Any

import duckdb
import pyarrow as pa

from dawnlist.components.filter_bots.rules import BOT_RULES, DENY_RULE, classify_visiting_agents
from dawnlist.schema import VERDICTS_SCHEMA
from dawnlist.settings import BotSettings

DuckDBConnection = duckdb.DuckDBPyConnection
DropReport = dict[str, Any]
EXAMPLES_PER_RULE = 5


def apply_rules(connection: DuckDBConnection, settings: BotSettings) -> DropReport:
    """Ask every rule that is on or in shadow, and decide: the table `verdicts`, and what a report shows of it.

    The connection has `agent_days`, `user_days`, `users` and `source`, see dawnlist.components.filter_bots.rules.
    `verdicts` is like
    VERDICTS, with two more columns: `owner`, the user to whom a verdict on a single event belongs, and `events`, the
    number of events it is about. Deny wins over allow, and allow wins over the other rules.
    """
    connection.execute(
        "CREATE TABLE volumes AS SELECT user_id, sum(events)::BIGINT AS events FROM user_days GROUP BY 1"
    )
    connection.execute(
        "CREATE TABLE visits AS SELECT user_id, user_agent, ip, sum(events)::BIGINT AS events "
        "FROM agent_days GROUP BY ALL"
    )
    connection.execute(
        "CREATE TABLE found (user_id VARCHAR, event_id VARCHAR, rule VARCHAR, evidence VARCHAR)"
    )
    modes = {rule: getattr(settings, rule) if rule != DENY_RULE else "on" for rule in BOT_RULES}
    for rule, ask in BOT_RULES.items():
        if modes[rule] != "off":
            ask(connection, settings)
    shadows = [rule for rule, mode in modes.items() if mode == "shadow"]
    connection.execute(_CREATE_VERDICTS, [DENY_RULE, settings.allow, shadows])
    return _build_drop_report(connection, modes)


def read_verdicts(connection: DuckDBConnection) -> pa.Table:
    """The verdicts, as VERDICTS."""
    order = "ORDER BY rule, user_id, event_id"
    found = connection.sql(
        f"SELECT {', '.join(VERDICTS_SCHEMA.names)} FROM verdicts {order}"
    ).to_arrow_table()
    return pa.Table.from_arrays(found.columns, schema=VERDICTS_SCHEMA)


def list_suspects(connection: DuckDBConnection) -> pa.Table:
    """The verdicts for people and programs: user_id, event_id, events, rule, evidence and action, the widest first.

    The action is drop, keep (the user is in allow) or shadow (reported, and nothing is dropped).
    """
    return connection.sql(
        "SELECT owner AS user_id, event_id, events, rule, evidence, "
        "CASE WHEN shadow AND action = 'drop' THEN 'shadow' ELSE action END AS action "
        "FROM verdicts ORDER BY verdicts.events DESC, user_id, event_id, rule"
    ).to_arrow_table()


def list_user_agents(connection: DuckDBConnection, settings: BotSettings) -> pa.Table:
    """The user agents, with their users, events and the rule that finds them, the most frequent first."""
    names, rules = classify_visiting_agents(connection, settings)
    connection.register("judged_agents", pa.table({"user_agent": names, "rule": rules}))
    return connection.sql(
        "SELECT user_agent, count(DISTINCT user_id) AS users, sum(events)::BIGINT AS events, rule "
        "FROM visits LEFT JOIN judged_agents USING (user_agent) GROUP BY ALL ORDER BY sum(events) DESC, user_agent"
    ).to_arrow_table()


_CREATE_VERDICTS = """
    CREATE TABLE verdicts AS
    SELECT CASE WHEN event_id IS NULL THEN user_id END AS user_id, event_id, rule, evidence,
        CASE WHEN rule <> ? AND list_contains(?, user_id) THEN 'keep' ELSE 'drop' END AS action,
        list_contains(?, rule) AS shadow, user_id AS owner, CASE WHEN event_id IS NULL THEN events ELSE 1 END AS events
    FROM found JOIN volumes USING (user_id)
"""


def _build_drop_report(connection: DuckDBConnection, modes: dict[str, str]) -> DropReport:
    users, events = _fetch_row(
        connection, "SELECT count(*), coalesce(sum(events), 0)::BIGINT FROM volumes"
    )
    [agents] = _fetch_row(connection, "SELECT count(DISTINCT user_agent) FROM visits")
    dropped_users, of_users = _fetch_row(connection, _COUNT_DROPPED_USERS)
    dropped_events = of_users + _fetch_row(connection, _COUNT_DROPPED_EVENTS)[0]
    found = {rule: counts for rule, *counts in connection.execute(_COUNT_BY_RULE).fetchall()}
    by_rule: list[DropReport] = []
    for rule, mode in modes.items():
        people, hits = found.get(rule, (0, 0))
        shown = connection.execute(_SELECT_EXAMPLES, {"rule": rule}).fetchall()
        examples = [
            dict(zip(("user_id", "events", "evidence"), example, strict=True)) for example in shown
        ]
        share = hits / events if events else 0.0
        by_rule.append(
            {
                "rule": rule,
                "mode": mode,
                "users": people,
                "events": hits,
                "share": share,
                "examples": examples,
            }
        )
    return {
        "users": users,
        "events": events,
        "agents": agents,
        "dropped_users": dropped_users,
        "dropped_events": dropped_events,
        "kept_users": users - dropped_users,
        "kept_events": events - dropped_events,
        "share": dropped_events / events if events else 0.0,
        "rules": by_rule,
    }


def _fetch_row(connection: DuckDBConnection, query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] = connection.execute(query).fetchall()[0]
    return row


_IS_DROPPED = "action = 'drop' AND NOT shadow"
_DROPPED_USER_IDS = f"(SELECT user_id FROM verdicts WHERE user_id IS NOT NULL AND {_IS_DROPPED})"
_COUNT_DROPPED_USERS = f"SELECT count(*), coalesce(sum(events), 0)::BIGINT FROM volumes WHERE user_id IN {_DROPPED_USER_IDS}"
_COUNT_DROPPED_EVENTS = (
    f"SELECT count(DISTINCT event_id) FROM verdicts WHERE event_id IS NOT NULL AND {_IS_DROPPED} "
    f"AND owner NOT IN {_DROPPED_USER_IDS}"
)
# what each rule would drop by itself, shadow or not
_COUNT_BY_RULE = "SELECT rule, count(DISTINCT owner), sum(events)::BIGINT FROM verdicts WHERE action = 'drop' GROUP BY 1"
# first whom no other rule has found: the others say nothing of this one
_SELECT_EXAMPLES = (
    "SELECT owner, sum(events)::BIGINT AS hits, min(evidence) FROM verdicts WHERE action = 'drop' AND rule = $rule "
    "GROUP BY owner ORDER BY owner IN (SELECT owner FROM verdicts WHERE rule <> $rule), hits DESC, owner "
    f"LIMIT {EXAMPLES_PER_RULE}"
)
