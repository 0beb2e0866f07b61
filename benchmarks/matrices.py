"""Matrices of any size for timings: a few popular items, many rare ones, and groups of users with a taste."""

import numpy as np
from scipy.sparse import csr_matrix

GROUPS = 64


def synthetic(users: int, items: int, pairs: int, seed: int = 1) -> csr_matrix:
    """User-item weights of 1, shape (users, items); about `pairs` of them, since what is drawn twice counts once.

    How many items a user meets is heavy-tailed, and so is how often an item is met, as in real shops; half of what a
    user meets is drawn from what is popular in the user's group.
    """
    random = np.random.default_rng(seed)
    activity = random.pareto(1.6, users) + 1
    popularity = (random.pareto(1.2, items) + 1) ** 0.9
    user = random.choice(users, pairs, p=activity / activity.sum()).astype(np.int32)
    item = random.choice(items, pairs, p=popularity / popularity.sum()).astype(np.int32)
    taste = random.random(pairs) < 0.5
    item[taste] = (item[taste] + (user[taste] % GROUPS) * (items // GROUPS)) % items
    key = np.unique(user.astype(np.int64) * items + item)
    return csr_matrix(
        (np.ones(len(key), np.float32), (key // items, key % items)), shape=(users, items)
    )
