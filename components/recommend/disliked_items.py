"""Mark what people disliked in their histories, so that no list has it."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Float32Array
from dawnlist.events.disliked_pairs import find_disliked_pairs
from dawnlist.lake.lake import Lake
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import DISLIKED_WEIGHT, UserItems


def find_disliked_items(
    lake: Lake, splits: Splits, as_of: datetime, event_names: Mapping[str, str]
) -> csr_matrix:
    """Find what each user of the splits disliked before `as_of`, shape (users, items), of booleans.

    `event_names` is the setting source.events, see find_disliked_pairs.
    """
    pairs = find_disliked_pairs(lake, as_of, event_names)
    users = splits.user_ids.indices(pairs["user_id"])
    items = splits.item_ids.indices(pairs["item_id"])
    is_known = (users >= 0) & (items >= 0)
    marks = np.ones(int(is_known.sum()), dtype=bool)
    return csr_matrix((marks, (users[is_known], items[is_known])), shape=splits.shape)


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
