"""Find what people disliked, in the events that the collector landed.

Of a user and an item the last event that says something counts: a dislike or a mood of negative weight hides
the item; a mood of positive weight, or any event with a weight after it, takes the dislike back.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Float32Array
from dawnlist.events.event_table import EVENTS_TABLE
from dawnlist.events.event_types import ALIAS_TYPE, MOOD_TYPE
from dawnlist.lake.lake import Lake
from dawnlist.machine.scratch_duckdb import open_scratch_database
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import DISLIKED_WEIGHT, UserItems
from dawnlist.store.recent import DISLIKE_TYPE

DISLIKED_DAYS: Final = 365
"""A dislike is forgotten after so many days."""
PAIRS_QUERY: Final = """
WITH aliases AS (
    SELECT anonymous_id, arg_max(user_id, event_time) AS user_id FROM events
    WHERE event_type = $alias AND event_time < $end GROUP BY anonymous_id
), signed AS (
    SELECT coalesce(events.user_id, aliases.user_id) AS user_id, item_id, event_time,
        CASE WHEN list_contains($dislikes, event_type)
                  OR (list_contains($moods, event_type) AND mood_weight < 0) THEN -1
             WHEN list_contains($moods, event_type) AND mood_weight > 0 THEN 1 ELSE 0 END AS sign
    FROM events LEFT JOIN aliases USING (anonymous_id)
    WHERE item_id IS NOT NULL AND NOT is_program AND event_time >= $start AND event_time < $end
), disliked AS (
    SELECT DISTINCT user_id, item_id FROM signed WHERE sign < 0 AND user_id IS NOT NULL
), all_signed AS (
    SELECT user_id, item_id, event_time, sign FROM signed SEMI JOIN disliked USING (user_id, item_id) WHERE sign <> 0
    UNION ALL
    SELECT user_id, item_id, event_time, 1 FROM interactions SEMI JOIN disliked USING (user_id, item_id)
    WHERE event_time < $end
)
SELECT user_id, item_id FROM all_signed GROUP BY user_id, item_id
HAVING arg_max(sign, (event_time, -sign)) < 0 ORDER BY user_id, item_id
"""


def find_disliked_items(
    lake: Lake, splits: Splits, as_of: datetime, event_names: Mapping[str, str]
) -> csr_matrix:
    """Find what each user of the splits disliked before `as_of`, shape (users, items), of booleans.

    `event_names` is the setting source.events: a shop may have its own name for a dislike. Events
    of programs do not count.
    """
    events, interactions = lake.rows(EVENTS_TABLE), lake.rows("interactions")
    if events is None or interactions is None:
        return csr_matrix(splits.shape, dtype=bool)
    connection = open_scratch_database()
    connection.register("events", events)
    connection.register("interactions", interactions)
    parameters = {
        "alias": ALIAS_TYPE,
        "dislikes": _list_names(DISLIKE_TYPE, event_names),
        "moods": _list_names(MOOD_TYPE, event_names),
        "start": as_of - timedelta(days=DISLIKED_DAYS),
        "end": as_of,
    }
    pairs = connection.sql(PAIRS_QUERY, params=parameters).to_arrow_table()
    users = splits.user_ids.indices(pairs["user_id"])
    items = splits.item_ids.indices(pairs["item_id"])
    is_known = (users >= 0) & (items >= 0)
    marks = np.ones(int(is_known.sum()), dtype=bool)
    return csr_matrix((marks, (users[is_known], items[is_known])), shape=splits.shape)


def _list_names(event_type: str, event_names: Mapping[str, str]) -> list[str]:
    """List the names that events of a type have in the shop."""
    names = {name for name, meaning in event_names.items() if meaning == event_type}
    if event_type not in event_names:
        names.add(event_type)
    return sorted(names)


def mark_disliked_pairs(history: UserItems, disliked: csr_matrix) -> UserItems:
    """Give disliked items the weight -1 in the histories, also those that the user has not met.

    Lists that are ranked with such a history leave them out. The store keeps them without weight
    and age, and the predictor hides them on every rung.
    """
    if not disliked.nnz:
        return history
    ages = csr_matrix(
        (history.age, history.weight.indices, history.weight.indptr), history.weight.shape
    )
    marks = csr_matrix(disliked, dtype=np.float32)
    # 2 marks a disliked pair; with an entry for each pair, no entry of 0 is lost.
    present = csr_matrix(
        (np.ones(history.weight.nnz, np.float32), history.weight.indices, history.weight.indptr),
        history.weight.shape,
    )
    union = (present + 2 * marks).tocsr()
    union.sort_indices()
    is_disliked: BoolArray = union.data >= 2
    weights, ages_of_pairs = _align(history.weight, union), _align(ages, union)
    weights[is_disliked] = DISLIKED_WEIGHT
    matrix = csr_matrix((weights, union.indices, union.indptr), shape=union.shape)
    return UserItems(matrix, ages_of_pairs)


def _align(matrix: csr_matrix, pattern: csr_matrix) -> Float32Array:
    """Return the values of a matrix at the entries of a larger pattern, 0 where it has none."""
    width = pattern.shape[1]
    rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    pattern_keys = rows * width + pattern.indices
    own_rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    positions = np.searchsorted(pattern_keys, own_rows * width + matrix.indices)
    values = np.zeros(pattern.nnz, dtype=np.float32)
    values[positions] = matrix.data
    return values
