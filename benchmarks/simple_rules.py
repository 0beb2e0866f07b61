"""The rules that a shop could write in ten lines, which the pipeline's lists have to beat.

A rule takes the rows before a moment and some users, and returns a list of items for each user. Lists may hold
items that the user has met. Rules about a user's own items, and neighbours, are filled up with what was popular
in the last 7 days; a user without rows gets that list whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags

from dawnlist.arrays import Float64Array, Int64Array

K = 20
BLOCK_USERS = 512
"""Users whose scores of all items are held at once."""
ITEM_NEIGHBOURS = 100
TIFU_NEIGHBOURS = 300
TIFU_BASKET_DECAY = 0.9
TIFU_GROUP_DECAY = 0.7
TIFU_GROUP_BASKETS = 7
TIFU_OWN_SHARE = 0.7
"""The parameters of TIFU-KNN are those published for the data set Ta-Feng (Hu et al., SIGIR 2020)."""


@dataclass(frozen=True)
class PastRows:
    """The rows before a moment, as aligned arrays."""

    user: Int64Array
    """The users' indices."""
    item: Int64Array
    """The items' indices."""
    age: Float64Array
    """Days from the row to the moment, 0 or more."""
    basket: Int64Array
    """The number of the day. What a user met on one day is one basket."""
    shape: tuple[int, int]
    """Users and items in all, also those without a row."""

    def build_matrix(self, values: Float64Array) -> csr_matrix:
        """Sum values, one of each row, by user and item; shape (users, items)."""
        matrix = csr_matrix((values, (self.user, self.item)), shape=self.shape)
        matrix.sort_indices()
        return matrix

    def build_met(self) -> csr_matrix:
        """Mark what each user has met with 1, shape (users, items)."""
        met = self.build_matrix(np.ones(len(self.user)))
        met.data[:] = 1
        return met

    def compute_last_ages(self) -> csr_matrix:
        """Compute the age of each user's newest row of an item, plus 1 so that none is 0."""
        oldest_first = np.argsort(-self.age, kind="stable")
        keys = self.user[oldest_first] * self.shape[1] + self.item[oldest_first]
        unique, from_end = np.unique(keys[::-1], return_index=True)
        ages = self.age[oldest_first][::-1][from_end] + 1
        rows, columns = np.divmod(unique, self.shape[1])
        return csr_matrix((ages, (rows, columns)), shape=self.shape)


Rule = Callable[[PastRows, Int64Array], Int64Array]
"""Returns the lists of the given users, shape (users, K), best first; -1 beyond the end of a list."""


def count_users(past: PastRows, days: float) -> Float64Array:
    """Count the users who met each item in the last so many days, shape (items,)."""
    ages = past.compute_last_ages()
    recent = ages.indices[ages.data - 1 < days]
    return np.asarray(np.bincount(recent, minlength=past.shape[1]), np.float64)


def sum_decayed_users(past: PastRows, half_life: float) -> Float64Array:
    """Count users, each with a weight that halves every so many days, shape (items,)."""
    ages = past.compute_last_ages()
    weights = 0.5 ** ((ages.data - 1) / half_life)
    return np.asarray(np.bincount(ages.indices, weights=weights, minlength=past.shape[1]))


def rank_popular(popularity: Float64Array, users: Int64Array) -> Int64Array:
    """Give every user the same list."""
    return np.tile(select_top(popularity[None, :]), (len(users), 1))


def rank_popular_new(past: PastRows, popularity: Float64Array, users: Int64Array) -> Int64Array:
    """Give every user the most popular items that the user has not met."""
    met = past.build_met()
    parts = []
    for begin in range(0, len(users), BLOCK_USERS):
        block = met[users[begin : begin + BLOCK_USERS]].toarray()
        parts.append(select_top(popularity * (1 - block)))
    return np.concatenate(parts)


def rank_scores(past: PastRows, scores: csr_matrix) -> Int64Array:
    """Rank items with a positive score, then fill the lists up with popular items.

    Args:
        scores: Shape (listed users, items).
    """
    best = keep_largest(scores, K)
    rows = np.repeat(np.arange(best.shape[0]), np.diff(best.indptr))
    listed = np.full((best.shape[0], K), -1, np.int64)
    listed[rows, np.arange(len(rows)) - best.indptr[rows]] = best.indices
    # Of the first 2 K popular items, at most K are in the list already.
    fill = select_top(count_users(past, 7)[None, :], 2 * K)
    is_new = (fill[:, :, None] != listed[:, None, :]).all(axis=2)
    candidates = np.concatenate([listed, np.where(is_new, fill, -1)], axis=1)
    blanks_last = np.argsort(candidates < 0, axis=1, kind="stable")[:, :K]
    return np.take_along_axis(candidates, blanks_last, axis=1)


def select_top(scores: Float64Array, count: int = K) -> Int64Array:
    """Select the items with the highest positive scores; -1 where there are too few.

    Args:
        scores: Shape (users, items). Of equal scores, the item with the lower index comes first.
    """
    place = max(0, scores.shape[1] - count)
    lowest = np.partition(scores, place, axis=1)[:, place]
    # Equal scores may make more than `count` candidates.
    rows, items = np.nonzero((scores >= lowest[:, None]) & (scores > 0))
    order = np.lexsort((items, -scores[rows, items], rows))
    rows, items = rows[order], items[order]
    ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
    top = np.full((len(scores), count), -1, np.int64)
    listed = ranks < count
    top[rows[listed], ranks[listed]] = items[listed]
    return top


def rank_own_by_recency(past: PastRows, users: Int64Array) -> Int64Array:
    """List the user's own items, the last met first."""
    ages = past.compute_last_ages()
    ages.data = 1 / ages.data
    return rank_scores(past, ages[users])


