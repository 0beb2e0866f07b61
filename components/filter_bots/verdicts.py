"""Verdicts on the users and events of a window."""

import time
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from dawnlist.components.filter_bots import day_features, features
from dawnlist.components.filter_bots.decision import apply_rules, read_verdicts
from dawnlist.lake.lake import Lake
from dawnlist.machine import scratch_duckdb
from dawnlist.schema import USERS_SCHEMA
from dawnlist.settings import Settings

DropReport = dict[str, Any]


def judge_interactions(
    lake: Lake, version: int, window: tuple[datetime, datetime], settings: Settings
) -> tuple[pa.Table, DropReport]:
    """Judge the interactions of [start, end) at a table version.

    Returns VERDICTS, with the settings' digest in the schema's metadata, and what a report shows: users, events, agents
    (distinct), dropped_users, dropped_events, kept_users, kept_events, share (of events dropped), rules (rule, mode,
    users, events, share, examples), seconds.
    ValueError when there are no interactions in the lake.
    """
    clock = time.perf_counter()
    with scratch_duckdb.open_scratch_database() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        load_window(connection, lake, version, window)
        report = apply_rules(connection, settings.bots)
        verdicts = read_verdicts(connection).replace_schema_metadata({"settings": settings.digest})
    report["seconds"] = round(time.perf_counter() - clock, 3)
    return verdicts, report


def judge_events(connection: duckdb.DuckDBPyConnection, settings: Settings) -> DropReport:
    """Judge the events of the table `source`, which has the columns of INTERACTIONS, outside of a lake.

    Leaves the tables of dawnlist.components.filter_bots.decision in the connection, and returns what a report shows.
    """
    features.measure_features(connection, "source")
    connection.register("user_rows", USERS_SCHEMA.empty_table())
    connection.execute("CREATE TABLE users AS SELECT * FROM user_rows")
    return apply_rules(connection, settings.bots)


def load_window(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    version: int,
    window: tuple[datetime, datetime],
) -> None:
    """Show what the rules read of the interactions of [start, end) at a table version."""
    rows = lake.rows("interactions", version)
    if rows is None:
        raise ValueError("the lake has no table interactions: run clean first")
    connection.register("table_rows", rows)
    start, end = window
    # values, not parameters: only they reach the partitions
    connection.execute(
        f"CREATE VIEW source AS SELECT * FROM table_rows WHERE event_date BETWEEN {_date_literal(start)} AND {_date_literal(end)} "
        f"AND event_time >= {_timestamp_literal(start)} AND event_time < {_timestamp_literal(end)}"
    )
    day_features.load_day_features(connection, lake, version, window)
    users = lake.rows("users")
    accounts = USERS_SCHEMA.empty_table() if users is None else users.to_table()
    connection.register("user_rows", accounts)
    connection.execute("CREATE TABLE users AS SELECT * FROM user_rows")


def _date_literal(moment: datetime) -> str:
    return f"DATE '{moment.astimezone(UTC).date().isoformat()}'"


def _timestamp_literal(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.isoformat()}'"
