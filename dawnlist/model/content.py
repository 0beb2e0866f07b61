"""Content vectors: an item's own words as TF-IDF, reduced to a few dozen dense numbers.

This is latent semantic analysis (Deerwester et al., "Indexing by Latent Semantic Analysis", JASIS
1990) over the words of title and text and over the genres, where each genre is one token. The mean
of all items is subtracted, so that the cosine of two vectors says how alike the items are for this
shop. See docs/HYBRID.md.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from dawnlist.arrays import Float32Array, Int64Array
from dawnlist.model.ids import IdMap

CONTENT_DIMENSIONS: Final = 64
"""The most numbers in a content vector."""
SVD_SEED: Final = 7
"""The seed of the randomized singular value decomposition."""
MIN_DOCUMENT_FREQUENCY: Final = 2
"""A word must occur in so many items: one that a single item has cannot make two items alike."""
WORD_PATTERN: Final = re.compile(r"\w\w+")
"""Two or more letters, digits or underscores."""
GENRE_PREFIX: Final = "\0"
"""Put before a genre, so that it differs from each word of a title."""


@dataclass(frozen=True)
class ItemFeatures:
    """What the items table says about the items of splits."""

    content: Float32Array
    """Shape (items, d), of unit length or 0; d is 0 when no item has usable words."""
    first_seen: Int64Array
    """Epoch microseconds of the run that first saw each item, 0 without an entry in the table."""
    since: int
    """Epoch microseconds of the first run that read the table. What it saw may be years old."""
    unmet: int
    """How many of the items, the last ones, nobody met in the whole window."""

    @property
    def digest(self) -> str:
        """A fingerprint of all features, 16 hex digits."""
        digest = hashlib.sha256(f"{self.since} {self.unmet}".encode())
        for array in (self.content, self.first_seen):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]


def build_content_vectors(
    items: pa.Table, ids: IdMap, dimensions: int = CONTENT_DIMENSIONS
) -> Float32Array:
    """Compute a content vector for each id.

    The same rows give the same vectors on the same machine.

    Args:
        items: The columns item_id, title, genres and text, as the items table has them.
        ids: The items that get vectors.
        dimensions: The most numbers in a vector.

    Returns:
        Shape (ids, d), d <= dimensions: of unit length, or 0 for an item without words. d is 0 when
        no two items share a word.
    """
    indices = ids.indices(items["item_id"])
    rows = np.flatnonzero(indices >= 0)
    dense = _reduce_documents(_tokenise_items(items.take(rows)), dimensions)
    vectors = np.zeros((len(ids), dense.shape[1]), np.float32)
    if dense.shape[1]:
        vectors[indices[rows]] = dense
    return vectors


def normalise_rows(rows: Float32Array) -> Float32Array:
    """Divide each row by its length. Rows of 0 stay 0."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _tokenise_items(items: pa.Table) -> Iterator[list[str]]:
    """Yield the words and genres of each item."""
    prose = [pc.utf8_lower(pc.fill_null(items[name], "")) for name in ("title", "text")]
    texts = pc.binary_join_element_wise(*prose, " ").to_pylist()
    for text, genres in zip(texts, items["genres"].to_pylist(), strict=True):
        words = WORD_PATTERN.findall(text)
        genre_tokens = [GENRE_PREFIX + genre.casefold() for genre in genres or ()]
        yield words + genre_tokens


def _reduce_documents(documents: Iterator[list[str]], dimensions: int) -> Float32Array:
    """Compute a vector for each document, shape (documents, d).

    The shape is (0, 0) when no two documents share a token.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    tfidf: Any = TfidfVectorizer(
        analyzer=list, sublinear_tf=True, min_df=MIN_DOCUMENT_FREQUENCY, dtype=np.float32
    )
    try:
        sparse = tfidf.fit_transform(documents)
    except ValueError:  # This is how sklearn says that there is no token to count.
        return np.zeros((0, 0), np.float32)
    dense = sparse.toarray() if sparse.shape[1] <= dimensions else _reduce(sparse, dimensions)
    has_words = np.diff(sparse.indptr) > 0
    centred = dense - dense[has_words].mean(axis=0)
    return normalise_rows(centred * has_words[:, None])


def _reduce(sparse: Any, dimensions: int) -> Float32Array:
    """Reduce a sparse matrix to its first singular directions, shape (rows, dimensions)."""
    from sklearn.decomposition import TruncatedSVD

    svd = TruncatedSVD(dimensions, random_state=SVD_SEED)
    # One thread is as fast for matrices so narrow, and its numbers do not depend on the machine.
    with threadpool_limits(1, "blas"):
        reduced: Float32Array = svd.fit_transform(sparse).astype(np.float32)
    return reduced
