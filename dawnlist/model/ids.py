"""IdMap: external string ids <-> dense indices 0 .. n-1."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dawnlist.arrays import Int64Array


@dataclass(frozen=True)
class IdMap:
    """Distinct external ids in the order of their dense index."""

    ids: pa.StringArray
    """The ids, shape (n,)."""

    @classmethod
    def of(cls, values: pa.Array | pa.ChunkedArray) -> "IdMap":
        """Map the distinct values, sorted, so that the same rows in any order give the same map."""
        distinct = pc.unique(values.cast(pa.string())).drop_null()
        return cls(distinct.take(pc.sort_indices(distinct)))

    def __len__(self) -> int:
        return len(self.ids)

    def indices(self, values: pa.Array | pa.ChunkedArray) -> Int64Array:
        """Look up the dense index of each value, -1 for an unknown one; shape (len(values),)."""
        indices = pc.index_in(values.cast(pa.string()), value_set=self.ids).fill_null(-1)
        return np.asarray(indices.to_numpy(), dtype=np.int64)

    def subset(self, indices: Int64Array) -> "IdMap":
        """Map the ids at `indices`, in that order."""
        return IdMap(self.ids.take(pa.array(indices)))

    def save(self, path: Path, column: str) -> None:
        """Write the ids as a Parquet file with one column."""
        pq.write_table(pa.table({column: self.ids}), path, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> "IdMap":
        """Read a file that `save` wrote."""
        column = pq.read_table(path).column(0).combine_chunks()
        return cls(column.cast(pa.string()))
