"""The k items of the highest inner product for each of many users: exact, in blocks, on CPU or GPU.

On the CPU the scores of a block of users and a tile of items are one matrix product small enough to stay in a core's
own cache, where a compiled scan keeps each user's k best; the whole (users, items) matrix never exists. Equal scores
stand in the order of the items. A tile's sums don't depend on how many threads there are, but another BLAS, or the GPU,
may round otherwise and so order near-equal scores otherwise.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from components.compiled import jit

Factors = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Ranked = tuple[Indices, Factors]

USERS: Final = 256
ITEMS: Final = 1024
"""A block of users and a tile of items: 1 MB of scores, which leaves room for the vectors in an L2 cache of 2 MB."""
CHUNK: Final = 64
"""Scores that are compared at once with a user's k-th best."""
GPU_SCORES: Final = 1 << 28
"""Scores that a GPU holds at once, 1 GB."""


def top_k(
    users: Factors,
    items: Factors,
    k: int,
    seen: csr_matrix,
    allowed: npt.NDArray[np.bool_] | None = None,
    device: str = "cpu",
) -> Ranked:
    """Item indices, shape (users, k), best first, and their scores; -1 and 0 where fewer than k are left.

    `users`: (users, factors), `items`: (items, factors), `seen`: (users, items), a stored entry is left out of that
    user's list. `allowed`: mask over the items, True for those that may be listed. A score that is no number is never
    listed. `device` is "cpu" or "gpu"; a GPU that is missing is a RuntimeError.
    """
    if device not in ("cpu", "gpu"):
        raise ValueError(f"device {device!r} is unknown: give cpu or gpu")
    columns = np.arange(len(items)) if allowed is None else np.flatnonzero(allowed)
    if len(columns) < len(items):
        items, seen = items[columns], _narrowed(seen, columns)
    width = min(k, len(columns))
    found, scores = np.full((len(users), k), -1, dtype=np.int64), np.zeros((len(users), k), dtype=np.float32)
    if width and len(users):
        ranked = _on_gpu(users, items, width, seen) if device == "gpu" else _on_cpu(users, items, width, seen)
        shown = ranked[1] > -np.inf
        found[:, :width] = np.where(shown, columns[ranked[0]], -1)
        scores[:, :width] = np.where(shown, ranked[1], 0)
    return found, scores


def _narrowed(seen: csr_matrix, columns: Indices) -> csr_matrix:
    """The same over some of the columns, in ascending order; scipy's own selection sorts anew."""
    place = np.full(seen.shape[1], -1, dtype=np.int32)
    place[columns] = np.arange(len(columns), dtype=np.int32)
    kept = place[seen.indices] >= 0
    indptr = np.concatenate([[0], kept.cumsum()])[seen.indptr]
    indices = place[seen.indices][kept]
    return csr_matrix((np.ones(len(indices), dtype=np.int8), indices, indptr), shape=(seen.shape[0], len(columns)))


def _on_cpu(users: Factors, items: Factors, k: int, seen: csr_matrix) -> Ranked:
    users, items = (np.ascontiguousarray(factors, dtype=np.float32) for factors in (users, items))
    best = np.zeros((len(users), k), dtype=np.int64), np.full((len(users), k), -np.inf, dtype=np.float32)
    seen = seen if seen.has_sorted_indices else seen.sorted_indices()

    def rank(start: int) -> None:
        block = slice(start, start + USERS)
        asked = users[block]
        ends = seen.indptr[start : start + len(asked) + 1].astype(np.int64)
        cursors = ends[:-1].copy()
        room = np.empty((len(asked), ITEMS), dtype=np.float32)
        for first in range(0, len(items), ITEMS):
            tile = items[first : first + ITEMS]
            scores = np.matmul(asked, tile.T, out=room[:, : len(tile)])
            _hide(scores, first, seen.indices, cursors, ends[1:])
            _keep_best(scores, first, best[0][block], best[1][block])

    threads = len(os.sched_getaffinity(0))
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(rank, range(0, len(users), USERS)))
    return best


