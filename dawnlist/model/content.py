"""Content vectors: what an item's own words say of it, as TF-IDF reduced to a few dozen dense numbers.

Latent semantic analysis (Deerwester et al., "Indexing by Latent Semantic Analysis", JASIS 1990) over the words of title
and text and the genres, each genre one token; what all items have in common is taken off, so that the cosine of two
says how alike they are for items of this shop. docs/HYBRID.md.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.arrays import Float32Array
from dawnlist.model.ids import IdMap

CONTENT_DIMENSIONS: Final = 64
SVD_SEED: Final = 7
MIN_DOCUMENT_FREQUENCY: Final = 2
"""A word that only one item has says nothing of what is alike."""
WORD_PATTERN: Final = re.compile(r"\w\w+")
GENRE_PREFIX: Final = "\0"
"""Before a genre, so that it is no word of a title."""


@dataclass(frozen=True)
class ItemFeatures:
    """What is known of the items of splits beside who met them."""

    content: Float32Array
    """Shape (items, d): of unit length, or 0; d is 0 when nothing is known of any."""
    first_seen: npt.NDArray[np.int64]
    """Shape (items,): epoch microseconds of the run that first saw the item, 0 for one that is in no items table."""
    since: int
    """The first run that looked: what it saw may have been there for years."""
    unmet: int
    """So many of the items, the last ones, were met by nobody in the whole window."""

    @property
    def digest(self) -> str:
        """A fingerprint of all of it, 16 hex digits."""
        found = hashlib.sha256(f"{self.since} {self.unmet}".encode())
        for array in (self.content, self.first_seen):
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()[:16]


def build_content_vectors(
    items: pa.Table, ids: IdMap, dimensions: int = CONTENT_DIMENSIONS
) -> Float32Array:
    """A vector of unit length for each id, shape (ids, d), 0 for an item without words; d <= dimensions.

    `items`: item_id, title, genres and text, as the items table has them. d is 0 when no two items share a word. The
    same rows give the same vectors on the same machine.
    """
    places = ids.indices(items["item_id"])
    known = np.flatnonzero(places >= 0)
    dense = _reduce_documents(_tokenise_items(items.take(known)), dimensions)
    found = np.zeros((len(ids), dense.shape[1]), np.float32)
    if dense.shape[1]:
        found[places[known]] = dense
    return found


def normalise_rows(rows: Float32Array) -> Float32Array:
    """Each row divided by its length; rows of 0 stay 0."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _tokenise_items(items: pa.Table) -> Iterator[list[str]]:
    """The tokens of each item."""
    prose = [pc.utf8_lower(pc.fill_null(items[name], "")) for name in ("title", "text")]
    words = pc.binary_join_element_wise(*prose, " ")
    for text, genres in zip(words.to_pylist(), items["genres"].to_pylist(), strict=True):
        yield WORD_PATTERN.findall(text) + [
            GENRE_PREFIX + genre.casefold() for genre in genres or ()
        ]


def _reduce_documents(documents: Iterator[list[str]], dimensions: int) -> Float32Array:
    """A row for each document, shape (documents, d); (0, 0) when no two share a token."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from threadpoolctl import threadpool_limits

    tfidf: Any = TfidfVectorizer(
        analyzer=list, sublinear_tf=True, min_df=MIN_DOCUMENT_FREQUENCY, dtype=np.float32
    )
    try:
        sparse = tfidf.fit_transform(documents)
    except ValueError:  # it has nothing to count, and no other way to say so
        return np.zeros((0, 0), np.float32)
    if sparse.shape[1] <= dimensions:
        dense = sparse.toarray()
    else:
        with threadpool_limits(
            1, "blas"
        ):  # as quick for so narrow matrices, and the same numbers on any machine's cores
            dense = (
                TruncatedSVD(dimensions, random_state=SVD_SEED)
                .fit_transform(sparse)
                .astype(np.float32)
            )
    told = np.diff(sparse.indptr) > 0
    return normalise_rows((dense - dense[told].mean(axis=0)) * told[:, None])
