"""Find the k items with the highest inner product for many users: exact, in blocks, on CPU or GPU.

On the CPU, the scores of a block of users and a tile of items are one matrix product, small enough
for a core's own cache, and a compiled scan keeps each user's k best. The whole (users, items)
matrix never exists. Items are read in descending order of their lengths. Once |user| |item| of the
next tile is below a user's k-th best score, no later item can be better (Cauchy and Schwarz), and
the user leaves the block (Teflioudi et al., "LEMP: Fast Retrieval of Large Entries in a Matrix
Product", SIGMOD 2015).

Lists do not depend on the number of threads. Another BLAS, or the GPU, may round the last digit
differently, and so swap two items whose scores are almost equal.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Float32Array, Int32Array, Int64Array, RankedLists
from dawnlist.machine import cpu_cores
from dawnlist.machine.gpu_libraries import import_cupy
from dawnlist.machine.numba_jit import jit
from dawnlist.ranking.entries import (
    FLOAT32_ROUNDING,
    LOW_BITS,
    contains_sorted,
    insert_entry,
    pack_entry,
    unpack_score,
    unpack_scores,
)

USERS_PER_BLOCK: Final = 512
"""Users in a block."""
ITEMS_PER_TILE: Final = 512
"""Items in a tile. Its 1 MB of scores leaves room for the vectors in an L2 cache of 2 MB."""
SCORES_PER_CHUNK: Final = 64
"""Scores that are compared at once with a user's k-th best."""
MIN_ACTIVE_SHARE: Final = 0.9
"""A block shrinks when less than this share of its users can still find better items."""
MAX_GPU_SCORES: Final = 1 << 28
"""Scores that a GPU holds at once, which take 1 GB."""


def top_k(
    users: Float32Array,
    items: Float32Array,
    k: int,
    seen: csr_matrix,
    allowed: BoolArray | None = None,
    device: str = "cpu",
) -> RankedLists:
    """Find the k best items of each user.

    Args:
        users: User factors, shape (users, factors).
        items: Item factors, shape (items, factors).
        k: The length of a list.
        seen: Shape (users, items). A stored entry, even a zero, is left out of that user's list.
        allowed: Shape (items,), True for items that may be listed; None allows all.
        device: "cpu" or "gpu".

    Returns:
        Item indices and scores, shape (users, k), best first. Of equal scores the smaller index
        comes first. Beyond the end of a list the index is -1 and the score 0. A score that is NaN
        is never listed.

    Raises:
        RuntimeError: The device is "gpu" and no GPU can be used.
        ValueError: k, the device or the shape of `seen` is wrong.
    """
    if k < 1 or device not in ("cpu", "gpu"):
        raise ValueError(
            f"k is {k} and device {device!r}: give a length of 1 or more, and cpu or gpu"
        )
    if seen.shape != (len(users), len(items)):
        raise ValueError(
            f"seen has the shape {seen.shape}: give a row for each of {len(users)} users, "
            f"{len(items)} wide"
        )
    if allowed is None:
        allowed = np.ones(len(items), dtype=bool)
    if device == "gpu":
        indices, scores = rank_by_chunks(import_cupy(), users, items, k, seen, allowed)
    else:
        indices, scores = rank_by_tiles(users, items, k, seen, allowed)
    is_listed = scores > -np.inf
    return np.where(is_listed, indices, -1), np.where(is_listed, scores, np.float32(0))


@dataclass(frozen=True)
class SortedItems:
    """Items in descending order of their lengths."""

    vectors: Float32Array
    """Shape (items, factors)."""
    indices: Int64Array
    """The original index of each item."""
    lengths: Float32Array
    """The length of each vector, a little higher because a score in float32 may be."""


def rank_by_tiles(
    users: Float32Array, items: Float32Array, k: int, seen: csr_matrix, allowed: BoolArray
) -> RankedLists:
    """Rank on the CPU. Beyond the end of a list the score is -inf."""
    users = np.ascontiguousarray(users, dtype=np.float32)
    sorted_items = _sort_by_length(np.ascontiguousarray(items, dtype=np.float32), allowed)
    if not seen.has_sorted_indices:
        seen = seen.sorted_indices()
    limits = np.full(len(users), -np.inf, dtype=np.float32)
    best = np.full((len(users), k), pack_entry(np.float32(-np.inf), -1), dtype=np.int64)

    def rank_block(start: int) -> None:
        rows = np.arange(start, min(start + USERS_PER_BLOCK, len(users)))
        _rank_rows(rows, users[rows], sorted_items, seen, best, limits)

    with cpu_cores.open_thread_pool() as pool:
        # A list waits for all blocks and raises their errors.
        list(pool.map(rank_block, range(0, len(users), USERS_PER_BLOCK)))
    return ~best & LOW_BITS, unpack_scores(best)


def _sort_by_length(items: Float32Array, allowed: BoolArray) -> SortedItems:
    lengths = _compute_lengths(items)
    indices = np.argsort(-lengths, kind="stable")
    indices = indices[allowed[indices]]
    reach = lengths[indices] * (1 + FLOAT32_ROUNDING * items.shape[1])
    return SortedItems(items[indices], indices, reach)


