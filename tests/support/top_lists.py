"""Lists to publish, from as little as a test wants to say."""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.model.user_items import UserItems
from dawnlist.store.toplists import TopLists


def bare(**fields: Any) -> TopLists:
    """Lists without a model and without histories, unless `fields` say otherwise."""
    users, items = len(fields["user_ids"]), fields["catalogue"].num_rows
    nothing = {
        "vectors": np.zeros((users, 0), np.float32),
        "item_factors": np.zeros((items, 0), np.float32),
        "item_bias": np.zeros(items, np.float32),
        "item_content": np.zeros((items, 0), np.float32),
        "histories": UserItems(
            csr_matrix((users, items), dtype=np.float32), np.zeros(0, np.float32)
        ),
    }
    return TopLists(**{**nothing, **fields})


def of_many(lists: TopLists, users: int, **changes: Any) -> TopLists:
    """Lists of so many users, u0 and on, each like the first one's; they have met nothing."""
    nothing = csr_matrix((users, lists.catalogue.num_rows), dtype=np.float32)
    fields = {
        "user_ids": np.array([f"u{i}" for i in range(users)], dtype=object),
        "item_index": np.repeat(lists.item_index[:1], users, axis=0),
        "score": np.repeat(lists.score[:1], users, axis=0),
        "lengths": np.repeat(lists.lengths[:1], users),
        "vectors": np.repeat(lists.vectors[:1], users, axis=0),
        "histories": UserItems(nothing, np.zeros(0, np.float32)),
    }
    return replace(lists, **{**fields, **changes})
