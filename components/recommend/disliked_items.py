"""Find what people disliked, in the events that the collector landed.

Of a user and an item the last event that says something counts: a dislike or a mood of negative weight hides
the item; a mood of positive weight, or any event with a weight after it, takes the dislike back.
"""

from datetime import datetime, timedelta
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Float32Array, Int64Array
from dawnlist.events.event_table import EVENTS_TABLE
from dawnlist.events.event_types import ALIAS_TYPE, MOOD_TYPE
from dawnlist.lake.lake import Lake
from dawnlist.machine.scratch_duckdb import open_scratch_database
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems
from dawnlist.store.recent import DISLIKE_TYPE

DISLIKED_DAYS: Final = 365
"""A dislike is forgotten after so many days."""
PAIRS_QUERY: Final = """
WITH aliases AS (
    SELECT anonymous_id, arg_max(user_id, event_time) AS user_id FROM events
    WHERE event_type = $alias AND event_time < $end GROUP BY anonymous_id
), signed AS (
    SELECT coalesce(events.user_id, aliases.user_id) AS user_id, item_id, event_time,
        CASE WHEN event_type = $dislike OR (event_type = $mood AND mood_weight < 0) THEN -1
             WHEN event_type = $mood AND mood_weight > 0 THEN 1 ELSE 0 END AS sign
    FROM events LEFT JOIN aliases USING (anonymous_id)
    WHERE item_id IS NOT NULL AND event_time >= $start AND event_time < $end
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


def find_disliked_items(lake: Lake, splits: Splits, as_of: datetime) -> csr_matrix:
    """Find what each user of the splits disliked before `as_of`, shape (users, items), of booleans."""
    events, interactions = lake.rows(EVENTS_TABLE), lake.rows("interactions")
    if events is None or interactions is None:
        return csr_matrix(splits.shape, dtype=bool)
    connection = open_scratch_database()
    connection.register("events", events)
    connection.register("interactions", interactions)
    parameters = {
        "alias": ALIAS_TYPE,
        "dislike": DISLIKE_TYPE,
        "mood": MOOD_TYPE,
        "start": as_of - timedelta(days=DISLIKED_DAYS),
        "end": as_of,
    }
    pairs = connection.sql(PAIRS_QUERY, params=parameters).to_arrow_table()
    users = splits.user_ids.indices(pairs["user_id"])
    items = splits.item_ids.indices(pairs["item_id"])
    is_known = (users >= 0) & (items >= 0)
    marks = np.ones(int(is_known.sum()), dtype=bool)
    return csr_matrix((marks, (users[is_known], items[is_known])), shape=splits.shape)


def remove_disliked_items(
    items: Int64Array, scores: Float32Array, disliked: csr_matrix, k: int
) -> tuple[Int64Array, Float32Array]:
    """Remove from each list what its user disliked, and keep the first k.

    Args:
        items: Item indices, best first, -1 beyond the end of a list; shape (users, k or more).
        scores: Their scores.
        disliked: What the users disliked, shape (users, items).
        k: The length of the lists that are returned.
    """
    is_disliked = np.zeros(items.shape, dtype=bool)
    ends = disliked.indptr
    for user in np.flatnonzero(np.diff(ends)):
        is_disliked[user] = np.isin(items[user], disliked.indices[ends[user] : ends[user + 1]])
    rows = np.arange(len(items))[:, None]
    order = np.argsort(is_disliked, axis=1, kind="stable")[:, :k]
    kept_items = np.where(is_disliked[rows, order], -1, items[rows, order])
    kept_scores = np.where(kept_items < 0, np.float32(0), scores[rows, order])
    return kept_items, kept_scores


def mark_disliked_pairs(history: UserItems, disliked: csr_matrix) -> UserItems:
    """Give disliked items the weight -1 in the histories, also those that the user has not met.

    The store keeps such items without weight and age, and the predictor hides them on every rung.
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
    weights[is_disliked] = -1
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
