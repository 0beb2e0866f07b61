"""The compiled loops of dawnlist.ranking.coarse."""

from typing import Any, Final, NamedTuple

import numpy as np

from dawnlist.arrays import Int64Array
from dawnlist.machine.numba_jit import KERNEL_OPTIONS, jit
from dawnlist.ranking.entries import (
    LOW_BITS,
    contains_sorted,
    insert_entry,
    pack_entry,
    unpack_score,
)
from dawnlist.ranking.quantisation import ItemArrays, UserArrays, quantise_users

ITEMS_PER_CODE_TILE: Final = 1024
"""Items whose codes stay in a core's cache while all users read them."""
MAX_CANDIDATES: Final = 1024
"""Items that are collected for a user before they are scored exactly."""


class Tile(NamedTuple):
    """Scores of a tile of items for one user: exact ones lie within `margins` of the estimates."""

    estimates: Any
    margins: Any


class Candidates(NamedTuple):
    """The items that may be among the k best of each user."""

    items: Any
    """Shape (users, MAX_CANDIDATES)."""
    reach: Any
    """The highest score that each candidate may have, in the shape of `items`."""
    counts: Any
    """How many candidates each user has."""
    bounds: Any
    """The k highest lower bounds of scores, shape (users, k), in descending order."""
    limits: Any
    """A lower bound of each user's k-th best score. An item must be able to reach it."""


@jit(**KERNEL_OPTIONS)
def rank_users(
    vectors: Any,
    bias: Any,
    codes: Any,
    scale: Any,
    length: Any,
    error: Any,
    user_vectors: Any,
    start: Any,
    hidden: Any,
    allowed: Any,
    mask_rows: Any,
    best: Any,
    scores: Any,
) -> None:
    """Rank all items for each user, see QuantisedIndex.best.

    `best` contains the lowest possible entries before the call, and item indices after it. The
    arrays of the index are separate arguments, because numba takes a named tuple from Python
    slowly."""
    items = ItemArrays(vectors, bias, codes, scale, length, error)
    users = quantise_users(user_vectors)
    candidates = _create_candidates(len(user_vectors), best.shape[1])
    estimates = np.empty(ITEMS_PER_CODE_TILE, np.float32)
    margins = np.empty(ITEMS_PER_CODE_TILE, np.float32)
    tile = Tile(estimates, margins)
    for first in range(0, len(vectors), ITEMS_PER_CODE_TILE):
        last = min(first + ITEMS_PER_CODE_TILE, len(vectors))
        for user in range(len(user_vectors)):
            hidden_items = hidden[start[user] : start[user + 1]]
            _estimate_scores(items, users, user, first, last, tile)
            _collect_candidates(
                items,
                users,
                user,
                first,
                last,
                tile,
                hidden_items,
                allowed,
                mask_rows[user],
                candidates,
                best,
            )
    for user in range(len(user_vectors)):
        _score_candidates(items, users, user, candidates, candidates.limits[user], best)
        _unpack_list(user, best, scores)


@jit(**KERNEL_OPTIONS)
def rank_rows(
    vectors: Any, bias: Any, vector: Any, rows: Any, hidden: Any, best: Any, scores: Any
) -> None:
    """Rank the given items for one user, see QuantisedIndex.best_of_rows.

    `best`, shape (1, k), contains the lowest possible entries before the call.
    """
    lowest = best.shape[1] - 1
    for row in rows:
        if contains_sorted(hidden, row):
            continue
        score = _score_item(vectors, bias, vector, row)
        if score > -np.inf:
            entry = pack_entry(score, row)
            if entry > best[0, lowest]:
                insert_entry(best, 0, entry)
    _unpack_list(0, best, scores)


@jit(inline="always", **KERNEL_OPTIONS)
def _score_item(vectors: Any, bias: Any, vector: Any, item: int) -> np.float32:
    """Compute the exact score of an item."""
    total = 0.0
    for t in range(len(vector)):
        total += np.float64(vector[t]) * np.float64(vectors[item, t])
    return np.float32(total + bias[item])


@jit(**KERNEL_OPTIONS)
def _create_candidates(users: int, k: int) -> Candidates:
    lowest = np.float32(-np.inf)
    return Candidates(
        np.empty((users, MAX_CANDIDATES), np.int32),
        np.empty((users, MAX_CANDIDATES), np.float32),
        np.zeros(users, np.int64),
        np.full((users, k), lowest),
        np.full(users, lowest),
    )


