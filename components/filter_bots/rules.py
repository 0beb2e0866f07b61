"""The rules. Each fills the table `found` (user_id, event_id, rule, evidence) of a DuckDB with what it has found.

They read `events` (user_id, item_id, event_type, event_time, event_date, agent: a hash), `agents` (agent,
user_agent, events) and `users` (user_id, email, role).
"""

from dataclasses import dataclass
from typing import Final

import crawleruseragents
import duckdb
import pyarrow as pa

from components.settings import BotSettings

DECLARED, STAFF, BEHAVIOUR, DENY = "declared_crawlers", "staff", "behaviour", "deny"
NATURE_EVENTS, NATURE_USERS = 30, 50
"""Behaviour needs this many events to judge a user by, and this many such users to learn the usual from."""
DISTANCE, AXES, PRIOR_EVENTS = 2.5, 3, 40
"""A user is a bot when this many axes lie this many robust standard deviations from the median. Distances shrink by
sqrt(n / (n + PRIOR_EVENTS)), since the averages of a user with few events scatter without meaning anything."""


@dataclass(frozen=True)
class Axis:
    """One way of being unlike people."""

    name: str
    feature: str
    sign: int
    """+1: too high is suspicious, -1: too low, 0: both."""
    floor: float
    """The least standard deviation that is believed, in units of the feature."""
    shown: str
    """SQL of the value that the evidence shows."""


AXES_OF_BEHAVIOUR: Final = (
    Axis("events a day", "rate", 1, 0.1, "exp(rate)"),
    Axis("hours a day", "spread_hours", 1, 0.1, "spread_hours"),
    Axis("seconds between events", "pace", -1, 0.1, "exp(pace)"),
    Axis("evenness of pauses", "unevenness", -1, 0.1, "unevenness"),
    Axis("taste for the popular", "popular", -1, 0.1, "popular"),
    Axis("share of acts beyond views", "acts", 0, 0.03, "acts"),
    Axis("distinct items an event", "breadth", 0, 0.03, "breadth"),
)


def declared_crawlers(connection: duckdb.DuckDBPyConnection, settings: BotSettings) -> None:
    """Users most of whose events name a crawler as their agent, and such events of the others.

    Each distinct agent is judged once, by the patterns of crawler-user-agents (programs such as curl included).
    """
    agents = connection.execute("SELECT agent, user_agent FROM agents").fetchall()
    crawlers = [agent for agent, text in agents if is_crawler(text, settings.allow_agents)]
    connection.register("crawler_rows", pa.table({"agent": pa.array(crawlers, pa.uint64())}))
    connection.execute("CREATE OR REPLACE TABLE crawlers AS SELECT * FROM crawler_rows JOIN agents USING (agent)")
    connection.unregister("crawler_rows")
    connection.execute(
        """
        CREATE OR REPLACE TABLE crawling AS
        SELECT user_id, count(user_agent) AS hits, count(events.agent) AS named, mode(user_agent) AS user_agent
        FROM events LEFT JOIN crawlers USING (agent)
        WHERE user_id IN (SELECT user_id FROM events SEMI JOIN crawlers USING (agent)) GROUP BY user_id
        """
    )
    connection.execute(
        "INSERT INTO found SELECT user_id, NULL, ?, hits || ' of ' || named || ' events by ' || user_agent "
        "FROM crawling WHERE hits * 2 > named",
        [DECLARED],
    )
    few = connection.execute("SELECT count(*) FROM crawling WHERE hits * 2 <= named").fetchall()[0][0]
    if few:  # event ids are read for these alone: they are the widest column
        connection.execute(
            "INSERT INTO found SELECT source.user_id, event_id, ?, 'event by ' || crawlers.user_agent FROM source "
            "SEMI JOIN (FROM crawling WHERE hits * 2 <= named) AS few ON few.user_id = source.user_id "
            "JOIN crawlers ON crawlers.user_agent = source.user_agent",
            [DECLARED],
        )


def is_crawler(user_agent: str, allowed: list[str]) -> bool:
    """Whether an agent names a known crawler, preview, monitor or program, and none of the shop's own apps."""
    return bool(crawleruseragents.is_crawler(user_agent)) and not any(part in user_agent for part in allowed)


