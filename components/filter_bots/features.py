"""What a user did in a day, as numbers that add up: sums and counts of which any span of days is a sum.

All are whole numbers, so that a sum does not depend on the order of its parts. Times of pauses are logarithms of
seconds, popularity is the share of all visits that goes to less popular items; both, like directions, in thousandths.
"""

from typing import Final

import duckdb

POPULARITY_DAYS: Final = 28
"""An item is as popular on a day as it was in so many days up to it."""
SESSION_GAP_SECONDS: Final = 1_800
"""Seconds without an event that end a session, as everywhere since Catledge and Pitkow (WWW 1995)."""
PAUSE_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Upper bounds, in seconds, of all but the last bin of the histogram of pauses."""


def measure_features(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Add what all events of a relation come to, to `item_days`, `user_days` and `agent_days`.

    The relation has the columns of INTERACTIONS, and all events of its days; agent and ip may be NULL.
    """
    create_feature_tables(connection)
    measure_items(connection, relation)
    measure_users(connection, relation)


def create_feature_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """The tables, empty, where they are missing."""
    counts = ", ".join(f"{name} BIGINT" for name in USER_DAY_AGGREGATES)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS user_days (event_date DATE, user_id VARCHAR, {counts})"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS agent_days "
        "(event_date DATE, user_id VARCHAR, user_agent VARCHAR, ip VARCHAR, events BIGINT)"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS item_days (event_date DATE, item_id VARCHAR, users BIGINT, events BIGINT)"
    )


