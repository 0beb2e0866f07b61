"""TopLists: what a version of the store is made from, as the recommend step writes it and the publish step reads it.

A directory, with a MANIFEST:

- `lists.parquet`: user_id string, item_index list<uint32>, score list<float32>; best first, at most k entries
- `catalogue.parquet`: item_id string, title string or null, genres list<string> or null; the row number is item_index
- `popular.parquet`: segment string ("" is everybody), item_index uint32, score float32; best first within a segment
- `vectors.npy`, `item_factors.npy`, `item_bias.npy`, `item_content.npy`: the model's columns (dawnlist/model/hybrid.py)
- `histories.npz`: indptr, item, weight, age: what each user has met, as a CSR matrix with ages
- `meta.json`: as_of (ISO 8601 with a zone), run, winner, engine, k, users, items, metrics, model, config (the model's),
  event_weights and whatever the run adds
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from dawnlist.arrays import Float32Array
from dawnlist.lake.manifest import MANIFEST, check_manifest, write_manifest
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

ARRAY_NAMES: Final = ("vectors", "item_factors", "item_bias", "item_content")
EVERYBODY: Final = ""


@dataclass(frozen=True, eq=False)
class TopLists:
    """U users' lists of at most k items, the catalogue of I items that they point into, and what scored them."""

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
    vectors: Float32Array
    """(U, f)."""
    item_factors: Float32Array
    """(I, f)."""
    item_bias: Float32Array
    """(I,)."""
    item_content: Float32Array
    """(I, d), rows of unit length or 0."""
    histories: UserItems
    """(U, I): what each user has met before as_of; items ascend within a user."""
    meta: dict[str, Any]
    segments: dict[str, tuple[npt.NDArray[np.uint32], Float32Array]] = field(default_factory=dict)
    """Popular lists by segment, such as `device=mobile`: item indices, best first, and their scores."""
    digest: str = ""
    """Of the directory that was read; empty for lists that never were in one."""

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
        return [
            {**row, "share": round(float(share), 4)}
            for row, share in zip(rows, shares, strict=True)
        ]

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
        pq.write_table(pa.Table.from_arrays(columns, schema=LISTS_SCHEMA), path / "lists.parquet")
        pq.write_table(
            self.catalogue.select(CATALOGUE_SCHEMA.names).cast(CATALOGUE_SCHEMA),
            path / "catalogue.parquet",
        )
        pq.write_table(_build_popular_table(self), path / "popular.parquet")
        for name in ARRAY_NAMES:
            np.save(path / f"{name}.npy", getattr(self, name))
        met = self.histories.weight
        with (path / "histories.npz").open("wb") as file:
            np.savez(
                file, indptr=met.indptr, item=met.indices, weight=met.data, age=self.histories.age
            )
        (path / "meta.json").write_text(
            json.dumps(self.meta, indent=1, sort_keys=True), encoding="utf-8"
        )
        write_manifest(path)

    @classmethod
    def load(cls, path: Path) -> "TopLists":
        """Read the directory; ValueError names the file that was damaged, or the rule that it breaks."""
        check_manifest(path)
        lists = _read_table(path / "lists.parquet", LISTS_SCHEMA)
        popular = _split_by_segment(_read_table(path / "popular.parquet", POPULAR_SCHEMA))
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        items, scores = lists["item_index"].combine_chunks(), lists["score"].combine_chunks()
        lengths = items.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        if not items.value_lengths().equals(scores.value_lengths()):
            raise ValueError(
                f"{path / 'lists.parquet'}: item_index and score of a user differ in length"
            )
        k = int(meta.get("k", lengths.max(initial=0)))
        if lengths.max(initial=0) > k:
            raise ValueError(
                f"{path / 'lists.parquet'}: a list of {lengths.max()} entries, but meta.json says k = {k}"
            )
        used = np.arange(k) < lengths[:, None]
        loaded = cls(
            user_ids=lists["user_id"].to_numpy(),
            item_index=_pad_lists(items, used, np.dtype(np.uint32)),
            score=_pad_lists(scores, used, np.dtype(np.float32)),
            lengths=lengths,
            catalogue=(catalogue := _read_table(path / "catalogue.parquet", CATALOGUE_SCHEMA)),
            popular_index=popular[EVERYBODY][0],
            popular_score=popular[EVERYBODY][1],
            histories=_load_histories(path / "histories.npz", (len(lengths), catalogue.num_rows)),
            meta=meta,
            segments={name: popular[name] for name in popular if name != EVERYBODY},
            digest=hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()[:16],
            **{name: np.load(path / f"{name}.npy", allow_pickle=False) for name in ARRAY_NAMES},
        )
        _validate(loaded, str(path))
        return loaded


