"""The named rules. Each adds to the table `found` (user_id, event_id, rule, evidence) of a DuckDB what it has found.

They read what a window comes to: `visits` (user_id, user_agent, ip, events), `volumes` (user_id, events), `users`
(user_id, email, role), and by day `agent_days` and `user_days` (see features). Only to name the single events of a few
users they read `source`, the events themselves, of the days that have any.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.components.filter_bots.behaviour import BEHAVIOUR_RULE, find_unusual_users
from dawnlist.components.filter_bots.user_agents import (
    CRAWLER_RULE,
    PREVIEW_RULE,
    classify_user_agents,
)
from dawnlist.settings import BotSettings

DECLARED_RULE, STAFF_RULE, DENY_RULE = CRAWLER_RULE, "staff", "deny"
DuckDBConnection = duckdb.DuckDBPyConnection


def find_declared_crawlers(connection: DuckDBConnection, settings: BotSettings) -> None:
    """Crawlers, scanners and programs such as curl that say so in their user agent."""
    _find_by_agent(connection, settings, CRAWLER_RULE)


def find_previews_and_monitors(connection: DuckDBConnection, settings: BotSettings) -> None:
    """What fetches a page to show a link in a message, or to see that the shop is up, by its user agent."""
    _find_by_agent(connection, settings, PREVIEW_RULE)


def _find_by_agent(connection: DuckDBConnection, settings: BotSettings, rule: str) -> None:
    agents, said = classify_visiting_agents(connection, settings)
    _find_by_majority(connection, rule, "user_agent", "by", agents.filter(pc.equal(said, rule)))


def classify_visiting_agents(
    connection: DuckDBConnection, settings: BotSettings
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The distinct user agents, and the rule that finds each, or NULL."""
    distinct = "SELECT DISTINCT user_agent FROM visits WHERE user_agent IS NOT NULL ORDER BY 1"
    agents = connection.sql(distinct).to_arrow_table()["user_agent"]
    return agents, classify_user_agents(agents, settings.allow_agents)


def find_staff(connection: DuckDBConnection, settings: BotSettings) -> None:
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
        [STAFF_RULE, settings.staff_ids, roles, settings.staff_ids, roles, domains],
    )
    if settings.internal_networks:
        addresses = connection.sql(
            "SELECT DISTINCT ip FROM visits WHERE ip IS NOT NULL"
        ).to_arrow_table()["ip"]
        _find_by_majority(
            connection,
            STAFF_RULE,
            "ip",
            "from",
            select_internal_addresses(addresses.to_pylist(), settings.internal_networks),
        )


def select_internal_addresses(addresses: list[str], networks: list[str]) -> list[str]:
    """Those of the addresses, each as the lake keeps it, a /24 or a /48, that lie in one of the networks."""
    own = [ip_network(network) for network in networks]
    return [address for address in addresses if any(_lies_in(address, network) for network in own)]


def _lies_in(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        place = ip_network(address)
    except ValueError:  # 999.0.0.0/24
        return False
    return place.version == network.version and place.subnet_of(network)  # type: ignore[arg-type]


def find_denied_users(connection: DuckDBConnection, settings: BotSettings) -> None:
    """The ids that the settings name."""
    connection.execute(
        "INSERT INTO found SELECT user_id, NULL, ?, 'id in deny' FROM volumes WHERE list_contains(?, user_id)",
        [DENY_RULE, settings.deny],
    )


def _find_by_majority(
    connection: DuckDBConnection,
    rule: str,
    column: str,
    word: str,
    values: Sequence[str] | pa.ChunkedArray,
) -> None:
    """Find the users most of whose events that have a `column` have one of the values, and such events of the others.

    Users whom the rule has found before are left out.
    """
    listed = values.to_pylist() if isinstance(values, pa.ChunkedArray) else list(values)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE hits AS SELECT unnest(?::VARCHAR[]) AS value", [listed]
    )
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
    _find_single_events(connection, rule, column, word)


def _find_single_events(connection: DuckDBConnection, rule: str, column: str, word: str) -> None:
    """The events in `hits` of users who have more of others; only the days that have any are read."""
    few = (
        f"FROM agent_days JOIN hits ON {column} = value "
        "WHERE user_id IN (SELECT user_id FROM mixed WHERE of_hits * 2 <= named)"
    )
    days = [
        day
        for (day,) in connection.execute(f"SELECT DISTINCT event_date {few} ORDER BY 1").fetchall()
    ]
    if days:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE few AS SELECT DISTINCT user_id, value {few}"
        )
        listed = ", ".join(
            f"DATE '{day}'" for day in days
        )  # values, not a join: only they reach the partitions
        connection.execute(
            f"INSERT INTO found SELECT user_id, event_id, ?, 'event {word} ' || {column} FROM source "
            f"SEMI JOIN few ON few.user_id = source.user_id AND few.value = source.{column} "
            f"WHERE event_date IN ({listed})",
            [rule],
        )


BOT_RULES: Final[dict[str, Callable[[DuckDBConnection, BotSettings], None]]] = {
    DECLARED_RULE: find_declared_crawlers,
    PREVIEW_RULE: find_previews_and_monitors,
    STAFF_RULE: find_staff,
    BEHAVIOUR_RULE: find_unusual_users,
    DENY_RULE: find_denied_users,
}
"""By name; `deny` is always on, the others as the setting of that name says."""
