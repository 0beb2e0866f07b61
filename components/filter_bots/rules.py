"""Define the named rules. Each adds the users and events that it finds to the table `found`.

`found` has the columns user_id, event_id, rule and evidence. The rules read the sums of a window:
`visits` (user_id, user_agent, ip, events), `volumes` (user_id, events) and `users` (user_id,
email, role), and by day `agent_days` and `user_days` (see features.py). They read `source`, the
events themselves, only to name the single events of a few users, and only the days that have any.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.components.filter_bots.behaviour import BEHAVIOUR_RULE, find_machines
from dawnlist.rows.user_agents import (
    CRAWLER_RULE,
    PREVIEW_RULE,
    classify_user_agents,
    contain_any,
)
from dawnlist.settings import BotSettings

STAFF_RULE, DENY_RULE = "staff", "deny"
DuckDBConnection = duckdb.DuckDBPyConnection


def find_declared_crawlers(connection: DuckDBConnection, settings: BotSettings) -> None:
    """Find crawlers, scanners and programs such as curl by their user agents."""
    _find_by_agent(connection, settings, CRAWLER_RULE)


def find_previews_and_monitors(connection: DuckDBConnection, settings: BotSettings) -> None:
    """Find programs that preview links in messages or monitor the shop by their user agents."""
    _find_by_agent(connection, settings, PREVIEW_RULE)


def _find_by_agent(connection: DuckDBConnection, settings: BotSettings, rule: str) -> None:
    agents, agent_rules = classify_visiting_agents(connection, settings)
    matching_agents = agents.filter(pc.equal(agent_rules, rule)).to_pylist()
    _find_by_majority(connection, rule, "user_agent", "by", matching_agents)


def classify_visiting_agents(
    connection: DuckDBConnection, settings: BotSettings
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return the distinct user agents of `visits`, and for each the rule that finds it or NULL."""
    distinct = "SELECT DISTINCT user_agent FROM visits WHERE user_agent IS NOT NULL ORDER BY 1"
    agents = connection.sql(distinct).to_arrow_table()["user_agent"]
    rules = classify_user_agents(agents, settings.allow_agents)
    return agents, pc.if_else(contain_any(agents, settings.deny_agents), DENY_RULE, rules)


def find_staff(connection: DuckDBConnection, settings: BotSettings) -> None:
    """Find the shop's own people and test accounts by id, role, e-mail domain or network."""
    domains = [domain.lower().lstrip("@") for domain in settings.staff_domains]
    roles = [role.lower() for role in settings.staff_roles]
    connection.execute(
        """
        INSERT INTO found
        SELECT user_id, NULL, $rule,
            CASE WHEN list_contains($ids, user_id) THEN 'id in staff_ids'
                WHEN list_contains($roles, role) THEN 'role ' || role
                ELSE 'e-mail at ' || split_part(email, '@', -1) END
        FROM volumes LEFT JOIN users USING (user_id)
        WHERE list_contains($ids, user_id) OR list_contains($roles, role)
            OR list_contains($domains, split_part(email, '@', -1))
        """,
        {"rule": STAFF_RULE, "ids": settings.staff_ids, "roles": roles, "domains": domains},
    )
    if settings.internal_networks:
        distinct = "SELECT DISTINCT ip FROM visits WHERE ip IS NOT NULL"
        addresses = connection.sql(distinct).to_arrow_table()["ip"].to_pylist()
        internal_addresses = select_internal_addresses(addresses, settings.internal_networks)
        _find_by_majority(connection, STAFF_RULE, "ip", "from", internal_addresses)


def select_internal_addresses(addresses: list[str], networks: list[str]) -> list[str]:
    """Return the addresses that lie in one of the networks.

    The lake keeps an address as a network: a /24 for IPv4, a /48 for IPv6.
    """
    parsed_networks = list(map(ip_network, networks))
    internal_addresses = []
    for address in addresses:
        if any(_lies_in(address, network) for network in parsed_networks):
            internal_addresses.append(address)
    return internal_addresses


