"""Measure what each user did on each day, as numbers that add up to those of any span of days.

All numbers are whole, so a sum does not depend on the order of its terms. The features of pauses
are logarithms of seconds. An item's popularity is the share of all visits that goes to less
popular items. Both, and the cosines and sines of directions, are in thousandths.
"""

from typing import Final

import duckdb

POPULARITY_DAYS: Final = 28
"""An item's popularity on a day is that of this many days, of which it is the last."""
SESSION_GAP_SECONDS: Final = 1_800
"""A session ends after this many seconds without an event (Catledge and Pitkow, WWW 1995)."""
PAUSE_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Upper bounds, in seconds, of the bins of the histogram of pauses. The last bin has none."""


def measure_features(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Add the features of a relation's events to `item_days`, `user_days` and `agent_days`.

    The relation has the columns of INTERACTIONS_SCHEMA and all events of each of its days. The
    columns user_agent and ip may be NULL.
    """
    create_feature_tables(connection)
    measure_items(connection, relation)
    measure_users(connection, relation)


def create_feature_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create those of the tables `item_days`, `user_days` and `agent_days` that are missing."""
    columns = ", ".join(f"{name} BIGINT" for name in USER_DAY_AGGREGATES)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS user_days (event_date DATE, user_id VARCHAR, {columns})"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS agent_days "
        "(event_date DATE, user_id VARCHAR, user_agent VARCHAR, ip VARCHAR, events BIGINT)"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS item_days "
        "(event_date DATE, item_id VARCHAR, users BIGINT, events BIGINT)"
    )


def measure_items(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Add the number of users and of events of each item on each day to `item_days`."""
    connection.execute(
        "INSERT INTO item_days SELECT event_date, item_id, count(DISTINCT user_id), count(*) "
        f"FROM {relation} GROUP BY ALL"
    )