def measure_items(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Add how many users each item had on each day of the relation, and how many events, to `item_days`."""
    connection.execute(
        "INSERT INTO item_days SELECT event_date, item_id, count(DISTINCT user_id), count(*) "
        f"FROM {relation} GROUP BY ALL"
    )


def measure_users(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Add what users did on each day of the relation to `user_days` and `agent_days`.

    `item_days` holds the same days and, as far as there are any, the POPULARITY_DAYS before them.
    """
    aggregates = ", ".join(
        f"coalesce({aggregate}, 0)::BIGINT AS {name}"
        for name, aggregate in USER_DAY_AGGREGATES.items()
    )
    connection.execute(
        f"INSERT INTO user_days {_steps_sql(relation)} SELECT event_date, user_id, {aggregates} FROM told GROUP BY ALL"
    )
    connection.execute(
        f"INSERT INTO agent_days SELECT event_date, user_id, user_agent, ip, count(*) FROM {relation} GROUP BY ALL"
    )


def _pause_bin_sql(number: int) -> str:
    low = f"pause >= {PAUSE_BOUNDS[number - 1]}" if number else "TRUE"
    high = f"pause < {PAUSE_BOUNDS[number]}" if number < len(PAUSE_BOUNDS) else "TRUE"
    return f"count(*) FILTER ({low} AND {high})"


def _sum_thousandths_sql(value: str, where: str = "TRUE") -> str:
    return f"sum(round(1000 * ({value}))::BIGINT) FILTER ({where})"


_SECOND_OF_DAY = "epoch(event_time - date_trunc('day', event_time))"
_HOUR_ANGLE, _DAY_ANGLE = (f"2 * pi() * {_SECOND_OF_DAY} / {period}" for period in (3_600, 86_400))
_LOG_PAUSE = "ln(greatest(pause, 0.01))"

USER_DAY_AGGREGATES: Final[dict[str, str]] = {
    "events": "count(*)",
    "items": "count(DISTINCT item_id)",
    "views": "count(*) FILTER (kind = 'view')",
    "clicks": "count(*) FILTER (kind = 'click')",
    "likes": "count(*) FILTER (kind = 'like')",
    "carts": "count(*) FILTER (kind = 'cart')",
    "purchases": "count(*) FILTER (kind = 'purchase')",
    "hours": "bit_or(1 << hour(event_time))",  # of the day, one bit each
    "sessions": "count(*) FILTER (opens)",
    "single_events": "count(*) FILTER (opens AND closes)",
    # between two events of a session
    "pauses": "count(pause)",
    "log_pauses": _sum_thousandths_sql(_LOG_PAUSE, "pause IS NOT NULL"),
    "log_pauses_squared": _sum_thousandths_sql(f"power({_LOG_PAUSE}, 2)", "pause IS NOT NULL"),
    **{f"pauses_{number}": _pause_bin_sql(number) for number in range(len(PAUSE_BOUNDS) + 1)},
    # of those, between two items: how long one was looked at
    "steps": "count(*) FILTER (pause IS NOT NULL AND item_id <> item_before)",
    "log_steps": _sum_thousandths_sql(_LOG_PAUSE, "pause IS NOT NULL AND item_id <> item_before"),
    "log_steps_squared": _sum_thousandths_sql(
        f"power({_LOG_PAUSE}, 2)", "pause IS NOT NULL AND item_id <> item_before"
    ),
    "ascents": "count(*) FILTER (pause IS NOT NULL AND ascends)",
    # two pauses in a row: in sessions, and in the whole day
    "pause_pairs": "count(variation) FILTER (pause + pause_before IS NOT NULL)",
    "pause_variation": _sum_thousandths_sql("variation", "pause + pause_before IS NOT NULL"),
    "gap_pairs": "count(variation)",
    "gap_variation": _sum_thousandths_sql("variation"),
    # directions of the clock's hands at the first event of sessions
    "minute_cosines": _sum_thousandths_sql(f"cos({_HOUR_ANGLE})", "opens"),
    "minute_sines": _sum_thousandths_sql(f"sin({_HOUR_ANGLE})", "opens"),
    "clock_cosines": _sum_thousandths_sql(f"cos({_DAY_ANGLE})", "opens"),
    "clock_sines": _sum_thousandths_sql(f"sin({_DAY_ANGLE})", "opens"),
    "popularity": _sum_thousandths_sql("popularity"),
    "popularity_squared": _sum_thousandths_sql("power(popularity, 2)"),
    "popularity_of_acts": _sum_thousandths_sql("popularity", "kind <> 'view'"),
}
"""Column of `user_days` -> SQL aggregate of `told`."""


def _steps_sql(relation: str) -> str:
    """The table `told`: each event beside the one before it on its day, and how popular its item was."""
    return f"""
    WITH days AS (SELECT DISTINCT event_date AS day FROM {relation}),
    recent AS (
        SELECT day, item_id, sum(users) AS users FROM days JOIN item_days
        ON item_days.event_date BETWEEN day - {POPULARITY_DAYS - 1} AND day GROUP BY ALL),
    ranked AS (
        SELECT day, item_id, sum(users) OVER (PARTITION BY day ORDER BY users) AS below,
            sum(users) OVER (PARTITION BY day, users) AS beside, sum(users) OVER (PARTITION BY day) AS total
        FROM recent),
    popularities AS (
        SELECT day AS event_date, item_id, (below - beside / 2) / total AS popularity FROM ranked),
    ordered AS (
        SELECT event_id, event_date, user_id, item_id, event_time,
            CASE WHEN event_type IN ('view', 'click', 'cart', 'purchase') THEN event_type ELSE 'like' END AS kind,
            epoch(event_time - lag(event_time) OVER told) AS gap,
            epoch(lead(event_time) OVER told - event_time) AS gap_after,
            lag(item_id) OVER told AS item_before,
            (length(item_id), item_id) > (length(item_before), item_before) AS ascends
        FROM {relation} WINDOW told AS (PARTITION BY event_date, user_id ORDER BY event_time, event_id)),
    paused AS (
        SELECT *, CASE WHEN gap <= {SESSION_GAP_SECONDS} THEN gap END AS pause,
            coalesce(gap > {SESSION_GAP_SECONDS}, TRUE) AS opens, coalesce(gap_after > {SESSION_GAP_SECONDS}, TRUE) AS closes,
            lag(gap) OVER by_time AS gap_before,
            lag(CASE WHEN gap <= {SESSION_GAP_SECONDS} THEN gap END) OVER by_time AS pause_before
        FROM ordered JOIN popularities USING (event_date, item_id)
        WINDOW by_time AS (PARTITION BY event_date, user_id ORDER BY event_time, event_id)),
    told AS (
        -- Shinomoto et al., Neural Computation 2003: 0 is clockwork, 1 is chance
        SELECT *, 3 * power((gap - gap_before) / nullif(gap + gap_before, 0), 2) AS variation FROM paused)
    """
