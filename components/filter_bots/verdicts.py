"""Verdicts on the users and events of a window."""

import time
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from components.filter_bots import days, rules
from components.lake import Lake
from components.schema import USERS, VERDICTS
from components.settings import BotSettings, Settings

Report = dict[str, Any]
EXAMPLES = 5


def judge(lake: Lake, version: int, window: tuple[datetime, datetime], settings: Settings) -> tuple[pa.Table, Report]:
    """Judge the interactions of [start, end) at a table version.

    Returns VERDICTS, with the settings' digest in the schema's metadata, and what a report shows: users, events, agents
    (distinct), dropped_users, dropped_events, kept_users, kept_events, share (of events dropped), rules (rule, mode,
    users, events, share, examples), seconds.
    ValueError when there are no interactions in the lake.
    """
    clock = time.perf_counter()
    modes: dict[str, str] = {
        rules.DECLARED: settings.bots.declared_crawlers,
        rules.STAFF: settings.bots.staff,
        rules.BEHAVIOUR: settings.bots.behaviour,
        rules.DENY: "on",
    }
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _read(connection, lake, version, window)
        for rule, run in _RULES.items():
            if modes[rule] != "off":
                run(connection, settings.bots)
        _decide(connection, settings.bots, modes)
        order = "ORDER BY rule, user_id, event_id"
        found = connection.sql(f"SELECT {', '.join(VERDICTS.names)} FROM verdicts {order}").to_arrow_table()
        report = _report(connection, modes)
    report["seconds"] = round(time.perf_counter() - clock, 3)
    return pa.Table.from_arrays(found.columns, schema=VERDICTS.with_metadata({"settings": settings.digest})), report


_RULES = {
    rules.DECLARED: rules.declared_crawlers,
    rules.STAFF: rules.staff,
    rules.BEHAVIOUR: rules.behaviour,
    rules.DENY: rules.deny,
}


def _read(connection: duckdb.DuckDBPyConnection, lake: Lake, version: int, window: tuple[datetime, datetime]) -> None:
    rows = lake.rows("interactions", version)
    if rows is None:
        raise ValueError("the lake has no table interactions: run clean first")
    connection.register("table_rows", rows)
    start, end = window
    # values, not parameters: only they reach the partitions
    connection.execute(
        f"CREATE VIEW source AS SELECT * FROM table_rows WHERE event_date BETWEEN {_day(start)} AND {_day(end)} "
        f"AND event_time >= {_time(start)} AND event_time < {_time(end)}"
    )
    connection.execute(
        "CREATE TABLE events AS SELECT user_id, item_id, event_type, event_time, event_date, "
        "CASE WHEN user_agent IS NULL THEN NULL ELSE hash(user_agent) END AS agent FROM source"
    )
    connection.execute(
        "CREATE TABLE agents AS SELECT hash(user_agent) AS agent, user_agent, count(*) AS events FROM source "
        "WHERE user_agent IS NOT NULL GROUP BY ALL"
    )
    days.load(connection, lake, version, window)
    users = lake.rows("users")
    accounts = USERS.empty_table() if users is None else users.to_table()
    connection.register("user_rows", accounts)
    connection.execute("CREATE TABLE users AS SELECT * FROM user_rows")
    connection.execute("CREATE TABLE found (user_id VARCHAR, event_id VARCHAR, rule VARCHAR, evidence VARCHAR)")


def _day(moment: datetime) -> str:
    return f"DATE '{moment.astimezone(UTC).date().isoformat()}'"


def _time(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.isoformat()}'"


def _decide(connection: duckdb.DuckDBPyConnection, settings: BotSettings, modes: dict[str, str]) -> None:
    """The table `verdicts`: like VERDICTS, and the user_id of an event's verdict as `owner`."""
    shadows = [rule for rule, mode in modes.items() if mode == "shadow"]
    connection.execute(
        "CREATE TABLE verdicts AS SELECT CASE WHEN event_id IS NULL THEN user_id END AS user_id, event_id, rule, "
        "evidence, CASE WHEN rule <> ? AND list_contains(?, user_id) THEN 'keep' ELSE 'drop' END AS action, "
        "list_contains(?, rule) AS shadow, user_id AS owner FROM found",
        [rules.DENY, settings.allow, shadows],
    )


def _report(connection: duckdb.DuckDBPyConnection, modes: dict[str, str]) -> Report:
    connection.execute("CREATE TABLE volumes AS SELECT user_id AS owner, count(*) AS events FROM events GROUP BY 1")
    users, events = connection.execute("SELECT count(*), coalesce(sum(events), 0)::BIGINT FROM volumes").fetchall()[0]
    agents = connection.execute("SELECT count(*) FROM agents").fetchall()[0][0]
    dropped_users, of_users = connection.execute(_DROPPED_USERS).fetchall()[0]
    dropped_events = of_users + connection.execute(_DROPPED_EVENTS).fetchall()[0][0]
    found = {rule: (people, hits) for rule, people, hits in connection.execute(_BY_RULE).fetchall()}
    listed = []
    for rule, mode in modes.items():
        people, hits = found.get(rule, (0, 0))
        shown = connection.execute(_EXAMPLES, [rule]).fetchall()
        examples = [{"user_id": owner, "events": count, "evidence": evidence} for owner, count, evidence in shown]
        share = hits / events if events else 0.0
        listed.append(
            {"rule": rule, "mode": mode, "users": people, "events": hits, "share": share, "examples": examples}
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
        "rules": listed,
    }


_DROP = "action = 'drop' AND NOT shadow"
_DROPPED_USERS = (
    "SELECT count(*), coalesce(sum(events), 0)::BIGINT FROM volumes WHERE owner IN "
    f"(SELECT user_id FROM verdicts WHERE user_id IS NOT NULL AND {_DROP})"
)
_DROPPED_EVENTS = (
    f"SELECT count(DISTINCT event_id) FROM verdicts WHERE event_id IS NOT NULL AND {_DROP} AND owner NOT IN "
    f"(SELECT user_id FROM verdicts WHERE user_id IS NOT NULL AND {_DROP})"
)
# what each rule would drop by itself, shadow or not
_BY_RULE = (
    "SELECT rule, count(DISTINCT owner), sum(CASE WHEN event_id IS NULL THEN events ELSE 1 END)::BIGINT "
    "FROM verdicts JOIN volumes USING (owner) WHERE action = 'drop' GROUP BY 1"
)
_EXAMPLES = (
    "SELECT owner, sum(CASE WHEN event_id IS NULL THEN events ELSE 1 END)::BIGINT AS hits, min(evidence) "
    "FROM verdicts JOIN volumes USING (owner) WHERE action = 'drop' AND rule = ? "
    f"GROUP BY owner ORDER BY hits DESC, owner LIMIT {EXAMPLES}"
)