def _read_table(path: Path, schema: pa.Schema) -> pa.Table:
    table = pq.read_table(path)
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(missing)}; it needs {', '.join(schema.names)}"
        )
    return table.select(schema.names).cast(schema)


def _pad_lists(
    lists: pa.ListArray, used: npt.NDArray[np.bool_], dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """A (U, k) array, zero beyond each list's length."""
    padded = np.zeros(used.shape, dtype=dtype)
    padded[used] = lists.flatten().to_numpy(zero_copy_only=False)
    return padded


def _build_popular_table(lists: TopLists) -> pa.Table:
    tables = []
    for segment, (items, scores) in {
        EVERYBODY: (lists.popular_index, lists.popular_score),
        **lists.segments,
    }.items():
        names = pa.repeat(pa.scalar(segment), len(items))
        tables.append(pa.table([names, items, scores], schema=POPULAR_SCHEMA))
    return pa.concat_tables(tables)


def _split_by_segment(popular: pa.Table) -> dict[str, tuple[npt.NDArray[np.uint32], Float32Array]]:
    names, items, scores = (popular[name].to_numpy() for name in POPULAR_SCHEMA.names)
    found = dict.fromkeys(
        [EVERYBODY, *names.tolist()]
    )  # in their order, everybody's also when it is empty
    return {name: (items[names == name], scores[names == name]) for name in found}


def _load_histories(path: Path, shape: tuple[int, int]) -> UserItems:
    with np.load(path, allow_pickle=False) as arrays:
        met = csr_matrix((arrays["weight"], arrays["item"], arrays["indptr"]), shape=shape)
        return UserItems(met, arrays["age"])


def _validate(lists: TopLists, where: str) -> None:
    """Raise the first broken rule; what passes here is trusted by everything behind it."""
    users, items = len(lists.user_ids), lists.catalogue.num_rows
    used = np.arange(lists.k) < lists.lengths[:, None]
    item_ids = lists.catalogue["item_id"]
    rules = [
        (lists.k >= 1, "k is 0: the lists can hold no item"),
        (
            lists.item_index.shape == lists.score.shape == used.shape,
            "item_index and score are not both users x k",
        ),
        (len(lists.lengths) == users, f"{users} users but {len(lists.lengths)} lengths"),
        (
            bool(((lists.lengths >= 0) & (lists.lengths <= lists.k)).all()),
            f"a length is not within 0 to k = {lists.k}",
        ),
        (len(set(lists.user_ids.tolist())) == users, "a user has two lists"),
        (len(item_ids.unique()) == items, "an item_id is twice in the catalogue"),
        (
            len(lists.popular_index) == len(lists.popular_score),
            "popular item_index and score differ in length",
        ),
        (
            len(lists.vectors) == users == lists.histories.weight.shape[0],
            "vectors or histories are not one a user",
        ),
        (
            lists.item_factors.shape == (items, lists.vectors.shape[1]),
            "vectors and item factors differ in length",
        ),
        (
            len(lists.item_bias) == len(lists.item_content) == items,
            "item bias or content is not one an item",
        ),
        (lists.histories.weight.shape[1] == items, "histories are not over the catalogue"),
        (
            len(lists.histories.age) == lists.histories.weight.nnz,
            "histories' weights and ages differ in length",
        ),
        (bool(lists.histories.weight.has_sorted_indices), "a history's items do not ascend"),
    ]
    for holds, broken in rules:
        if not holds:
            raise ValueError(f"top lists {where}: {broken}")
    popular = {"the popular list": (lists.popular_index, lists.popular_score)}
    popular |= {
        f"the popular list of {segment}": found for segment, found in lists.segments.items()
    }
    for name, (index, _) in {"a list": (lists.item_index[used], None), **popular}.items():
        if index.size and int(index.max()) >= items:
            raise ValueError(
                f"top lists {where}: {name} names item {index.max()}, the catalogue ends at {items - 1}"
            )
    numbers = {f"{name} has a score": score for name, (_, score) in popular.items()}
    numbers |= {f"a row of {name} has a value": getattr(lists, name) for name in ARRAY_NAMES}
    numbers |= {
        "a list has a score": lists.score[used],
        "a history has an age": lists.histories.age,
    }
    for name, values in numbers.items():
        if not np.isfinite(values).all():
            raise ValueError(f"top lists {where}: {name} that is not a finite number")
