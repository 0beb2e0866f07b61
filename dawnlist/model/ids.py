"""IdMap: external string ids <-> dense indices 0 .. n-1."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


@dataclass(frozen=True)
class IdMap:
    """Distinct external ids in the order of their dense index."""

    ids: pa.StringArray

    @classmethod
    def of(cls, values: pa.Array | pa.ChunkedArray) -> "IdMap":
        """The distinct values, sorted, so that the same rows in any order give the same indices."""
        distinct = pc.unique(values.cast(pa.string())).drop_null()
        return cls(distinct.take(pc.sort_indices(distinct)))

    def __len__(self) -> int:
        return len(self.ids)

    def indices(self, values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """The dense index of each value, -1 for an unknown one; shape (len(values),)."""
        found = pc.index_in(values.cast(pa.string()), value_set=self.ids).fill_null(-1)
        return np.asarray(found.to_numpy(), dtype=np.int64)

    def subset(self, indices: npt.NDArray[np.int64]) -> "IdMap":
        """The ids at `indices`, in that order."""
        return IdMap(self.ids.take(pa.array(indices)))

    def save(self, path: Path, column: str) -> None:
        """Write the ids as a Parquet file of one column."""
        pq.write_table(pa.table({column: self.ids}), path, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> "IdMap":
        """Read what `save` wrote."""
        column = pq.read_table(path).column(0).combine_chunks()
        return cls(column.cast(pa.string()))
