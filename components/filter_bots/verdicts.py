"""Judge the users and events of a window, in a lake or outside of one."""

import time
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from dawnlist.components.filter_bots import day_features, features
from dawnlist.components.filter_bots.decision import DropReport, apply_rules, read_verdicts
from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import TimeWindow
from dawnlist.machine import scratch_duckdb
from dawnlist.schema import USERS_SCHEMA
from dawnlist.settings import Settings


def judge_interactions(
    lake: Lake, version: int, window: TimeWindow, settings: Settings
) -> tuple[pa.Table, DropReport]:
    """Judge the interactions in a window [start, end), at a version of the interactions table.

    Returns:
        The verdicts as VERDICTS_SCHEMA, with the settings' digest in the schema's metadata, and
        the drop report: users, events, agents (distinct user agents), dropped_users,
        dropped_events, kept_users, kept_events, share (of the events that are dropped), rules
        (rule, mode, users, events, share, examples), signs (see behaviour.report_signs),
        shadow_reason (why the behaviour rule went into shadow by itself, or None) and seconds.

    Raises:
        ValueError: The lake has no interactions.
    """
    start_seconds = time.perf_counter()
    with scratch_duckdb.open_scratch_database() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        load_window(connection, lake, version, window)
        report = apply_rules(connection, settings.bots)
        verdicts = read_verdicts(connection).replace_schema_metadata({"settings": settings.digest})
    report["seconds"] = round(time.perf_counter() - start_seconds, 3)
    return verdicts, report


def judge_events(connection: duckdb.DuckDBPyConnection, settings: Settings) -> DropReport:
    """Judge the events of the table `source`, which has the columns of INTERACTIONS_SCHEMA.

    This needs no lake. It leaves the tables of dawnlist.components.filter_bots.decision in the
    connection and returns the drop report.
    """
    features.measure_features(connection, "source")
    _create_users_table(connection, USERS_SCHEMA.empty_table())
    return apply_rules(connection, settings.bots)


def load_window(
    connection: duckdb.DuckDBPyConnection, lake: Lake, version: int, window: TimeWindow
) -> None:
    """Create `source`, `users`, `user_days` and `agent_days`, which the rules read, for a window.

    Raises:
        ValueError: The lake has no interactions.
    """
    rows = lake.rows("interactions", version)
    if rows is None:
        raise ValueError(day_features.NO_INTERACTIONS)
    connection.register("table_rows", rows)
    start, end = window
    # DuckDB skips partitions by values in the statement, not by parameters.
    connection.execute(
        "CREATE VIEW source AS SELECT * FROM table_rows "
        f"WHERE event_date BETWEEN {_date_literal(start)} AND {_date_literal(end)} "
        f"AND event_time >= {_timestamp_literal(start)} AND event_time < {_timestamp_literal(end)}"
    )
    day_features.load_day_features(connection, lake, version, window)
    users = lake.rows("users")
    if users is None:
        _create_users_table(connection, USERS_SCHEMA.empty_table())
    else:
        _create_users_table(connection, users.to_table())


def _create_users_table(connection: duckdb.DuckDBPyConnection, users: pa.Table) -> None:
    connection.register("user_rows", users)
    connection.execute("CREATE TABLE users AS SELECT * FROM user_rows")


def _date_literal(moment: datetime) -> str:
    return f"DATE '{moment.astimezone(UTC).date().isoformat()}'"


def _timestamp_literal(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.isoformat()}'"
