"""Signs of a machine in what a user looks at and acts on, and from where."""

from typing import Final

from dawnlist.components.filter_bots.signs import (
    HINT_SURPRISE,
    PROOF_SURPRISE,
    TIMES_OF_DAYS,
    Sign,
    surprise_sql,
)

MIN_EQUAL_DAYS: Final = (8, 6)
"""Days of as many views, of a proof and of a hint."""
MIN_EQUAL_VIEWS: Final = 2
"""One event a day is a habit of people."""
MIN_ORDERED_DAYS: Final = 4
"""Days on which most steps go up. A list that one evening's page shows in order is no evidence."""
MIN_BLIND_ACTS: Final = (10, 6)
MIN_BLIND_DAYS: Final = 3
MIN_NETWORKS: Final = 8
"""Days, and networks, of a user who comes from another provider's network each time."""
MIN_CROWD: Final = 1_000
"""Users who come from one network with one user agent."""

_EQUAL_DAYS = f"""
    WITH totals AS (SELECT user_id, sum(views) AS views FROM judged_days GROUP BY user_id),
    sizes AS (
        SELECT user_id, totals.views > 0 AS has_views,
            CASE WHEN has_views THEN judged_days.views ELSE events END AS size, count(*) AS n
        FROM judged_days JOIN totals USING (user_id) WHERE size > 0 GROUP BY ALL),
    commonest AS (
        SELECT user_id, has_views, sum(n) AS days, max(n) FILTER (size >= {MIN_EQUAL_VIEWS}) AS hits,
            arg_max(size, (n, size)) FILTER (size >= {MIN_EQUAL_VIEWS}) AS size
        FROM sizes GROUP BY ALL)
    SELECT user_id, days >= {MIN_EQUAL_DAYS[0]} AND 20 * hits >= 17 * days AS is_proof,
        format('exactly {{}} {{}} on {{}} of {{}} days', size,
            CASE WHEN has_views THEN 'views' ELSE 'events' END, hits, days) AS evidence
    FROM commonest WHERE days >= {MIN_EQUAL_DAYS[1]} AND 20 * hits >= 13 * days
"""
_IN_ORDER = f"""
    WITH totals AS (
        SELECT user_id, sum(steps) AS steps, sum(ascents) AS ascents,
            count(*) FILTER (steps > 0 AND 5 * ascents >= 3 * steps) AS days
        FROM judged_days GROUP BY user_id HAVING sum(steps) > 0),
    surprises AS (
        SELECT *, {surprise_sql("ascents", "steps", "0.5")} AS surprise FROM totals)
    SELECT user_id, surprise >= {PROOF_SURPRISE} AND 4 * ascents >= 3 * steps AS is_proof,
        format('the catalogue in order: {{}} of {{}} steps go to a higher item number, on {{}} days',
            ascents, steps, days) AS evidence
    FROM surprises WHERE surprise >= {HINT_SURPRISE} AND days >= {MIN_ORDERED_DAYS}
"""
_BLIND_ACTS = f"""
    WITH totals AS (
        SELECT user_id, sum(acts) AS acts, sum(blind_acts) AS blind,
            count(*) FILTER (blind_acts > 0) AS days
        FROM judged_days GROUP BY user_id)
    SELECT user_id, acts >= {MIN_BLIND_ACTS[0]} AND 4 * blind >= acts AS is_proof,
        format('{{}} of {{}} likes, carts and the like on items that it did not open', blind, acts)
            AS evidence
    FROM totals
    WHERE acts >= {MIN_BLIND_ACTS[1]} AND 20 * blind >= 3 * acts AND days >= {MIN_BLIND_DAYS}
"""
_NO_VIEWS_OR_LISTS = """
    WITH acting AS (
        SELECT user_id, sum(blind_acts) > 0 AS is_blind FROM user_days
        GROUP BY user_id HAVING sum(acts) > 0)
    SELECT CASE WHEN (SELECT coalesce(sum(views), 0) = 0 FROM user_days)
            THEN 'the source has no views'
        WHEN 10 * count(*) FILTER (is_blind) > count(*)
            THEN 'people of this shop act on items without opening them'
        END FROM acting
"""
# A mobile carrier changes the address at each visit, too, but within a few ranges of its own.
_RANGE = """
    CASE WHEN ip LIKE '%:%' THEN split_part(ip, ':', 1) || ':' || split_part(ip, ':', 2)
        ELSE split_part(ip, '.', 1) || '.' || split_part(ip, '.', 2) END
"""
_OTHER_NETWORKS = f"""
    WITH ranges AS (
        SELECT DISTINCT user_id, event_date, {_RANGE} AS range
        FROM agent_days SEMI JOIN judged_days USING (user_id) WHERE ip IS NOT NULL),
    networks AS (
        SELECT user_id, count(DISTINCT range) AS networks, count(DISTINCT event_date) AS days,
            count(*) AS comings
        FROM ranges GROUP BY user_id)
    SELECT user_id, FALSE AS is_proof,
        format('another provider each time: {{}} networks on {{}} days', networks, days) AS evidence
    FROM networks
    WHERE days >= {MIN_NETWORKS} AND networks >= {MIN_NETWORKS} AND 20 * networks >= 17 * comings
"""
_CROWD = f"""
    WITH crowds AS (
        SELECT ip, user_agent, count(DISTINCT user_id) AS users FROM visits
        WHERE ip IS NOT NULL AND user_agent IS NOT NULL
        GROUP BY ALL HAVING count(DISTINCT user_id) >= {MIN_CROWD})
    SELECT user_id, FALSE AS is_proof,
        format('one of {{:,}} users from {{}} with one user agent', users, ip) AS evidence
    FROM visits JOIN crowds USING (ip, user_agent) JOIN volumes USING (user_id)
    SEMI JOIN judged_days USING (user_id)
    WHERE 2 * visits.events > volumes.events
"""
_NO_ADDRESSES = """
    SELECT CASE WHEN count(ip) = 0 THEN 'the source has no addresses' END FROM visits
"""
_NO_AGENTS = """
    SELECT CASE WHEN count(ip) = 0 THEN 'the source has no addresses'
        WHEN count(user_agent) = 0 THEN 'the source has no user agents' END FROM visits
"""

SIGNS_OF_VISITS: Final = (
    Sign("equal days", _EQUAL_DAYS, "SELECT NULL", "amounts", MIN_EQUAL_DAYS[1]),
    Sign("catalogue in order", _IN_ORDER, TIMES_OF_DAYS, "lists", MIN_ORDERED_DAYS),
    Sign("acts without a view", _BLIND_ACTS, _NO_VIEWS_OR_LISTS, "lists", MIN_BLIND_DAYS),
    Sign("another provider each time", _OTHER_NETWORKS, _NO_ADDRESSES, "networks", MIN_NETWORKS),
    Sign("a thousand users of one address", _CROWD, _NO_AGENTS, "networks"),
)
