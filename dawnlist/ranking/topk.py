"""The k items of the highest inner product for each of many users: exact, in blocks, on CPU or GPU.

On the CPU the scores of a block of users and a tile of items are one matrix product small enough to stay in a core's
own cache, where a compiled scan keeps each user's k best; the whole (users, items) matrix never exists. Items come in
the order of their length: once |user| |item| of the next tile is below a user's k-th best, by Cauchy and Schwarz
nothing more can be found for that user, who leaves the block (Teflioudi et al., "LEMP: Fast Retrieval of Large Entries
in a Matrix Product", SIGMOD 2015). Lists don't hang on the number of threads; another BLAS, or the GPU, may round the
last digit otherwise and so turn around two items whose scores are as good as equal.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Float32Array, Int64Array, RankedLists
from dawnlist.machine import cpu_cores
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
ITEMS_PER_TILE: Final = 512
"""A block of users and a tile of items: 1 MB of scores, which leaves room for the vectors in an L2 cache of 2 MB."""
SCORES_PER_CHUNK: Final = 64
"""Scores that are compared at once with a user's k-th best."""
MIN_ACTIVE_SHARE: Final = 0.9
"""A block is made smaller when less than this share of its users can still find more."""
MAX_GPU_SCORES: Final = 1 << 28
"""Scores that a GPU holds at once, 1 GB."""


def top_k(
    users: Float32Array,
    items: Float32Array,
    k: int,
    seen: csr_matrix,
    allowed: BoolArray | None = None,
    device: str = "cpu",
) -> RankedLists:
    """Item indices, shape (users, k), best first, and their scores; -1 and 0 where fewer than k are left.

    Of equal scores the smaller index comes first. `users`: (users, factors), `items`: (items, factors), `seen`:
    (users, items), a stored entry is left out of that user's list. `allowed`: over the items, True for those that may
    be listed. A score that is no number is never listed. A missing GPU is a RuntimeError.
    """
    if k < 1 or device not in ("cpu", "gpu"):
        raise ValueError(
            f"k is {k} and device {device!r}: give a length of 1 or more, and cpu or gpu"
        )
    if seen.shape != (len(users), len(items)):
        raise ValueError(
            f"seen has the shape {seen.shape}: give a row for each of {len(users)} users, {len(items)} wide"
        )
    allowed = np.ones(len(items), dtype=bool) if allowed is None else allowed
    if device == "gpu":
        from dawnlist.machine.gpu_libraries import import_cupy

        found, scores = rank_by_chunks(import_cupy(), users, items, k, seen, allowed)
    else:
        found, scores = rank_by_tiles(users, items, k, seen, allowed)
    listed = scores > -np.inf
    return np.where(listed, found, -1), np.where(listed, scores, np.float32(0))


def rank_by_tiles(
    users: Float32Array, items: Float32Array, k: int, seen: csr_matrix, allowed: BoolArray
) -> RankedLists:
    """The CPU's way; -inf where fewer than k are left."""
    users, items = (np.ascontiguousarray(factors, dtype=np.float32) for factors in (users, items))
    seen = seen if seen.has_sorted_indices else seen.sorted_indices()
    lengths = _row_norms(items)
    columns = np.argsort(-lengths, kind="stable")
    columns = columns[allowed[columns]]
    items, reach = items[columns], lengths[columns] * (1 + FLOAT32_ROUNDING * items.shape[1])
    limits = np.full(len(users), -np.inf, dtype=np.float32)
    best = np.full((len(users), k), pack_entry(np.float32(-np.inf), -1), dtype=np.int64)

    def rank(start: int) -> None:
        rows = np.arange(start, min(start + USERS_PER_BLOCK, len(users)))
        asked, length = users[rows], _row_norms(users[rows])
        room = np.empty((len(rows), ITEMS_PER_TILE), dtype=np.float32)
        for first in range(0, len(items), ITEMS_PER_TILE):
            done = length * reach[first] < limits[rows]
            if done.sum() > (1 - MIN_ACTIVE_SHARE) * len(rows):
                rows, asked, length = rows[~done], asked[~done], length[~done]
            if not len(rows):
                break
            tile = slice(first, first + ITEMS_PER_TILE)
            scores = np.matmul(asked, items[tile].T, out=room[: len(rows), : len(columns[tile])])
            _keep_best(scores, rows, columns[tile], seen.indices, seen.indptr, best, limits)

    with cpu_cores.open_thread_pool() as pool:
        list(pool.map(rank, range(0, len(users), USERS_PER_BLOCK)))
    return ~best & LOW_BITS, unpack_scores(best)


