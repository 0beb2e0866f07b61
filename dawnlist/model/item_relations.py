"""What a published version says of items beside their vectors: associated items and trends.

It stands in columns of the catalogue, whose names no setting can give:

    dawnlist:associated   list<uint32>, rows of the catalogue, the strongest first
    dawnlist:association  list<float32>, a score for each of them
    dawnlist:trend        float32, see components/recommend/trends.py
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from dawnlist.arrays import Float32Array
from dawnlist.model.associations import Associations

ASSOCIATED_COLUMN: Final = "dawnlist:associated"
ASSOCIATION_COLUMN: Final = "dawnlist:association"
TREND_COLUMN: Final = "dawnlist:trend"
RELATION_COLUMNS: Final = (ASSOCIATED_COLUMN, ASSOCIATION_COLUMN, TREND_COLUMN)


@dataclass(frozen=True, eq=False)
class ItemRelations:
    """Associated items and trends of a version's items."""

    associations: Associations
    """The associated items of each item."""
    trend: Float32Array
    """The trend of each item, shape (items,)."""


def add_relations(catalogue: pa.Table, relations: ItemRelations) -> pa.Table:
    """Add the columns of the relations to a catalogue."""
    associations = relations.associations
    offsets = pa.array(associations.indptr.astype(np.int32))
    items = pa.array(associations.items.astype(np.uint32))
    columns = {
        ASSOCIATED_COLUMN: pa.ListArray.from_arrays(offsets, items),
        ASSOCIATION_COLUMN: pa.ListArray.from_arrays(offsets, pa.array(associations.scores)),
        TREND_COLUMN: pa.array(relations.trend),
    }
    for name, column in columns.items():
        catalogue = catalogue.append_column(name, column)
    return catalogue


def read_relations(catalogue: pa.Table) -> ItemRelations | None:
    """Read the relations of a catalogue; None if an older release has published it.

    Raises:
        ValueError: an associated item is none of the catalogue.
    """
    if not set(RELATION_COLUMNS) <= set(catalogue.column_names):
        return None
    associated = catalogue[ASSOCIATED_COLUMN].combine_chunks()
    lengths = associated.value_lengths().to_numpy(zero_copy_only=False)
    items = associated.flatten().to_numpy().astype(np.int64)
    if len(items) and items.max() >= catalogue.num_rows:
        raise ValueError("an associated item is not in the catalogue")
    scores = catalogue[ASSOCIATION_COLUMN].combine_chunks().flatten().to_numpy()
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    trend = catalogue[TREND_COLUMN].to_numpy()
    return ItemRelations(Associations(indptr, items, scores), trend)
