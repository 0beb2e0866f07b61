"""Lists to publish, from as little as a test wants to say."""

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from components.toplists import TopLists
from components.user_items import UserItems


def bare(**fields: Any) -> TopLists:
    """Lists without a model and without histories, unless `fields` say otherwise."""
    users, items = len(fields["user_ids"]), fields["catalogue"].num_rows
    nothing = {
        "vectors": np.zeros((users, 0), np.float32),
        "item_factors": np.zeros((items, 0), np.float32),
        "item_bias": np.zeros(items, np.float32),
        "item_content": np.zeros((items, 0), np.float32),
        "histories": UserItems(csr_matrix((users, items), dtype=np.float32), np.zeros(0, np.float32)),
    }
    return TopLists(**{**nothing, **fields})