@jit()
def _hide(scores: Factors, first: int, seen: npt.NDArray[np.int32], cursors: Indices, ends: Indices) -> None:
    """Set a tile's seen scores to -inf; each user's cursor goes on to what is seen behind the tile."""
    width = scores.shape[1]
    for row in range(scores.shape[0]):
        while cursors[row] < ends[row] and seen[cursors[row]] < first + width:
            scores[row, seen[cursors[row]] - first] = -np.inf
            cursors[row] += 1


@jit()
def _keep_best(scores: Factors, first: int, items: Indices, best: Factors) -> None:
    """Put what is above a user's k-th best in its place; `items` and `best` are sorted and stay so."""
    last = best.shape[1] - 1
    for row in range(scores.shape[0]):
        for start in range(0, scores.shape[1], CHUNK):
            chunk = scores[row, start : start + CHUNK]
            if not _any_above(chunk, best[row, last]):
                continue
            for place in range(len(chunk)):
                score = chunk[place]
                if score > best[row, last]:
                    rank = last
                    while rank > 0 and best[row, rank - 1] < score:
                        best[row, rank], items[row, rank] = best[row, rank - 1], items[row, rank - 1]
                        rank -= 1
                    best[row, rank], items[row, rank] = score, first + start + place


@jit()
def _any_above(chunk: Factors, limit: float) -> bool:
    found = False
    for place in range(np.uint64(len(chunk))):  # unsigned, and without a way out: else it is not vectorised
        found |= chunk[place] > limit
    return found


def _on_gpu(users: Factors, items: Factors, k: int, seen: csr_matrix) -> Ranked:
    from components.gpu import cupy

    return by_chunks(cupy(), users, items, k, seen)


def by_chunks(xp: Any, users: Factors, items: Factors, k: int, seen: csr_matrix) -> Ranked:
    """The same in whole-array operations of `xp`, CuPy or NumPy; k at most the number of items.

    The k best lie in the k chunks of the highest maxima, so only those are sorted: if an item's chunk is none of them,
    k maxima come before it. Of chunks and items with equal scores the earlier come first, so this holds for them too.
    """
    chunk = max(1, round((len(items) / k) ** 0.5))  # as many chunks as scores in k of them
    chunks = -(-len(items) // chunk)
    factors = xp.asarray(items, dtype=xp.float32).T
    found = []
    step = max(1, GPU_SCORES // (chunks * chunk))
    for start in range(0, len(users), step):
        block = slice(start, start + step)
        scores = xp.full((len(users[block]), chunks * chunk), -xp.inf, dtype=xp.float32)
        scores[:, : len(items)] = xp.asarray(users[block], dtype=xp.float32) @ factors
        hidden = seen[block]
        rows = np.repeat(np.arange(hidden.shape[0]), np.diff(hidden.indptr))
        scores[xp.asarray(rows), xp.asarray(hidden.indices)] = -xp.inf
        scores[xp.isnan(scores)] = -xp.inf
        found.append(_best_of(xp, scores.reshape(-1, chunks, chunk), k))
    return np.concatenate([items for items, _ in found]), np.concatenate([scores for _, scores in found])


def _best_of(xp: Any, scores: Any, k: int) -> Ranked:
    """The k best of (users, chunks, chunk) scores, on the host."""
    users, chunks, chunk = scores.shape
    row = xp.arange(users)[:, None]
    leading = xp.argsort(-scores.max(axis=2), axis=1, kind="stable")[:, : min(k, chunks)]
    leading = xp.sort(leading, axis=1)
    candidates = (leading[:, :, None] * chunk + xp.arange(chunk)).reshape(users, -1)
    among = scores[row, leading].reshape(users, -1)
    order = xp.argsort(-among, axis=1, kind="stable")[:, :k]
    ranked = candidates[row, order], among[row, order]
    return ranked if xp is np else (xp.asnumpy(ranked[0]), xp.asnumpy(ranked[1]))
