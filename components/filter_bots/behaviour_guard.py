"""Put the behaviour rule into shadow when what it would drop is too much to be machines alone."""

from typing import Any, Final

import duckdb

from dawnlist.components.filter_bots.behaviour import BEHAVIOUR_RULE
from dawnlist.settings import BotSettings

BEST_CUSTOMERS: Final = 100
"""The rule goes into shadow when it would drop one of so many users with most purchases."""


def explain_shadow(connection: duckdb.DuckDBPyConnection, settings: BotSettings) -> str | None:
    """Say why the behaviour rule must not drop what it has found, or return None.

    The rule reads `verdicts`, `volumes` and `user_days`. Users whom another rule drops count
    neither as dropped by this rule nor as customers.
    """
    dropped_events, events, dropped_customers = _fetch_counts(connection)
    share = dropped_events / events if events else 0.0
    if share > settings.max_behaviour_share:
        return (
            f"The rule behaviour went into shadow by itself: it would drop {share:.2%} of the "
            f"events, more than bots.max_behaviour_share allows "
            f"({settings.max_behaviour_share:.2%}). Look at its evidence below; if these are "
            "machines, raise the setting."
        )
    if dropped_customers:
        return (
            "The rule behaviour went into shadow by itself: it would drop "
            f"{len(dropped_customers)} of the {BEST_CUSTOMERS} users with most purchases "
            f"(such as {dropped_customers[0]}). Look at its evidence below; list people in "
            "bots.allow and machines in bots.deny."
        )
    return None


def _fetch_counts(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, list[str]]:
    """Return the events that the rule would drop, all events, and the best customers dropped."""
    rows: list[tuple[Any, ...]] = connection.execute(_COUNT_DROPS).fetchall()
    dropped_events, events = rows[0]
    customers = connection.execute(_SELECT_DROPPED_CUSTOMERS).fetchall()
    return dropped_events, events, [user_id for (user_id,) in customers]


_DROPPED_BY = (
    "SELECT user_id FROM verdicts "
    "WHERE user_id IS NOT NULL AND action = 'drop' AND NOT shadow AND rule {operator} "
    f"'{BEHAVIOUR_RULE}'"
)
_CANDIDATES = f"SELECT * FROM volumes WHERE user_id NOT IN ({_DROPPED_BY.format(operator='<>')})"
_IS_MACHINE = f"user_id IN ({_DROPPED_BY.format(operator='=')})"
_COUNT_DROPS = f"""
    SELECT coalesce(sum(events) FILTER ({_IS_MACHINE}), 0)::BIGINT,
        coalesce(sum(events), 0)::BIGINT
    FROM ({_CANDIDATES})
"""
# Of users with equally many purchases all are among the best customers, or none.
_SELECT_DROPPED_CUSTOMERS = f"""
    WITH purchases AS (
        SELECT user_id, sum(purchases) AS purchases FROM user_days
        SEMI JOIN ({_CANDIDATES}) USING (user_id)
        GROUP BY user_id HAVING sum(purchases) > 0),
    ranked AS (SELECT user_id, count(*) OVER (ORDER BY purchases DESC) AS rank FROM purchases)
    SELECT user_id FROM ranked WHERE rank <= {BEST_CUSTOMERS} AND {_IS_MACHINE} ORDER BY user_id
"""
