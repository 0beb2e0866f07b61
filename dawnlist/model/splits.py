"""Splits: every (user, item) pair of the window, cut in time into train, validation and holdout."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_matrix

from dawnlist.arrays import Float32Array
from dawnlist.cuts import MICROSECONDS_PER_DAY, Cuts, format_iso, parse_as_of
from dawnlist.lake.manifest import check_manifest, write_manifest
from dawnlist.model.content import ItemFeatures
from dawnlist.model.ids import IdMap
from dawnlist.model.user_items import UserItems

Stage = Literal["tune", "train", "refit"]
EvaluationSplit = Literal["validation", "holdout"]

HISTORY_PARTS: dict[str, int] = {"tune": 1, "train": 2, "refit": 3, "validation": 1, "holdout": 2}


@dataclass(frozen=True)
class Splits:
    """Pairs with what happened in each of three parts: before the validation cut, in validation, in the holdout.

    One copy of the pairs serves all fits: tune takes part 0, the challenger 0 and 1, the refit all three.
    """

    user_ids: IdMap
    item_ids: IdMap
    user_index: npt.NDArray[np.int32]
    """Shape (pairs,), sorted by user, then item."""
    item_index: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    """Shape (3, pairs): the sum of event weights, 0 where the part has no event of the pair."""
    last: npt.NDArray[np.int64]
    """Shape (3, pairs): epoch microseconds of the last event, 0 where there is none."""
    cuts: Cuts
    about: dict[str, Any]
    """Lineage: table version, counts, incumbent."""
    stock: ItemFeatures | None = None
    """What the items table says of the items; None without one."""

    @property
    def shape(self) -> tuple[int, int]:
        """(users, items)."""
        return len(self.user_ids), len(self.item_ids)

    @property
    def met_item_count(self) -> int:
        """So many of the items, the first ones, were met by somebody in the window."""
        return len(self.item_ids) - (self.stock.unmet if self.stock else 0)

    @property
    def content(self) -> Float32Array:
        """Shape (items, d), see Stock."""
        return self.stock.content if self.stock else np.zeros((len(self.item_ids), 0), np.float32)

    def drop_unmet_items(self) -> "Splits":
        """The same of the items that somebody met."""
        if self.stock is None or not self.stock.unmet:
            return self
        met = self.met_item_count
        stock = replace(
            self.stock,
            content=self.stock.content[:met],
            first_seen=self.stock.first_seen[:met],
            unmet=0,
        )
        return replace(self, item_ids=self.item_ids.subset(np.arange(met)), stock=stock)

    def new_items(self, stage: Stage) -> npt.NDArray[np.bool_]:
        """The items, shape (items,), that nobody had met at the stage's cut, and that had been seen by then.

        Nobody knows how old those are that the very first run saw: they count as seen before. Only items with content.
        """
        if self.stock is None:
            return np.zeros(self.shape[1], dtype=bool)
        seen, cut = self.stock.first_seen, int(self.end(stage).timestamp() * 1_000_000)
        new = (
            (seen > 0)
            & ((seen <= cut) | (seen == self.stock.since))
            & self.stock.content.any(axis=1)
        )
        new[self.item_index[self.met(slice(HISTORY_PARTS[stage]))]] = False
        return np.asarray(new)

    def end(self, stage: Stage) -> datetime:
        """The cut before which the rows of a stage lie."""
        return {
            "tune": self.cuts.validation_start,
            "train": self.cuts.train_end,
            "refit": self.cuts.as_of,
        }[stage]

    def user_items(self, stage: Stage) -> UserItems:
        """Weights and ages of all rows before the stage's cut, over all users and items of the window."""
        parts = HISTORY_PARTS[stage]
        weight, last = self.weight[:parts].sum(axis=0), self.last[:parts].max(axis=0)
        met = last > 0  # not the weight: a rating of 0 has none, and was seen all the same
        cut = int(self.end(stage).timestamp() * 1_000_000)
        age = ((cut - last[met]) / MICROSECONDS_PER_DAY).astype(np.float32)
        return UserItems(self._csr(met, weight[met]), age)

    def truth(self, part: EvaluationSplit) -> csr_matrix:
        """The items that a user met in the part and never before it, for all users; stored entries are 1."""
        index = HISTORY_PARTS[part]
        new = self.met(index) & ~self.met(slice(index))
        return self._csr(new, np.ones(int(new.sum()), dtype=np.float32))

    def repeat_share(self, part: EvaluationSplit) -> float:
        """The share of the part's pairs that the user had met before, which no list that drops seen items can hit."""
        index = HISTORY_PARTS[part]
        met = self.met(index)
        return float((met & self.met(slice(index))).sum() / max(1, met.sum()))

    def judged(self, part: EvaluationSplit) -> npt.NDArray[np.int64]:
        """The users that the primary metric is over: history before the part, and something new in it."""
        index = HISTORY_PARTS[part]
        known = np.zeros(self.shape[0], dtype=bool)
        known[self.user_index[self.met(slice(index))]] = True
        return np.flatnonzero(known & (np.diff(self.truth(part).indptr) > 0))

    @property
    def holdout_fingerprint(self) -> str:
        """The fingerprint of the holdout, 16 hex digits: the catalogue, who is judged, and what by."""
        truth = self.truth("holdout")
        digest = hashlib.sha256()
        for ids in (
            self.drop_unmet_items().item_ids,
            self.user_ids.subset(np.flatnonzero(np.diff(truth.indptr))),
        ):
            digest.update(pa.record_batch([ids.ids], ["id"]).serialize())
        for array in (truth.indptr, truth.indices, self.judged("holdout")):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def met(self, parts: int | slice) -> npt.NDArray[np.bool_]:
        """Whether each pair met in a part, or in any of several; shape (pairs,)."""
        return np.asarray(np.atleast_2d(self.last[parts] > 0).any(axis=0))

    def _csr(self, chosen: npt.NDArray[np.bool_], values: npt.NDArray[np.float32]) -> csr_matrix:
        counts = np.bincount(self.user_index[chosen], minlength=self.shape[0])
        indptr = np.concatenate([[0], counts.cumsum()]).astype(np.int32)
        return csr_matrix((values, self.item_index[chosen], indptr), shape=self.shape)

    def save(self, folder: Path) -> None:
        """Write a directory: two id maps, .npz of pairs and stock without pickle, the cuts, and MANIFEST."""
        folder.mkdir(parents=True, exist_ok=True)
        self.user_ids.save(folder / "user_ids.parquet", "user_id")
        self.item_ids.save(folder / "item_ids.parquet", "item_id")
        with (folder / "pairs.npz").open("wb") as file:
            np.savez(
                file, user=self.user_index, item=self.item_index, weight=self.weight, last=self.last
            )
        if self.stock:
            with (folder / "stock.npz").open("wb") as file:
                np.savez(file, **dataclasses.asdict(self.stock))
        cuts = {
            "validation_start": format_iso(self.cuts.validation_start),
            "train_end": format_iso(self.cuts.train_end),
            "as_of": format_iso(self.cuts.as_of),
        }
        (folder / "about.json").write_text(
            json.dumps({"cuts": cuts, "about": self.about}, indent=1, sort_keys=True)
        )
        write_manifest(folder)

    @classmethod
    def load(cls, folder: Path) -> "Splits":
        """Read what `save` wrote; ValueError when it was damaged."""
        check_manifest(folder)
        document = json.loads((folder / "about.json").read_text())
        cuts = Cuts(**{name: parse_as_of(text) for name, text in document["cuts"].items()})
        with np.load(folder / "pairs.npz", allow_pickle=False) as arrays:
            user, item, weight, last = (arrays[name] for name in ("user", "item", "weight", "last"))
        users, items = (IdMap.load(folder / f"{name}_ids.parquet") for name in ("user", "item"))
        return cls(
            users,
            items,
            user,
            item,
            weight,
            last,
            cuts,
            document["about"],
            _load_item_features(folder / "stock.npz"),
        )


def _load_item_features(path: Path) -> ItemFeatures | None:
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return ItemFeatures(
            arrays["content"], arrays["first_seen"], int(arrays["since"]), int(arrays["unmet"])
        )