def measure_users(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Add what users did on each day of the relation to `user_days` and `agent_days`.

    `item_days` must hold these days and, where there are any, the POPULARITY_DAYS before them.
    """
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


def _pause_bin_sql(number: int) -> str:
    """Count the pauses in one bin of the histogram."""
    low, high = "TRUE", "TRUE"
    if number > 0:
        low = f"pause >= {PAUSE_BOUNDS[number - 1]}"
    if number < len(PAUSE_BOUNDS):
        high = f"pause < {PAUSE_BOUNDS[number]}"
    return f"count(*) FILTER ({low} AND {high})"


def _sum_thousandths_sql(value: str, where: str = "TRUE") -> str:
    return f"sum(round(1000 * ({value}))::BIGINT) FILTER ({where})"


_SECOND_OF_DAY = "epoch(event_time - date_trunc('day', event_time))"
_HOUR_ANGLE = f"2 * pi() * {_SECOND_OF_DAY} / 3600"
_DAY_ANGLE = f"2 * pi() * {_SECOND_OF_DAY} / 86400"
_LOG_PAUSE = "ln(greatest(pause, 0.01))"
_IS_STEP = "pause IS NOT NULL AND item_id <> item_before"
"""The event is about another item than the one before it in its session."""
_HAS_TWO_PAUSES = "pause + pause_before IS NOT NULL"
_PAUSE_BINS = {
    f"pauses_{number}": _pause_bin_sql(number) for number in range(len(PAUSE_BOUNDS) + 1)
}

USER_DAY_AGGREGATES: Final[dict[str, str]] = {
    "events": "count(*)",
    "items": "count(DISTINCT item_id)",
    "views": "count(*) FILTER (kind = 'view')",
    "clicks": "count(*) FILTER (kind = 'click')",
    "likes": "count(*) FILTER (kind = 'like')",
    "carts": "count(*) FILTER (kind = 'cart')",
    "purchases": "count(*) FILTER (kind = 'purchase')",
    # One bit for each hour of the day.
    "hours": "bit_or(1 << hour(event_time))",
    "sessions": "count(*) FILTER (opens)",
    "single_events": "count(*) FILTER (opens AND closes)",
    # A pause lies between two events of a session.
    "pauses": "count(pause)",
    "log_pauses": _sum_thousandths_sql(_LOG_PAUSE, "pause IS NOT NULL"),
    "log_pauses_squared": _sum_thousandths_sql(f"power({_LOG_PAUSE}, 2)", "pause IS NOT NULL"),
    **_PAUSE_BINS,
    # A step is a pause between two items: the time that a user looked at the first one.
    "steps": f"count(*) FILTER ({_IS_STEP})",
    "log_steps": _sum_thousandths_sql(_LOG_PAUSE, _IS_STEP),
    "log_steps_squared": _sum_thousandths_sql(f"power({_LOG_PAUSE}, 2)", _IS_STEP),
    "ascents": "count(*) FILTER (pause IS NOT NULL AND ascends)",
    # Pairs of pauses in a row lie in one session, pairs of gaps in one day.
    "pause_pairs": f"count(variation) FILTER ({_HAS_TWO_PAUSES})",
    "pause_variation": _sum_thousandths_sql("variation", _HAS_TWO_PAUSES),
    "gap_pairs": "count(variation)",
    "gap_variation": _sum_thousandths_sql("variation"),
    # Directions of the clock's hands at the first event of each session.
    "minute_cosines": _sum_thousandths_sql(f"cos({_HOUR_ANGLE})", "opens"),
    "minute_sines": _sum_thousandths_sql(f"sin({_HOUR_ANGLE})", "opens"),
    "clock_cosines": _sum_thousandths_sql(f"cos({_DAY_ANGLE})", "opens"),
    "clock_sines": _sum_thousandths_sql(f"sin({_DAY_ANGLE})", "opens"),
    "popularity": _sum_thousandths_sql("popularity"),
    "popularity_squared": _sum_thousandths_sql("power(popularity, 2)"),
    "popularity_of_acts": _sum_thousandths_sql("popularity", "kind <> 'view'"),
}
"""Columns of `user_days`, each with the SQL that aggregates it from `steps`."""


def _steps_sql(relation: str) -> str:
    """Return a WITH clause that defines `steps`.

    `steps` has each event with the gaps to its neighbours on the day, and its item's popularity.
    """
    return f"""
    WITH {_popularities_sql(relation)},
    ordered AS (
        SELECT event_id, event_date, user_id, item_id, event_time,
            CASE WHEN event_type IN ('view', 'click', 'cart', 'purchase')
                THEN event_type ELSE 'like' END AS kind,
            epoch(event_time - lag(event_time) OVER by_time) AS gap,
            epoch(lead(event_time) OVER by_time - event_time) AS gap_after,
            lag(item_id) OVER by_time AS item_before,
            (length(item_id), item_id) > (length(item_before), item_before) AS ascends
        FROM {relation}
        WINDOW by_time AS (PARTITION BY event_date, user_id ORDER BY event_time, event_id)),
    paused AS (
        SELECT *, CASE WHEN gap <= {SESSION_GAP_SECONDS} THEN gap END AS pause,
            coalesce(gap > {SESSION_GAP_SECONDS}, TRUE) AS opens,
            coalesce(gap_after > {SESSION_GAP_SECONDS}, TRUE) AS closes,
            lag(gap) OVER by_time AS gap_before,
            lag(CASE WHEN gap <= {SESSION_GAP_SECONDS} THEN gap END) OVER by_time AS pause_before
        FROM ordered JOIN popularities USING (event_date, item_id)
        WINDOW by_time AS (PARTITION BY event_date, user_id ORDER BY event_time, event_id)),
    steps AS (
        -- The local variation of two gaps is 0 for clockwork and about 1 for chance
        -- (Shinomoto et al., Neural Computation 2003).
        SELECT *, 3 * power((gap - gap_before) / nullif(gap + gap_before, 0), 2) AS variation
        FROM paused)
    """


def _popularities_sql(relation: str) -> str:
    """Return the tables of a WITH clause up to `popularities`: one for each day and item."""
    return f"""
    days AS (SELECT DISTINCT event_date AS day FROM {relation}),
    recent AS (
        SELECT day, item_id, sum(users) AS users FROM days JOIN item_days
        ON item_days.event_date BETWEEN day - {POPULARITY_DAYS - 1} AND day GROUP BY ALL),
    ranked AS (
        SELECT day, item_id, sum(users) OVER (PARTITION BY day ORDER BY users) AS below,
            sum(users) OVER (PARTITION BY day, users) AS beside,
            sum(users) OVER (PARTITION BY day) AS total
        FROM recent),
    popularities AS (
        SELECT day AS event_date, item_id, (below - beside / 2) / total AS popularity FROM ranked)
    """