def staff(connection: duckdb.DuckDBPyConnection, settings: BotSettings) -> None:
    """The shop's own people and its test accounts: by id, by role, by e-mail domain."""
    domains = [domain.lower().lstrip("@") for domain in settings.staff_domains]
    roles = [role.lower() for role in settings.staff_roles]
    connection.execute(
        """
        INSERT INTO found
        SELECT user_id, NULL, ?, CASE WHEN list_contains(?, user_id) THEN 'id in staff_ids'
            WHEN list_contains(?, role) THEN 'role ' || role ELSE 'e-mail at ' || split_part(email, '@', -1) END
        FROM (SELECT DISTINCT user_id FROM events) LEFT JOIN users USING (user_id)
        WHERE list_contains(?, user_id) OR list_contains(?, role) OR list_contains(?, split_part(email, '@', -1))
        """,
        [STAFF, settings.staff_ids, roles, settings.staff_ids, roles, domains],
    )


def behaviour(connection: duckdb.DuckDBPyConnection, settings: BotSettings) -> None:
    """Users who differ from this shop's people in several ways at once; no single way convicts."""
    connection.execute(_FEATURES)
    population = connection.execute("SELECT count(*) FROM features").fetchall()[0][0]
    if population < NATURE_USERS:
        return
    distances, convictions, evidence = [], [], []
    for axis in AXES_OF_BEHAVIOUR:
        name = axis.feature
        signed = f"({name} - mid_{name}) / greatest(1.4826 * mad_{name}, {axis.floor})"
        distance = f"abs({signed})" if axis.sign == 0 else f"{axis.sign} * {signed}"
        distances.append(f"{distance} * sqrt(events / (events + {PRIOR_EVENTS})) AS far_{name}")
        convictions.append(f"(coalesce(far_{name}, 0) > {DISTANCE})::INT")
        text = f"'{axis.name} ' || round({axis.shown}, 2) || ' (' || round(far_{name}, 1) || ' sd)'"
        evidence.append(f"CASE WHEN far_{name} > {DISTANCE} THEN {text} END")
    usual = ", ".join(
        f"median({axis.feature}) AS mid_{axis.feature}, mad({axis.feature}) AS mad_{axis.feature}"
        for axis in AXES_OF_BEHAVIOUR
    )
    connection.execute(
        f"INSERT INTO found SELECT user_id, NULL, '{BEHAVIOUR}', concat_ws(', ', {', '.join(evidence)}) "
        f"FROM (SELECT *, {', '.join(distances)} FROM features, (SELECT {usual} FROM features)) "
        f"WHERE {' + '.join(convictions)} >= {AXES}"
    )


def deny(connection: duckdb.DuckDBPyConnection, settings: BotSettings) -> None:
    """The ids that the settings name."""
    connection.execute(
        "INSERT INTO found SELECT DISTINCT user_id, NULL, ?, 'id in deny' FROM events WHERE list_contains(?, user_id)",
        [DENY, settings.deny],
    )


# rate: log events a day; pace, unevenness: of log seconds between events within an hour; popular: log users of an item
_FEATURES = f"""
CREATE OR REPLACE TABLE features AS
WITH busy AS (SELECT user_id FROM events GROUP BY 1 HAVING count(*) >= {NATURE_EVENTS}),
popularity AS (SELECT item_id, ln(count(DISTINCT user_id)) AS popular FROM events GROUP BY 1),
timed AS (
    SELECT user_id, item_id, event_type, event_date, hour(event_time) AS moment,
        epoch_us(event_time) - lag(epoch_us(event_time)) OVER (PARTITION BY user_id ORDER BY event_time) AS gap
    FROM events SEMI JOIN busy USING (user_id)),
daily AS (
    SELECT user_id, count(*) AS n, count(DISTINCT item_id) AS items, count(DISTINCT moment) AS active_hours,
        count(*) FILTER (event_type <> 'view') AS acts, sum(popular) AS popular
    FROM timed JOIN popularity USING (item_id) GROUP BY user_id, event_date),
habits AS (
    SELECT user_id, sum(n)::DOUBLE AS events, avg(ln(n)) AS rate, avg(active_hours) AS spread_hours,
        sum(acts) / sum(n) AS acts, sum(items) / sum(n) AS breadth, sum(popular) / sum(n) AS popular
    FROM daily GROUP BY user_id),
pauses AS (
    SELECT user_id, median(pause) AS pace,
        least(stddev_pop(pause) / 0.83, quantile_cont(pause, 0.75) - quantile_cont(pause, 0.25)) AS unevenness
    FROM (SELECT user_id, ln(greatest(gap, 10000) / 1e6) AS pause FROM timed WHERE gap < 3600e6)
    GROUP BY user_id)
SELECT * FROM habits LEFT JOIN pauses USING (user_id)
"""
