"""Find what people disliked, in the events that the collector landed.

Of a user and an item the last event that says something counts: a dislike or a mood of negative weight marks
the item; a mood of positive weight, or any event with a weight after it, takes the dislike back.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import duckdb
import pyarrow as pa

from dawnlist.events.event_table import EVENTS_TABLE
from dawnlist.events.event_types import ALIAS_TYPE, MOOD_TYPE
from dawnlist.lake.interactions import filter_time_range
from dawnlist.lake.lake import Lake
from dawnlist.machine.scratch_duckdb import open_scratch_database
from dawnlist.store.recent import DISLIKE_TYPE

DISLIKED_DAYS: Final = 365
"""A dislike is forgotten after so many days."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PAIRS_SCHEMA: Final = pa.schema([("user_id", pa.string()), ("item_id", pa.string())])
# sign is -1 for a dislike and 1 for what takes one back.
SIGNED_QUERY: Final = """
CREATE TEMP TABLE signed AS
WITH aliases AS (
    SELECT anonymous_id, arg_max(user_id, event_time) AS user_id FROM events
    WHERE event_type = $alias GROUP BY anonymous_id
), all_signed AS (
    SELECT coalesce(events.user_id, aliases.user_id) AS user_id, item_id, event_time,
        CASE WHEN list_contains($dislikes, event_type)
                  OR (list_contains($moods, event_type) AND mood_weight < 0) THEN -1
             WHEN list_contains($moods, event_type) AND mood_weight > 0 THEN 1 ELSE 0 END AS sign
    FROM events LEFT JOIN aliases USING (anonymous_id)
    WHERE item_id IS NOT NULL AND NOT is_program
)
SELECT * FROM all_signed WHERE sign <> 0 AND user_id IS NOT NULL
"""
FIRST_DISLIKE_QUERY: Final = "SELECT epoch_us(min(event_time)) FROM signed WHERE sign < 0"
PAIRS_QUERY: Final = """
WITH disliked AS (
    SELECT DISTINCT user_id, item_id FROM signed WHERE sign < 0
), last_words AS (
    SELECT user_id, item_id, event_time, sign FROM signed SEMI JOIN disliked USING (user_id, item_id)
    UNION ALL
    SELECT user_id, item_id, event_time, 1 FROM interactions SEMI JOIN disliked USING (user_id, item_id)
)
SELECT user_id, item_id FROM last_words GROUP BY user_id, item_id
HAVING arg_max(sign, (event_time, -sign)) < 0 ORDER BY user_id, item_id
"""


def find_disliked_pairs(lake: Lake, as_of: datetime, event_names: Mapping[str, str]) -> pa.Table:
    """Find what each user disliked before `as_of`: user_id and item_id of each pair.

    `event_names` is the setting source.events: a shop may have its own name for a dislike. Events
    of programs do not count. Interactions before the first dislike are not read.
    """
    events, interactions = lake.rows(EVENTS_TABLE), lake.rows("interactions")
    if events is None or interactions is None:
        return PAIRS_SCHEMA.empty_table()
    connection = open_scratch_database()
    start = as_of - timedelta(days=DISLIKED_DAYS)
    connection.register("events", filter_time_range(events, start, as_of))
    parameters = {
        "alias": ALIAS_TYPE,
        "dislikes": _list_names(DISLIKE_TYPE, event_names),
        "moods": _list_names(MOOD_TYPE, event_names),
    }
    connection.execute(SIGNED_QUERY, parameters)
    first_dislike = _read_first_dislike(connection)
    if first_dislike is None:
        return PAIRS_SCHEMA.empty_table()
    connection.register("interactions", filter_time_range(interactions, first_dislike, as_of))
    return connection.sql(PAIRS_QUERY).to_arrow_table()


def _read_first_dislike(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """Return the time of the first dislike, UTC; None if there is none."""
    [(microseconds,)] = connection.sql(FIRST_DISLIKE_QUERY).fetchall()
    if microseconds is None:
        return None
    return EPOCH + timedelta(microseconds=microseconds)


def _list_names(event_type: str, event_names: Mapping[str, str]) -> list[str]:
    """List the names that events of a type have in the shop."""
    names = {name for name, meaning in event_names.items() if meaning == event_type}
    if event_type not in event_names:
        names.add(event_type)
    return sorted(names)
