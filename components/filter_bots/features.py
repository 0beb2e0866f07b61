"""Measure what each user did on each day, as whole numbers from which the behaviour rule judges.

A row is about one user on one day, so a window of any length is read without its events.
"""

from typing import Final

import duckdb

SESSION_GAP_SECONDS: Final = 1_800
"""A session ends after this many seconds without an event (Catledge and Pitkow, WWW 1995)."""
MIN_PAUSE_OF_MINUTES: Final = 600
"""A pause between two times in whole minutes is precise enough from this many seconds on."""
MIN_PAUSE_OF_SECONDS: Final = 10
"""The same between two times in whole seconds."""
MIN_PAUSE: Final = 1
"""The same between two times that are more precise. Faster events come from a program or a list."""

LOGARITHM_UNIT: Final = 1_000_000
"""Sums of logarithms of seconds, and of their squares, are in millionths."""


def measure_features(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Add the features of a relation's events to `user_days` and `agent_days`.

    The relation has the columns of INTERACTIONS_SCHEMA and all events of each of its days. The
    columns user_agent and ip may be NULL.
    """
    create_feature_tables(connection)
    columns = []
    for name, aggregate in USER_DAY_AGGREGATES.items():
        columns.append(f"coalesce({aggregate}, 0)::BIGINT AS {name}")
    connection.execute(
        f"INSERT INTO user_days {_steps_sql(relation)} "
        f"SELECT event_date, user_id, {', '.join(columns)} FROM steps GROUP BY ALL"
    )
    connection.execute(
        "INSERT INTO agent_days SELECT event_date, user_id, user_agent, ip, count(*) "
        f"FROM {relation} GROUP BY ALL"
    )


def create_feature_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create those of the tables `user_days` and `agent_days` that are missing."""
    columns = ", ".join(f"{name} BIGINT" for name in USER_DAY_AGGREGATES)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS user_days (event_date DATE, user_id VARCHAR, {columns})"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS agent_days "
        "(event_date DATE, user_id VARCHAR, user_agent VARCHAR, ip VARCHAR, events BIGINT)"
    )


def _sum_logarithms_sql(value: str) -> str:
    return f"sum(round({LOGARITHM_UNIT} * ({value}))::BIGINT)"


_IS_STEP = f"gap <= {SESSION_GAP_SECONDS} AND item_id <> item_before"
"""The event is about another item than the one before it in its session."""

USER_DAY_AGGREGATES: Final[dict[str, str]] = {
    "events": "count(*)",
    "views": "count(*) FILTER (is_view)",
    "purchases": "count(*) FILTER (event_type = 'purchase')",
    # One bit for each hour of the day.
    "hours": "bit_or(1 << hour(event_time))",
    # Seconds from midnight to the first event of the day.
    "first_second": "min(epoch_us(event_time) // 1000000 % 86400)",
    # A pause lies between two views of a session, or between two of its other events.
    "pauses": f"count(*) FILTER (pause <= {SESSION_GAP_SECONDS})",
    # A clear pause is long enough for the precision of the source's clock.
    "clear_pauses": "count(clear_pause)",
    "log_pauses": _sum_logarithms_sql("ln(clear_pause)"),
    "log_pauses_squared": _sum_logarithms_sql("power(ln(clear_pause), 2)"),
    "steps": f"count(*) FILTER ({_IS_STEP})",
    "ascents": f"count(*) FILTER ({_IS_STEP} AND ascends)",
    # An act is a click, like, cart or the like. It is blind if the user did not view the item
    # on that day.
    "acts": "count(*) FILTER (is_act)",
    "blind_acts": "count(*) FILTER (is_act AND NOT is_viewed)",
}
"""Columns of `user_days`, each with the SQL that aggregates it from `steps`."""


def _steps_sql(relation: str) -> str:
    """Return a WITH clause that defines `steps`: each event with what came before it on the day."""
    return f"""
    WITH ordered AS (
        SELECT event_date, user_id, item_id, event_type, event_time,
            event_type = 'view' AS is_view,
            event_type NOT IN ('view', 'purchase') AS is_act,
            epoch(event_time - lag(event_time) OVER by_time) AS gap,
            lag(item_id) OVER by_time AS item_before,
            (length(item_id), item_id) > (length(item_before), item_before) AS ascends,
            lag(event_time) OVER by_kind AS time_before,
            epoch(event_time - time_before) AS pause,
            bool_or(event_type = 'view') OVER (PARTITION BY event_date, user_id, item_id)
                AS is_viewed
        FROM {relation}
        WINDOW by_time AS (PARTITION BY event_date, user_id ORDER BY event_time, event_id),
            by_kind AS (PARTITION BY event_date, user_id, event_type = 'view'
                ORDER BY event_time, event_id)),
    steps AS (
        SELECT *, CASE WHEN pause BETWEEN {_MIN_CLEAR_PAUSE} AND {SESSION_GAP_SECONDS}
            THEN pause END AS clear_pause
        FROM ordered)
    """


def _both_times_divisible_sql(seconds: int) -> str:
    microseconds = seconds * 1_000_000
    return (
        f"epoch_us(event_time) % {microseconds} = 0 AND epoch_us(time_before) % {microseconds} = 0"
    )


_MIN_CLEAR_PAUSE = (
    f"CASE WHEN {_both_times_divisible_sql(60)} THEN {MIN_PAUSE_OF_MINUTES} "
    f"WHEN {_both_times_divisible_sql(1)} THEN {MIN_PAUSE_OF_SECONDS} ELSE {MIN_PAUSE} END"
)
