"""TopLists: what a version of the store is made from.

The recommend step writes it, and the publish step reads it. It is a directory with a MANIFEST:

- `lists.parquet`: user_id string, item_index list<uint32>, score list<float32>; the best first, at most k entries
- `catalogue.parquet`: item_id string, title string or null, genres list<string> or null; the row number is item_index
- `popular.parquet`: segment string ("" is everybody), item_index uint32, score float32; the best first in each segment
- `vectors.npy`, `item_factors.npy`, `item_bias.npy`, `item_content.npy`: the model's columns (dawnlist/model/hybrid.py)
- `withdrawn.npy`: the rows of the catalogue that no list may have, ascending
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

from dawnlist.arrays import BoolArray, Float32Array, Int64Array, PopularItems
from dawnlist.lake.manifest import MANIFEST, check_manifest, write_manifest
from dawnlist.model.user_items import UserItems
from dawnlist.store import toplist_files

ARRAY_NAMES: Final = ("vectors", "item_factors", "item_bias", "item_content", "withdrawn")
"""The fields of TopLists that have a file of their own, NAME.npy."""
EVERYBODY: Final = ""
"""The name of the popular list that is for everybody."""


@dataclass(frozen=True, eq=False)
class TopLists:
    """The lists of U users with at most k of I items each, the items, and the model behind them."""

    user_ids: npt.NDArray[np.object_]
    """(U,), text; each user occurs once."""
    item_index: npt.NDArray[np.uint32]
    """(U, k), the best first; padding beyond `lengths`."""
    score: npt.NDArray[np.float32]
    """(U, k), aligned with item_index."""
    lengths: npt.NDArray[np.int64]
    """(U,), the number of entries of each list, 0 to k."""
    catalogue: pa.Table
    """The items, with the columns of schema.CATALOGUE_SCHEMA. The row number is the item index."""
    popular_index: npt.NDArray[np.uint32]
    """(P,), the items that are popular with everybody, the best first."""
    popular_score: npt.NDArray[np.float32]
    """(P,), aligned with popular_index."""
    vectors: Float32Array
    """(U, f), the users' vectors."""
    item_factors: Float32Array
    """(I, f), the items' vectors."""
    item_bias: Float32Array
    """(I,), added to an item's scores."""
    item_content: Float32Array
    """(I, d), the items' content vectors; each row has the length 1 or 0."""
    histories: UserItems
    """(U, I), what each user has met before as_of; items ascend for each user."""
    meta: dict[str, Any]
    """The content of meta.json."""
    segments: dict[str, tuple[npt.NDArray[np.uint32], Float32Array]] = field(default_factory=dict)
    """Popular lists of segments, such as `device=mobile`: items, the best first, and scores."""
    withdrawn: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of the items that no list may have, ascending. They stay in the catalogue, since
    users' histories name them."""
    digest: str = ""
    """The digest of the directory that was read; empty for lists that were not read from one."""

    @property
    def k(self) -> int:
        """The largest number of entries of a list."""
        return int(self.item_index.shape[1])

    def most_shown(self, n: int) -> list[dict[str, Any]]:
        """Return the n items that are in most lists, for people who look for odd results.

        Returns:
            For each item its item_id, its title, and the `share` of lists that it is in.
        """
        counts = np.bincount(self.item_index[self._used], minlength=self.catalogue.num_rows)
        top = np.argsort(-counts, kind="stable")[:n]
        rows: list[dict[str, Any]]
        rows = self.catalogue.select(["item_id", "title"]).take(pa.array(top)).to_pylist()
        shares = counts[top] / max(1, len(self.user_ids))
        for row, share in zip(rows, shares, strict=True):
            row["share"] = round(float(share), 4)
        return rows

    def save(self, path: Path) -> None:
        """Write the directory.

        Raises:
            ValueError: the arrays contradict each other.
        """
        _validate(self, path)
        path.mkdir(parents=True, exist_ok=True)
        toplist_files.write_lists(
            path / "lists.parquet", self.user_ids, self.item_index, self.score, self.lengths
        )
        toplist_files.write_catalogue(path / "catalogue.parquet", self.catalogue)
        everybody = self.popular_index, self.popular_score
        popular = {EVERYBODY: everybody, **self.segments}
        toplist_files.write_popular(path / "popular.parquet", popular)
        for name in ARRAY_NAMES:
            np.save(path / f"{name}.npy", getattr(self, name))
        toplist_files.write_histories(path / "histories.npz", self.histories)
        meta = json.dumps(self.meta, indent=1, sort_keys=True)
        (path / "meta.json").write_text(meta, encoding="utf-8")
        write_manifest(path)

    @classmethod
    def load(cls, path: Path) -> "TopLists":
        """Read the directory.

        Raises:
            ValueError: a file is damaged, or the files contradict each other. The message names
                the file or the rule.
        """
        check_manifest(path)
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        k = int(meta["k"]) if "k" in meta else None
        user_ids, item_index, score, lengths = toplist_files.read_lists(path / "lists.parquet", k)
        catalogue = toplist_files.read_catalogue(path / "catalogue.parquet")
        segments = toplist_files.read_popular(path / "popular.parquet")
        nobody = np.zeros(0, np.uint32), np.zeros(0, np.float32)
        popular_index, popular_score = segments.pop(EVERYBODY, nobody)
        histories = toplist_files.read_histories(
            path / "histories.npz", len(lengths), catalogue.num_rows
        )
        arrays = {name: np.load(path / f"{name}.npy", allow_pickle=False) for name in ARRAY_NAMES}
        lists = cls(
            user_ids=user_ids,
            item_index=item_index,
            score=score,
            lengths=lengths,
            catalogue=catalogue,
            popular_index=popular_index,
            popular_score=popular_score,
            histories=histories,
            meta=meta,
            segments=segments,
            digest=hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()[:16],
            **arrays,
        )
        _validate(lists, path)
        return lists

    @property
    def _used(self) -> BoolArray:
        """(U, k), False where a list is only padding."""
        used: BoolArray = np.arange(self.k) < self.lengths[:, None]
        return used