def _row_norms(factors: Float32Array) -> Float32Array:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", factors, factors)))


@jit()
def _keep_best(
    scores: Float32Array,
    rows: Int64Array,
    columns: Int64Array,
    seen: npt.NDArray[np.int32],
    indptr: npt.NDArray[np.int32],
    best: Int64Array,
    limits: Float32Array,
) -> None:
    """Put what is not below a user's k-th best, the limit, in its place in `best`, which is sorted and stays so.

    `scores` are of the users `rows` and the items `columns`; `seen` and `indptr` are a CSR matrix of all users. `best`
    holds entries.
    """
    last = best.shape[1] - 1
    for place in range(len(rows)):
        row = rows[place]
        limit = limits[row]
        if not _any_reaches(scores[place], limit):
            continue
        met = seen[indptr[row] : indptr[row + 1]]
        for start in range(0, len(columns), SCORES_PER_CHUNK):
            chunk = scores[place, start : start + SCORES_PER_CHUNK]
            if _any_reaches(chunk, limit):
                for offset in range(len(chunk)):
                    if chunk[offset] >= limit:
                        entry = pack_entry(chunk[offset], columns[start + offset])
                        if entry > best[row, last] and not contains_sorted(
                            met, columns[start + offset]
                        ):
                            insert_entry(best, row, entry)
                            limit = unpack_score(best[row, last])
        limits[row] = limit


@jit()
def _any_reaches(scores: Float32Array, limit: float) -> bool:
    found = False
    for place in range(
        np.uint64(len(scores))
    ):  # unsigned, and without a way out: else it is not vectorised
        found |= scores[place] >= limit
    return found


def rank_by_chunks(
    xp: Any, users: Float32Array, items: Float32Array, k: int, seen: csr_matrix, allowed: BoolArray
) -> RankedLists:
    """The GPU's way, in whole-array operations of `xp`, CuPy or NumPy; -inf where fewer than k are left.

    The k best lie in the k chunks of the highest maxima, so only those are sorted: if an item's chunk is none of them,
    k maxima come before it. Of chunks and items with equal scores the earlier come first, so this holds for them too.
    """
    chunk = max(1, round((len(items) / k) ** 0.5))  # as many chunks as scores in k of them
    chunks = max(k, -(-len(items) // chunk))
    factors, hidden = xp.asarray(items, dtype=xp.float32).T, xp.asarray(~allowed)
    best = (
        np.full((len(users), k), -1, dtype=np.int64),
        np.full((len(users), k), -np.inf, dtype=np.float32),
    )
    step = max(1, MAX_GPU_SCORES // (chunks * chunk))
    for start in range(0, len(users), step):
        block = slice(start, start + step)
        scores = xp.full((len(users[block]), chunks * chunk), -xp.inf, dtype=xp.float32)
        shown = scores[:, : len(items)]
        xp.matmul(xp.asarray(users[block], dtype=xp.float32), factors, out=shown)
        met = seen[block]
        rows = np.repeat(np.arange(met.shape[0]), np.diff(met.indptr))
        shown[xp.asarray(rows), xp.asarray(met.indices)] = -xp.inf
        shown[:, hidden] = -xp.inf
        shown[xp.isnan(shown)] = -xp.inf
        best[0][block], best[1][block] = _select_best(xp, scores.reshape(-1, chunks, chunk), k)
    return best


def _select_best(xp: Any, scores: Any, k: int) -> RankedLists:
    """The k best of (users, chunks, chunk) scores, on the host."""
    users, _, chunk = scores.shape
    row = xp.arange(users)[:, None]
    leading = xp.sort(xp.argsort(-scores.max(axis=2), axis=1, kind="stable")[:, :k], axis=1)
    candidates = (leading[:, :, None] * chunk + xp.arange(chunk)).reshape(users, -1)
    among = scores[row, leading].reshape(users, -1)
    order = xp.argsort(-among, axis=1, kind="stable")[:, :k]
    ranked = candidates[row, order], among[row, order]
    return ranked if xp is np else (xp.asnumpy(ranked[0]), xp.asnumpy(ranked[1]))