def rank_own_by_frequency(past: PastRows, users: Int64Array) -> Int64Array:
    """List the user's own items, most often met first; the last met decides between equal ones."""
    counts = past.build_matrix(np.ones(len(past.user)))
    ages = past.compute_last_ages()
    ages.data = 1e-3 / ages.data
    return rank_scores(past, (counts + ages)[users])


def rank_by_item_neighbours(past: PastRows, users: Int64Array) -> Int64Array:
    """List what is similar to the user's items, by the cosine of who met both (Sarwar, 2001)."""
    met = past.build_met()
    users_of_item = np.asarray(met.sum(axis=0)).ravel()
    unit = met @ diags(1 / np.sqrt(np.maximum(users_of_item, 1)))
    similar = (unit.T @ unit).tocsr()
    similar.setdiag(0)
    return rank_scores(past, met[users] @ keep_largest(similar, ITEM_NEIGHBOURS))


def keep_largest(matrix: csr_matrix, count: int) -> csr_matrix:
    """Keep the largest positive values of each row, which then holds them in falling order."""
    matrix.sort_indices()
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((-matrix.data, rows))
    rank = np.arange(len(rows)) - matrix.indptr[rows]
    kept = order[(rank < count) & (matrix.data[order] > 0)]
    kept_counts = np.bincount(rows[kept], minlength=matrix.shape[0])
    indptr = np.concatenate([[0], np.cumsum(kept_counts)])
    return csr_matrix((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def rank_by_user_neighbours(past: PastRows, users: Int64Array) -> Int64Array:
    """List items by TIFU-KNN: the user's decayed frequencies, and those of the nearest users.

    Hu et al., "Modeling Personalized Item Frequency Information for Next-basket Recommendation",
    SIGIR 2020.
    """
    vectors = build_tifu_vectors(past)
    active = np.flatnonzero(np.diff(vectors.indptr))
    others = vectors[active]
    norms = np.asarray(others.multiply(others).sum(axis=1)).ravel()
    has_rows = np.isin(users, active)
    known = np.flatnonzero(has_rows)
    lists = rank_popular(count_users(past, 7), users)
    for begin in range(0, len(known), BLOCK_USERS):
        asked = users[known[begin : begin + BLOCK_USERS]]
        # The user's own norm is the same for all others, so it does not change their order.
        distance = norms - 2 * (vectors[asked] @ others.T).toarray()
        distance[np.arange(len(asked)), np.searchsorted(active, asked)] = np.inf
        nearest = min(TIFU_NEIGHBOURS, len(active) - 1)
        mean = average_nearest(distance, others, nearest)
        scores = TIFU_OWN_SHARE * vectors[asked] + (1 - TIFU_OWN_SHARE) * mean
        lists[known[begin : begin + BLOCK_USERS]] = rank_scores(past, scores)
    return lists


def average_nearest(distance: Float64Array, vectors: csr_matrix, nearest: int) -> csr_matrix:
    """Average the vectors of the nearest users.

    Args:
        distance: Shape (asked users, other users).
        vectors: Shape (other users, items).
    """
    if nearest < 1:
        return csr_matrix((len(distance), vectors.shape[1]))
    chosen = np.argpartition(distance, nearest - 1, axis=1)[:, :nearest]
    asked = np.repeat(np.arange(len(distance)), nearest)
    weights = np.full(chosen.size, 1 / nearest)
    shape = (len(distance), vectors.shape[0])
    return csr_matrix((weights, (asked, chosen.ravel())), shape=shape) @ vectors


def build_tifu_vectors(past: PastRows) -> csr_matrix:
    """Build each user's vector of decayed frequencies, shape (users, items).

    A basket counts by TIFU_BASKET_DECAY for each newer one in its group of 7, and by
    TIFU_GROUP_DECAY for each newer group. A group's vector is a mean over its baskets, and the
    user's a mean over the groups.
    """
    rows = np.unique(np.column_stack([past.user, past.basket, past.item]), axis=0)
    user, basket, item = rows.T
    starts_basket = np.ones(len(rows), bool)
    starts_basket[1:] = (np.diff(user) != 0) | (np.diff(basket) != 0)
    number = np.cumsum(starts_basket)
    last = np.zeros(past.shape[0], np.int64)
    np.maximum.at(last, user, number)
    baskets = np.bincount(user[starts_basket], minlength=past.shape[0])
    newer = last[user] - number
    group, position = np.divmod(newer, TIFU_GROUP_BASKETS)
    groups = -(-baskets[user] // TIFU_GROUP_BASKETS)
    in_group = np.minimum(TIFU_GROUP_BASKETS, baskets[user] - group * TIFU_GROUP_BASKETS)
    weights = TIFU_BASKET_DECAY**position / in_group * TIFU_GROUP_DECAY**group / groups
    return csr_matrix((weights, (user, item)), shape=past.shape)


SIMPLE_RULES: dict[str, Rule] = {
    "popularity, a day": lambda past, users: rank_popular(count_users(past, 1), users),
    "popularity, 7 days": lambda past, users: rank_popular(count_users(past, 7), users),
    "popularity, all days": lambda past, users: rank_popular(count_users(past, np.inf), users),
    "popularity, half-life of a day": lambda past, users: rank_popular(
        sum_decayed_users(past, 1), users
    ),
    "the same, items not met": lambda past, users: rank_popular_new(
        past, sum_decayed_users(past, 1), users
    ),
    "own items by recency": rank_own_by_recency,
    "own items by frequency": rank_own_by_frequency,
    "TIFU-KNN": rank_by_user_neighbours,
    "item-kNN": rank_by_item_neighbours,
}
"""The rules by the names that the tables show."""