def _rank_rows(
    rows: Int64Array,
    users: Float32Array,
    items: SortedItems,
    seen: csr_matrix,
    best: Int64Array,
    limits: Float32Array,
) -> None:
    """Rank all items for a block of users: their rows in `best`, and their vectors."""
    lengths = _compute_lengths(users)
    room = np.empty((len(rows), ITEMS_PER_TILE), dtype=np.float32)
    for first in range(0, len(items.vectors), ITEMS_PER_TILE):
        # These users cannot find better items any more.
        is_complete = lengths * items.lengths[first] < limits[rows]
        if is_complete.sum() > (1 - MIN_ACTIVE_SHARE) * len(rows):
            rows = rows[~is_complete]
            users = users[~is_complete]
            lengths = lengths[~is_complete]
        if not len(rows):
            break
        tile = slice(first, first + ITEMS_PER_TILE)
        indices = items.indices[tile]
        scores = room[: len(rows), : len(indices)]
        np.matmul(users, items.vectors[tile].T, out=scores)
        _keep_best(scores, rows, indices, seen.indices, seen.indptr, best, limits)


def _compute_lengths(factors: Float32Array) -> Float32Array:
    """Compute the Euclidean length of each row."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", factors, factors)))


@jit()
def _keep_best(
    scores: Float32Array,
    rows: Int64Array,
    columns: Int64Array,
    seen: Int32Array,
    indptr: Int32Array,
    best: Int64Array,
    limits: Float32Array,
) -> None:
    """Insert the scores of a tile into the sorted lists `best`.

    Args:
        scores: Shape (rows, columns).
        rows: The users that the rows of `scores` belong to.
        columns: The items that the columns of `scores` belong to.
        seen: The indices of the CSR matrix of seen items of all users.
        indptr: The row pointers of that matrix.
        best: The entries of all users, shape (users, k), in descending order.
        limits: The k-th best score of each user.
    """
    lowest = best.shape[1] - 1
    for line in range(len(rows)):
        row = rows[line]
        limit = limits[row]
        if not _any_reaches(scores[line], limit):
            continue
        seen_items = seen[indptr[row] : indptr[row + 1]]
        for start in range(0, len(columns), SCORES_PER_CHUNK):
            chunk = scores[line, start : start + SCORES_PER_CHUNK]
            if not _any_reaches(chunk, limit):
                continue
            for offset in range(len(chunk)):
                if chunk[offset] >= limit:
                    item = columns[start + offset]
                    entry = pack_entry(chunk[offset], item)
                    if entry > best[row, lowest] and not contains_sorted(seen_items, item):
                        insert_entry(best, row, entry)
                        limit = unpack_score(best[row, lowest])
        limits[row] = limit


@jit()
def _any_reaches(scores: Float32Array, limit: float) -> bool:
    """Say whether any score is at least the limit."""
    reaches = False
    # LLVM vectorizes this loop only with an unsigned range and without an early exit.
    for index in range(np.uint64(len(scores))):
        reaches |= scores[index] >= limit
    return reaches


def rank_by_chunks(
    xp: Any, users: Float32Array, items: Float32Array, k: int, seen: csr_matrix, allowed: BoolArray
) -> RankedLists:
    """Rank on the GPU, in whole-array operations of `xp`, which is CuPy or NumPy.

    The k best items lie in the k chunks with the highest maxima, so only these are sorted: if an
    item's chunk is not among them, k maxima come before the item. Of equal scores the earlier chunk
    or item comes first, so this is true for them too. Beyond the end of a list the score is -inf.
    """
    # There are then as many chunks as scores in k of them.
    chunk = max(1, round((len(items) / k) ** 0.5))
    chunks = max(k, -(-len(items) // chunk))
    factors = xp.asarray(items, dtype=xp.float32).T
    is_hidden = xp.asarray(~allowed)
    best_items = np.full((len(users), k), -1, dtype=np.int64)
    best_scores = np.full((len(users), k), -np.inf, dtype=np.float32)
    step = max(1, MAX_GPU_SCORES // (chunks * chunk))
    for start in range(0, len(users), step):
        block = slice(start, start + step)
        padded = xp.full((len(users[block]), chunks * chunk), -xp.inf, dtype=xp.float32)
        scores = padded[:, : len(items)]
        xp.matmul(xp.asarray(users[block], dtype=xp.float32), factors, out=scores)
        _hide_scores(xp, scores, seen[block], is_hidden)
        ranked = _select_best(xp, padded.reshape(-1, chunks, chunk), k)
        best_items[block], best_scores[block] = ranked
    return best_items, best_scores


def _hide_scores(xp: Any, scores: Any, seen: csr_matrix, is_hidden: Any) -> None:
    """Set the scores of seen items, of hidden items, and those that are NaN to -inf."""
    rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
    scores[xp.asarray(rows), xp.asarray(seen.indices)] = -xp.inf
    scores[:, is_hidden] = -xp.inf
    scores[xp.isnan(scores)] = -xp.inf


def _select_best(xp: Any, scores: Any, k: int) -> RankedLists:
    """Select the k best of the scores (users, chunks, chunk), and copy them to main memory."""
    users, _, chunk = scores.shape
    row = xp.arange(users)[:, None]
    best_chunks = xp.argsort(-scores.max(axis=2), axis=1, kind="stable")[:, :k]
    # In ascending order, equal scores stay in the order of their items.
    best_chunks = xp.sort(best_chunks, axis=1)
    candidates = (best_chunks[:, :, None] * chunk + xp.arange(chunk)).reshape(users, -1)
    candidate_scores = scores[row, best_chunks].reshape(users, -1)
    order = xp.argsort(-candidate_scores, axis=1, kind="stable")[:, :k]
    best_items = candidates[row, order]
    best_scores = candidate_scores[row, order]
    if xp is np:
        return best_items, best_scores
    return xp.asnumpy(best_items), xp.asnumpy(best_scores)