@jit(inline="always", **KERNEL_OPTIONS)
def _estimate_scores(
    items: ItemArrays, users: UserArrays, user: int, first: int, last: int, tile: Tile
) -> None:
    """Estimate the scores of the items [first, last), and bound the error of each estimate."""
    _multiply_codes(items.codes, users.codes[user], first, last, tile.estimates)
    scale = users.scale[user]
    length = users.length[user]
    error = users.error[user]
    for item in range(first, last):
        at = item - first
        estimate = tile.estimates[at] * (scale * items.scale[item]) + items.bias[item]
        tile.estimates[at] = estimate
        tile.margins[at] = length * items.error[item] + error * items.length[item]


@jit(**KERNEL_OPTIONS)
def _multiply_codes(codes: Any, user_codes: Any, first: int, last: int, products: Any) -> None:
    """Compute the integer dot products of a user and the items [first, last)."""
    for item in range(first, last):
        total = np.int32(0)
        for t in range(codes.shape[1]):
            total = np.int32(total + np.int32(user_codes[t]) * np.int32(codes[item, t]))
        products[item - first] = total


@jit(inline="always", **KERNEL_OPTIONS)
def _collect_candidates(
    items: ItemArrays,
    users: UserArrays,
    user: int,
    first: int,
    last: int,
    tile: Tile,
    hidden_items: Any,
    allowed: Any,
    mask_row: int,
    candidates: Candidates,
    best: Int64Array,
) -> None:
    """Collect the items [first, last) whose scores may reach the user's limit, and raise the limit.

    The limit is the k-th highest lower bound so far, or the k-th best exact score where candidates
    have been scored because there was no more room for them.
    """
    limit = candidates.limits[user]
    lowest = best.shape[1] - 1
    for item in range(first, last):
        estimate = tile.estimates[item - first]
        margin = tile.margins[item - first]
        if estimate + margin >= limit and (mask_row < 0 or allowed[mask_row, item]):
            if contains_sorted(hidden_items, item):
                continue
            if estimate - margin > candidates.bounds[user, lowest]:
                _insert_bound(candidates.bounds[user], estimate - margin)
                limit = max(limit, candidates.bounds[user, lowest])
            if candidates.counts[user] == MAX_CANDIDATES:
                limit = max(limit, _score_candidates(items, users, user, candidates, limit, best))
                candidates.counts[user] = 0
            at = candidates.counts[user]
            candidates.items[user, at] = item
            candidates.reach[user, at] = estimate + margin
            candidates.counts[user] = at + 1
    candidates.limits[user] = limit


@jit(**KERNEL_OPTIONS)
def _insert_bound(bounds: Any, bound: np.float32) -> None:
    """Insert a bound into an array in descending order. The last value is lost."""
    rank = len(bounds) - 1
    while rank > 0 and bounds[rank - 1] < bound:
        bounds[rank] = bounds[rank - 1]
        rank -= 1
    bounds[rank] = bound


@jit(**KERNEL_OPTIONS)
def _score_candidates(
    items: ItemArrays,
    users: UserArrays,
    user: int,
    candidates: Candidates,
    limit: np.float32,
    best: Int64Array,
) -> np.float32:
    """Score the candidates that may reach the limit, and keep the k best; return the k-th score."""
    vector = users.vectors[user]
    lowest = best.shape[1] - 1
    for at in range(candidates.counts[user]):
        if candidates.reach[user, at] >= limit:
            item = candidates.items[user, at]
            score = _score_item(items.vectors, items.bias, vector, item)
            if score > -np.inf:
                entry = pack_entry(score, item)
                if entry > best[user, lowest]:
                    insert_entry(best, user, entry)
    return unpack_score(best[user, lowest])


@jit(**KERNEL_OPTIONS)
def _unpack_list(user: int, best: Int64Array, scores: Any) -> None:
    """Replace a user's entries by item indices, and write the scores."""
    for rank in range(best.shape[1]):
        entry = best[user, rank]
        score = unpack_score(entry)
        if score > -np.inf:
            best[user, rank] = ~entry & LOW_BITS
            scores[user, rank] = score
        else:
            best[user, rank] = -1
            scores[user, rank] = np.float32(0)
