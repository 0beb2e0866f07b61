"""The named rules. Each adds to the table `found` (user_id, event_id, rule, evidence) of a DuckDB what it has found.

They read what a window comes to: `visits` (user_id, user_agent, ip, events), `volumes` (user_id, events), `users`
(user_id, email, role), and by day `agent_days` and `user_days` (see features). Only to name the single events of a few
users they read `source`, the events themselves, of the days that have any.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from components.filter_bots.agents import CRAWLERS, PREVIEWS, rules_of
from components.settings import BotSettings

DECLARED, STAFF, BEHAVIOUR, DENY = CRAWLERS, "staff", "behaviour", "deny"
Connection = duckdb.DuckDBPyConnection
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


def declared_crawlers(connection: Connection, settings: BotSettings) -> None:
    """Crawlers, scanners and programs such as curl that say so in their user agent."""
    _by_agent(connection, settings, CRAWLERS)


def previews_and_monitors(connection: Connection, settings: BotSettings) -> None:
    """What fetches a page to show a link in a message, or to see that the shop is up, by its user agent."""
    _by_agent(connection, settings, PREVIEWS)


def _by_agent(connection: Connection, settings: BotSettings, rule: str) -> None:
    agents, said = judged_agents(connection, settings)
    _mostly(connection, rule, "user_agent", "by", agents.filter(pc.equal(said, rule)))


def judged_agents(connection: Connection, settings: BotSettings) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The distinct user agents, and the rule that finds each, or NULL."""
    distinct = "SELECT DISTINCT user_agent FROM visits WHERE user_agent IS NOT NULL ORDER BY 1"
    agents = connection.sql(distinct).to_arrow_table()["user_agent"]
    return agents, rules_of(agents, settings.allow_agents)


def staff(connection: Connection, settings: BotSettings) -> None:
    """The shop's own people and its test accounts: by id, role, e-mail domain, or the network they come from."""
    domains = [domain.lower().lstrip("@") for domain in settings.staff_domains]
    roles = [role.lower() for role in settings.staff_roles]
    connection.execute(
        """
        INSERT INTO found
        SELECT user_id, NULL, ?, CASE WHEN list_contains(?, user_id) THEN 'id in staff_ids'
            WHEN list_contains(?, role) THEN 'role ' || role ELSE 'e-mail at ' || split_part(email, '@', -1) END
        FROM volumes LEFT JOIN users USING (user_id)
        WHERE list_contains(?, user_id) OR list_contains(?, role) OR list_contains(?, split_part(email, '@', -1))
        """,
        [STAFF, settings.staff_ids, roles, settings.staff_ids, roles, domains],
    )
    if settings.internal_networks:
        addresses = connection.sql("SELECT DISTINCT ip FROM visits WHERE ip IS NOT NULL").to_arrow_table()["ip"]
        _mostly(connection, STAFF, "ip", "from", internal(addresses.to_pylist(), settings.internal_networks))


def internal(addresses: list[str], networks: list[str]) -> list[str]:
    """Those of the addresses, each as the lake keeps it, a /24 or a /48, that lie in one of the networks."""
    own = [ip_network(network) for network in networks]
    return [address for address in addresses if any(_lies_in(address, network) for network in own)]


def _lies_in(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        place = ip_network(address)
    except ValueError:  # 999.0.0.0/24
        return False
    return place.version == network.version and place.subnet_of(network)  # type: ignore[arg-type]


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


def deny(connection: Connection, settings: BotSettings) -> None:
    """The ids that the settings name."""
    connection.execute(
        "INSERT INTO found SELECT user_id, NULL, ?, 'id in deny' FROM volumes WHERE list_contains(?, user_id)",
        [DENY, settings.deny],
    )


def _mostly(connection: Connection, rule: str, column: str, word: str, values: Sequence[str] | pa.ChunkedArray) -> None:
    """Find the users most of whose events that have a `column` have one of the values, and such events of the others.

    Users whom the rule has found before are left out.
    """
    listed = values.to_pylist() if isinstance(values, pa.ChunkedArray) else list(values)
    connection.execute("CREATE OR REPLACE TEMP TABLE hits AS SELECT unnest(?::VARCHAR[]) AS value", [listed])
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE mixed AS
        WITH hitting AS (SELECT DISTINCT user_id FROM visits JOIN hits ON {column} = value
            WHERE user_id NOT IN (SELECT user_id FROM found WHERE rule = ? AND event_id IS NULL)),
        told AS (SELECT user_id, {column} AS value, sum(events) AS events
            FROM visits SEMI JOIN hitting USING (user_id) WHERE {column} IS NOT NULL GROUP BY ALL)
        SELECT user_id, sum(events)::BIGINT AS named, sum(events) FILTER (value IN (FROM hits))::BIGINT AS of_hits,
            arg_max(value, (events, value)) FILTER (value IN (FROM hits)) AS most
        FROM told GROUP BY user_id
        """,
        [rule],
    )
    connection.execute(
        f"INSERT INTO found SELECT user_id, NULL, ?, of_hits || ' of ' || named || ' events {word} ' || most "
        "FROM mixed WHERE of_hits * 2 > named",
        [rule],
    )
    _single_events(connection, rule, column, word)


def _single_events(connection: Connection, rule: str, column: str, word: str) -> None:
    """The events in `hits` of users who have more of others; only the days that have any are read."""
    few = (
        f"FROM agent_days JOIN hits ON {column} = value "
        "WHERE user_id IN (SELECT user_id FROM mixed WHERE of_hits * 2 <= named)"
    )
    days = [day for (day,) in connection.execute(f"SELECT DISTINCT event_date {few} ORDER BY 1").fetchall()]
    if days:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE few AS SELECT DISTINCT user_id, value {few}")
        listed = ", ".join(f"DATE '{day}'" for day in days)  # values, not a join: only they reach the partitions
        connection.execute(
            f"INSERT INTO found SELECT user_id, event_id, ?, 'event {word} ' || {column} FROM source "
            f"SEMI JOIN few ON few.user_id = source.user_id AND few.value = source.{column} "
            f"WHERE event_date IN ({listed})",
            [rule],
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

RULES: Final[dict[str, Callable[[Connection, BotSettings], None]]] = {
    DECLARED: declared_crawlers,
    PREVIEWS: previews_and_monitors,
    STAFF: staff,
    BEHAVIOUR: behaviour,
    DENY: deny,
}
"""By name; `deny` is always on, the others as the setting of that name says."""
