"""Find the items whose vectors point in the same direction, by factors or by content."""

from collections import OrderedDict
from typing import Final

import numpy as np

from dawnlist.arrays import BoolArray, Float32Array
from dawnlist.serving.predictor.answers.recommendation import ScoredItems
from dawnlist.serving.predictor.answers.shelves.shelf_question import MAX_SHELF_ITEMS, Similarity

MAX_CACHED_LISTS: Final = 2_000
"""Lists that are kept, the last ones that were asked for: 16 MB at most."""
MIN_LENGTH: Final = 1e-6
"""A shorter vector has no direction."""


class SimilarItems:
    """The similar items of one version. Several threads may ask at once."""

    def __init__(self, vectors: Float32Array, factors: int) -> None:
        """Take the vectors [factors | content] of all items, shape (items, factors + d)."""
        self._parts = {
            Similarity.FACTORS: vectors[:, :factors],
            Similarity.CONTENT: vectors[:, factors:],
        }
        self._lengths: dict[Similarity, Float32Array] = {}
        self._lists: OrderedDict[tuple[int, Similarity], ScoredItems] = OrderedDict()

    def choose_similarity(self, row: int) -> Similarity | None:
        """Return by what an item can be compared: factors if it has any; None if by nothing."""
        for similarity in (Similarity.FACTORS, Similarity.CONTENT):
            if self.has_direction(row, similarity):
                return similarity
        return None

    def has_direction(self, row: int, similarity: Similarity) -> bool:
        """Say whether an item can be compared by this."""
        return bool(np.linalg.norm(self._parts[similarity][row]) > MIN_LENGTH)

    def find_similar(self, row: int, similarity: Similarity, mask: BoolArray | None) -> ScoredItems:
        """Return the most similar items of positive cosine, at most MAX_SHELF_ITEMS of them.

        Args:
            row: The item, which is not in the list.
            similarity: By what items are compared.
            mask: The items that the list may have, shape (items,); None for all.
        """
        if mask is not None:
            return self._rank(row, similarity, mask)
        key = (row, similarity)
        similar = self._lists.get(key)
        if similar is None:
            similar = self._rank(row, similarity, None)
            self._lists[key] = similar
            if len(self._lists) > MAX_CACHED_LISTS:
                self._lists.popitem(last=False)
        return similar

    def _rank(self, row: int, similarity: Similarity, mask: BoolArray | None) -> ScoredItems:
        vectors = self._parts[similarity]
        lengths = self._measure_lengths(similarity)
        cosines = (vectors @ vectors[row]) / (lengths * lengths[row])
        cosines[row] = 0.0
        if mask is not None:
            cosines[~mask] = 0.0
        candidates = np.flatnonzero(cosines > 0.0)
        if len(candidates) > MAX_SHELF_ITEMS:
            largest = np.argpartition(-cosines[candidates], MAX_SHELF_ITEMS - 1)[:MAX_SHELF_ITEMS]
            candidates = candidates[largest]
        # Of equal cosines the smaller row comes first.
        ranked = candidates[np.lexsort((candidates, -cosines[candidates]))]
        return ranked.tolist(), cosines[ranked].tolist()

    def _measure_lengths(self, similarity: Similarity) -> Float32Array:
        """Return the lengths of the vectors; an item without a direction has an infinite one."""
        lengths = self._lengths.get(similarity)
        if lengths is None:
            lengths = np.linalg.norm(self._parts[similarity], axis=1)
            lengths[lengths <= MIN_LENGTH] = np.inf
            self._lengths[similarity] = lengths
        return lengths