def _lies_in(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        subnet = ip_network(address)
    except ValueError:  # 999.0.0.0/24
        return False
    return subnet.version == network.version and subnet.subnet_of(network)  # type: ignore[arg-type]


def find_denied_users(connection: DuckDBConnection, settings: BotSettings) -> None:
    """Find the users whose ids `deny` lists, and users and events by agents of `deny_agents`."""
    connection.execute(
        "INSERT INTO found SELECT user_id, NULL, ?, 'id in deny' "
        "FROM volumes WHERE list_contains(?, user_id)",
        [DENY_RULE, settings.deny],
    )
    _find_by_agent(connection, settings, DENY_RULE)


def _find_by_majority(
    connection: DuckDBConnection, rule: str, column: str, preposition: str, values: Sequence[str]
) -> None:
    """Find users and events by the values of a column, `user_agent` or `ip`.

    A user is found when more than half of the events that have the column have one of the values.
    Of any other user the events with one of the values are found. Users whom the rule has found
    before are left out. The evidence reads "3 of 4 events by curl", with the preposition.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE hits AS SELECT unnest(?::VARCHAR[]) AS value", [list(values)]
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE mixed AS
        WITH hitting AS (
            SELECT DISTINCT user_id FROM visits JOIN hits ON {column} = value WHERE user_id NOT IN
                (SELECT user_id FROM found WHERE rule = ? AND event_id IS NULL)),
        value_counts AS (
            SELECT user_id, {column} AS value, sum(events) AS events
            FROM visits SEMI JOIN hitting USING (user_id)
            WHERE {column} IS NOT NULL GROUP BY ALL)
        SELECT user_id, sum(events)::BIGINT AS named,
            sum(events) FILTER (value IN (FROM hits))::BIGINT AS of_hits,
            arg_max(value, (events, value)) FILTER (value IN (FROM hits)) AS most
        FROM value_counts GROUP BY user_id
        """,
        [rule],
    )
    connection.execute(
        "INSERT INTO found SELECT user_id, NULL, ?, "
        f"of_hits || ' of ' || named || ' events {preposition} ' || most "
        "FROM mixed WHERE of_hits * 2 > named",
        [rule],
    )
    _find_single_events(connection, rule, column, preposition)


def _find_single_events(
    connection: DuckDBConnection, rule: str, column: str, preposition: str
) -> None:
    """Find the events with a value in `hits` of the users whom `mixed` has as no majority."""
    agent_days = (
        f"FROM agent_days JOIN hits ON {column} = value "
        "WHERE user_id IN (SELECT user_id FROM mixed WHERE of_hits * 2 <= named)"
    )
    rows = connection.execute(f"SELECT DISTINCT event_date {agent_days} ORDER BY 1").fetchall()
    if not rows:
        return
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE few AS SELECT DISTINCT user_id, value {agent_days}"
    )
    # DuckDB skips the other partitions by values in the statement, not by a join.
    days = ", ".join(f"DATE '{day}'" for (day,) in rows)
    connection.execute(
        f"INSERT INTO found SELECT user_id, event_id, ?, 'event {preposition} ' || {column} "
        "FROM source SEMI JOIN few "
        f"ON few.user_id = source.user_id AND few.value = source.{column} "
        f"WHERE event_date IN ({days})",
        [rule],
    )


BOT_RULES: Final[dict[str, Callable[[DuckDBConnection, BotSettings], None]]] = {
    CRAWLER_RULE: find_declared_crawlers,
    PREVIEW_RULE: find_previews_and_monitors,
    STAFF_RULE: find_staff,
    BEHAVIOUR_RULE: find_machines,
    DENY_RULE: find_denied_users,
}
"""The rules in their order. `deny` is always on, the others as the setting of that name says."""