def _validate(lists: TopLists, path: Path) -> None:
    """Check all rules. The publish and the predictor trust what passes here.

    Raises:
        ValueError: a rule is broken; the message names the first one.
    """
    checks = (_find_list_problem, _find_model_problem, _find_index_problem, _find_number_problem)
    for find_problem in checks:
        problem = find_problem(lists)
        if problem is not None:
            raise ValueError(f"top lists {path}: {problem}")


def _find_list_problem(lists: TopLists) -> str | None:
    users = len(lists.user_ids)
    item_ids = lists.catalogue["item_id"]
    if lists.k < 1:
        return "k is 0: the lists can hold no item"
    if not lists.item_index.shape == lists.score.shape == (len(lists.lengths), lists.k):
        return "item_index and score are not both users x k"
    if len(lists.lengths) != users:
        return f"{users} users but {len(lists.lengths)} lengths"
    if not ((lists.lengths >= 0) & (lists.lengths <= lists.k)).all():
        return f"a length is not within 0 to k = {lists.k}"
    if len(set(lists.user_ids.tolist())) != users:
        return "a user has two lists"
    if len(item_ids.unique()) != lists.catalogue.num_rows:
        return "an item_id is twice in the catalogue"
    if len(lists.popular_index) != len(lists.popular_score):
        return "popular item_index and score differ in length"
    return None


def _find_model_problem(lists: TopLists) -> str | None:
    users = len(lists.user_ids)
    items = lists.catalogue.num_rows
    weights = lists.histories.weight
    if not len(lists.vectors) == users == weights.shape[0]:
        return "vectors or histories are not one a user"
    if lists.item_factors.shape != (items, lists.vectors.shape[1]):
        return "vectors and item factors differ in length"
    if not len(lists.item_bias) == len(lists.item_content) == items:
        return "item bias or content is not one an item"
    if weights.shape[1] != items:
        return "histories are not over the catalogue"
    if len(lists.histories.age) != weights.nnz:
        return "histories' weights and ages differ in length"
    if not weights.has_sorted_indices:
        return "a history's items do not ascend"
    return None


def _find_index_problem(lists: TopLists) -> str | None:
    items = lists.catalogue.num_rows
    indices = {"a list": lists.item_index[lists._used]}
    for name, (item_index, _) in _name_popular_lists(lists).items():
        indices[name] = item_index
    named: dict[str, npt.NDArray[Any]] = {**indices, "withdrawn": lists.withdrawn}
    for name, named_items in named.items():
        if named_items.size and int(named_items.max()) >= items:
            return f"{name} names item {named_items.max()}, the catalogue ends at {items - 1}"
    is_withdrawn = np.zeros(items, dtype=bool)
    is_withdrawn[lists.withdrawn] = True
    for name, item_index in indices.items():
        withdrawn_items = item_index[is_withdrawn[item_index]]
        if len(withdrawn_items):
            return f"{name} names item {withdrawn_items[0]}, which is withdrawn"
    return None


def _find_number_problem(lists: TopLists) -> str | None:
    numbers = {}
    for name, (_, score) in _name_popular_lists(lists).items():
        numbers[f"{name} has a score"] = score
    for name in ARRAY_NAMES:
        numbers[f"a row of {name} has a value"] = getattr(lists, name)
    numbers["a list has a score"] = lists.score[lists._used]
    numbers["a history has an age"] = lists.histories.age
    for name, values in numbers.items():
        if not np.isfinite(values).all():
            return f"{name} that is not a finite number"
    return None


def _name_popular_lists(lists: TopLists) -> dict[str, PopularItems]:
    """Return the popular lists by the names that messages give them."""
    popular: dict[str, PopularItems] = {
        "the popular list": (lists.popular_index, lists.popular_score)
    }
    for segment, popular_items in lists.segments.items():
        popular[f"the popular list of {segment}"] = popular_items
    return popular
