"""TopLists: every user's list, as the recommend step writes it and the publish step reads it.

A directory of four files:

- `lists.parquet`: user_id string, item_index list<uint32>, score list<float32>; best first, at most k entries
- `catalogue.parquet`: item_id string, title string or null, genres list<string> or null; the row number is item_index
- `popular.parquet`: item_index uint32, score float32; best first, the answer for a user without a list
- `meta.json`: as_of (ISO 8601 with a zone), run, winner, engine, k, users, items, metrics and whatever the run adds
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.schema import CATALOGUE

LISTS: Final = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_index", pa.list_(pa.uint32()), nullable=False),
        pa.field("score", pa.list_(pa.float32()), nullable=False),
    ]
)
POPULAR: Final = pa.schema(
    [
        pa.field("item_index", pa.uint32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
    ]
)


@dataclass(frozen=True, eq=False)
class TopLists:
    """U users' lists of at most k items, with the catalogue that their item indices point into."""

    user_ids: npt.NDArray[np.object_]
    """(U,) text, each user once."""
    item_index: npt.NDArray[np.uint32]
    """(U, k), best first; beyond `lengths` it is padding."""
    score: npt.NDArray[np.float32]
    """(U, k), aligned with item_index."""
    lengths: npt.NDArray[np.int64]
    """(U,), entries of each list, 0 to k."""
    catalogue: pa.Table
    """Columns of schema.CATALOGUE; row number = item_index."""
    popular_index: npt.NDArray[np.uint32]
    """(P,), best first."""
    popular_score: npt.NDArray[np.float32]
    """(P,), aligned with popular_index."""
    meta: dict[str, Any]

    @property
    def k(self) -> int:
        return int(self.item_index.shape[1])

    def most_shown(self, n: int) -> list[dict[str, Any]]:
        """The n items that stand in most lists, as item_id, title and share of the lists: a look for odd results."""
        used = np.arange(self.k) < self.lengths[:, None]
        counts = np.bincount(self.item_index[used], minlength=self.catalogue.num_rows)
        top = np.argsort(-counts, kind="stable")[:n]
        rows = self.catalogue.select(["item_id", "title"]).take(pa.array(top)).to_pylist()
        shares = counts[top] / max(1, len(self.user_ids))
        return [{**row, "share": round(float(share), 4)} for row, share in zip(rows, shares, strict=True)]

    def save(self, path: Path) -> None:
        """Write the directory; ValueError when the arrays contradict each other."""
        _validate(self, str(path))
        path.mkdir(parents=True, exist_ok=True)
        offsets = pa.array(np.concatenate([[0], np.cumsum(self.lengths)]), type=pa.int32())
        used = np.arange(self.k) < self.lengths[:, None]
        columns = [
            pa.array(self.user_ids, type=pa.string()),
            pa.ListArray.from_arrays(offsets, pa.array(self.item_index[used], type=pa.uint32())),
            pa.ListArray.from_arrays(offsets, pa.array(self.score[used], type=pa.float32())),
        ]
        pq.write_table(pa.Table.from_arrays(columns, schema=LISTS), path / "lists.parquet")
        pq.write_table(self.catalogue.select(CATALOGUE.names).cast(CATALOGUE), path / "catalogue.parquet")
        popular = pa.table([self.popular_index, self.popular_score], schema=POPULAR)
        pq.write_table(popular, path / "popular.parquet")
        (path / "meta.json").write_text(json.dumps(self.meta, indent=1, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "TopLists":
        """Read the directory; ValueError names the file and the rule it breaks."""
        lists = _read(path / "lists.parquet", LISTS)
        popular = _read(path / "popular.parquet", POPULAR)
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        items, scores = lists["item_index"].combine_chunks(), lists["score"].combine_chunks()
        lengths = items.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        if not items.value_lengths().equals(scores.value_lengths()):
            raise ValueError(f"{path / 'lists.parquet'}: item_index and score of a user differ in length")
        k = int(meta.get("k", lengths.max(initial=0)))
        if lengths.max(initial=0) > k:
            raise ValueError(f"{path / 'lists.parquet'}: a list of {lengths.max()} entries, but meta.json says k = {k}")
        used = np.arange(k) < lengths[:, None]
        loaded = cls(
            user_ids=lists["user_id"].to_numpy(),
            item_index=_padded(items, used, np.dtype(np.uint32)),
            score=_padded(scores, used, np.dtype(np.float32)),
            lengths=lengths,
            catalogue=_read(path / "catalogue.parquet", CATALOGUE),
            popular_index=popular["item_index"].to_numpy(),
            popular_score=popular["score"].to_numpy(),
            meta=meta,
        )
        _validate(loaded, str(path))
        return loaded


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    table = pq.read_table(path)
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise ValueError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(schema.names)}")
    return table.select(schema.names).cast(schema)


def _padded(lists: pa.ListArray, used: npt.NDArray[np.bool_], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """A (U, k) array, zero beyond each list's length."""
    padded = np.zeros(used.shape, dtype=dtype)
    padded[used] = lists.flatten().to_numpy(zero_copy_only=False)
    return padded


def _validate(lists: TopLists, where: str) -> None:
    """Raise the first broken rule; what passes here is trusted by everything behind it."""
    users, items = len(lists.user_ids), lists.catalogue.num_rows
    used = np.arange(lists.k) < lists.lengths[:, None]
    item_ids = lists.catalogue["item_id"]
    rules = [
        (lists.k >= 1, "k is 0: the lists can hold no item"),
        (lists.item_index.shape == lists.score.shape == used.shape, "item_index and score are not both users x k"),
        (len(lists.lengths) == users, f"{users} users but {len(lists.lengths)} lengths"),
        (bool(((lists.lengths >= 0) & (lists.lengths <= lists.k)).all()), f"a length is not within 0 to k = {lists.k}"),
        (len(set(lists.user_ids.tolist())) == users, "a user has two lists"),
        (len(item_ids.unique()) == items, "an item_id is twice in the catalogue"),
        (len(lists.popular_index) == len(lists.popular_score), "popular item_index and score differ in length"),
    ]
    for holds, broken in rules:
        if not holds:
            raise ValueError(f"top lists {where}: {broken}")
    for name, index in (("a list", lists.item_index[used]), ("the popular list", lists.popular_index)):
        if index.size and int(index.max()) >= items:
            raise ValueError(f"top lists {where}: {name} names item {index.max()}, the catalogue ends at {items - 1}")
    for name, score in (("a list", lists.score[used]), ("the popular list", lists.popular_score)):
        if not np.isfinite(score).all():
            raise ValueError(f"top lists {where}: {name} has a score that is not a finite number")
