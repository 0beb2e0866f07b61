"""Read and write the files of a directory of top lists; toplists.py describes them."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Int64Array, PopularItems
from dawnlist.model.user_items import UserItems
from dawnlist.schema import CATALOGUE_SCHEMA

LISTS_SCHEMA: Final = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_index", pa.list_(pa.uint32()), nullable=False),
        pa.field("score", pa.list_(pa.float32()), nullable=False),
    ]
)
POPULAR_SCHEMA: Final = pa.schema(
    [
        pa.field("segment", pa.string(), nullable=False),
        pa.field("item_index", pa.uint32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
    ]
)


def write_lists(
    path: Path,
    user_ids: npt.NDArray[np.object_],
    item_index: npt.NDArray[np.uint32],
    score: npt.NDArray[np.float32],
    lengths: Int64Array,
) -> None:
    """Write lists.parquet; see `TopLists` for the shapes."""
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), type=pa.int32())
    used = np.arange(item_index.shape[1]) < lengths[:, None]
    items = pa.array(item_index[used], type=pa.uint32())
    scores = pa.array(score[used], type=pa.float32())
    columns = [
        pa.array(user_ids, type=pa.string()),
        pa.ListArray.from_arrays(offsets, items),
        pa.ListArray.from_arrays(offsets, scores),
    ]
    pq.write_table(pa.Table.from_arrays(columns, schema=LISTS_SCHEMA), path)


def read_lists(
    path: Path, k: int | None
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.uint32], npt.NDArray[np.float32], Int64Array]:
    """Read lists.parquet: user ids, item indices, scores and lengths, in the shapes of `TopLists`.

    Args:
        k: The largest length of a list, from meta.json. None: that of the longest list.

    Raises:
        ValueError: a column is missing, a list is longer than k, or a user has not as many scores
            as items.
    """
    table = _read_table(path, LISTS_SCHEMA)
    items = table["item_index"].combine_chunks()
    scores = table["score"].combine_chunks()
    if not items.value_lengths().equals(scores.value_lengths()):
        raise ValueError(f"{path}: item_index and score of a user differ in length")
    lengths = items.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    longest = lengths.max(initial=0)
    if k is None:
        k = int(longest)
    if longest > k:
        raise ValueError(f"{path}: a list of {longest} entries, but meta.json says k = {k}")
    used = np.arange(k) < lengths[:, None]
    item_index = _pad_lists(items, used, np.dtype(np.uint32))
    score = _pad_lists(scores, used, np.dtype(np.float32))
    return table["user_id"].to_numpy(), item_index, score, lengths


def _pad_lists(lists: pa.ListArray, used: BoolArray, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the lists as one array of the shape of `used`, which is 0 where `used` is False."""
    padded = np.zeros(used.shape, dtype=dtype)
    padded[used] = lists.flatten().to_numpy(zero_copy_only=False)
    return padded


def write_catalogue(path: Path, catalogue: pa.Table) -> None:
    """Write catalogue.parquet: the columns of CATALOGUE_SCHEMA, and those of attributes."""
    pq.write_table(order_catalogue_columns(catalogue), path)


def read_catalogue(path: Path) -> pa.Table:
    """Read catalogue.parquet.

    Raises:
        ValueError: a column is missing.
    """
    table = pq.read_table(path)
    _check_columns(path, table, CATALOGUE_SCHEMA)
    return order_catalogue_columns(table)


def order_catalogue_columns(catalogue: pa.Table) -> pa.Table:
    """Return the columns of CATALOGUE_SCHEMA with its types, and after them all others."""
    ordered = catalogue.select(CATALOGUE_SCHEMA.names).cast(CATALOGUE_SCHEMA)
    for name in catalogue.column_names:
        if name not in CATALOGUE_SCHEMA.names:
            ordered = ordered.append_column(name, catalogue[name])
    return ordered


def write_popular(path: Path, popular: dict[str, PopularItems]) -> None:
    """Write popular.parquet, from popular lists by segment."""
    tables = []
    for segment, (items, scores) in popular.items():
        names = pa.repeat(pa.scalar(segment), len(items))
        tables.append(pa.table([names, items, scores], schema=POPULAR_SCHEMA))
    pq.write_table(pa.concat_tables(tables), path)


def read_popular(path: Path) -> dict[str, PopularItems]:
    """Read the popular lists of popular.parquet, by segment in the order of the file.

    Raises:
        ValueError: a column is missing.
    """
    table = _read_table(path, POPULAR_SCHEMA)
    segments = table["segment"].to_numpy()
    items = table["item_index"].to_numpy()
    scores = table["score"].to_numpy()
    popular: dict[str, PopularItems] = {}
    for segment in dict.fromkeys(segments.tolist()):
        rows = segments == segment
        popular[segment] = items[rows], scores[rows]
    return popular


def write_histories(path: Path, histories: UserItems) -> None:
    """Write histories.npz."""
    matrix = histories.weight
    with path.open("wb") as file:
        np.savez(
            file,
            indptr=matrix.indptr,
            item=matrix.indices,
            weight=matrix.data,
            age=histories.age,
        )


def read_histories(path: Path, users: int, items: int) -> UserItems:
    """Read histories.npz."""
    with np.load(path, allow_pickle=False) as arrays:
        columns = arrays["weight"], arrays["item"], arrays["indptr"]
        return UserItems(csr_matrix(columns, shape=(users, items)), arrays["age"])


def _read_table(path: Path, schema: pa.Schema) -> pa.Table:
    table = pq.read_table(path)
    _check_columns(path, table, schema)
    return table.select(schema.names).cast(schema)


def _check_columns(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Raise ValueError if a column is missing."""
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(missing)}; it needs {', '.join(schema.names)}"
        )
