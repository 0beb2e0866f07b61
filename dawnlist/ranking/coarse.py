"""Rank all items for a few users at once: exact lists at a quarter of the memory traffic.

Ranking for one user reads every item vector once and computes little with it, so the size of the
vectors decides the speed. Vectors are kept twice: as they are, and as 8-bit integers with a scale
for each. A first pass over the integers estimates each score with an error bound (Cauchy and
Schwarz: the length of the rounding error times the user's length). Only items that the bound
allows among the k best, a few dozen, are scored with the exact vectors. For many users at once
dawnlist.ranking.topk multiplies matrices instead.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from dawnlist.arrays import BoolArray, Float32Array, Int8Array, Int32Array, Int64Array, RankedLists
from dawnlist.ranking.coarse_kernels import rank_rows, rank_users
from dawnlist.ranking.entries import pack_entry
from dawnlist.ranking.quantisation import quantise_items

QUANTISED_ROWS: Final = 4096
"""Rows that are quantised by one call."""
NO_MASKS: Final = np.zeros((0, 0), dtype=np.bool_)
"""The masks of a call in which no user has one."""
NOTHING_HIDDEN: Final = np.zeros(2, dtype=np.int64)
"""`start` of a call for one user from whom nothing is hidden."""


@dataclass(frozen=True, eq=False)
class QuantisedIndex:
    """Item vectors and biases, prepared for ranking. Arrays have a row or value for each item."""

    vectors: Float32Array
    """Shape (items, width)."""
    bias: Float32Array
    """Added to the score of each item, shape (items,)."""
    codes: Int8Array
    """Shape (items, width); vectors are approximately codes * scale."""
    scale: Float32Array
    """Shape (items,)."""
    length: Float32Array
    """The lengths of codes * scale."""
    error: Float32Array
    """The lengths of vectors - codes * scale, plus what float32 may round."""

    @classmethod
    def of(cls, vectors: Float32Array, bias: Float32Array) -> "QuantisedIndex":
        """Quantise the vectors.

        Args:
            vectors: Shape (items, width).
            bias: Shape (items,).
        """
        items = len(vectors)
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        codes = np.empty(vectors.shape, dtype=np.int8)
        scale = np.empty(items, dtype=np.float32)
        length = np.empty(items, dtype=np.float32)
        error = np.empty(items, dtype=np.float32)
        for first in range(0, items, QUANTISED_ROWS):
            rows = slice(first, first + QUANTISED_ROWS)
            quantise_items(vectors[rows], codes[rows], scale[rows], length[rows], error[rows])
        bias = np.ascontiguousarray(bias, dtype=np.float32)
        return cls(vectors, bias, codes, scale, length, error)

    def best(
        self,
        users: Float32Array,
        k: int,
        start: Int64Array,
        hidden: Int32Array,
        allowed: BoolArray = NO_MASKS,
        mask_rows: Int64Array | None = None,
    ) -> RankedLists:
        """Find the k best items of each user.

        Args:
            users: User vectors, shape (users, width), float32.
            k: The length of a list.
            start: User u may not get hidden[start[u]:start[u + 1]], shape (users + 1,).
            hidden: Item indices, in ascending order for each user.
            allowed: Masks over the items, shape (masks, items).
            mask_rows: The row of `allowed` that holds for each user, -1 for none.

        Returns:
            Item indices and scores, shape (users, k), best first. Of equal scores the smaller index
            comes first. Beyond the end of a list the index is -1 and the score 0. A score that is
            NaN is never listed.
        """
        if mask_rows is None:
            mask_rows = np.full(len(users), -1, dtype=np.int64)
        items = np.full((len(users), k), pack_entry(np.float32(-np.inf), -1), dtype=np.int64)
        scores = np.zeros((len(users), k), dtype=np.float32)
        if len(users):
            users = np.ascontiguousarray(users, dtype=np.float32)
            rank_users(
                self.vectors,
                self.bias,
                self.codes,
                self.scale,
                self.length,
                self.error,
                users,
                start,
                hidden,
                allowed,
                mask_rows,
                items,
                scores,
            )
        return items, scores

    def best_of_rows(
        self, user: Float32Array, k: int, rows: Int64Array, hidden: Int32Array
    ) -> tuple[Int64Array, Float32Array]:
        """Find the k best of the given items for one user, as `best` does with a mask.

        This is faster where a mask leaves few items: only these are read, and each is scored.

        Args:
            user: The user's vector, shape (width,), float32.
            k: The length of the list.
            rows: Item indices, in ascending order.
            hidden: Item indices that the user may not get, in ascending order.
        """
        items = np.full((1, k), pack_entry(np.float32(-np.inf), -1), dtype=np.int64)
        scores = np.zeros((1, k), dtype=np.float32)
        vector = np.ascontiguousarray(user, dtype=np.float32)
        rank_rows(self.vectors, self.bias, vector, rows, hidden, items, scores)
        return items[0], scores[0]
