"""Splits: every (user, item) pair of the window, cut in time into train, validation and holdout."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from dawnlist.cuts import MICROSECONDS_PER_DAY, Cuts, format_iso, parse_as_of
from dawnlist.lake.manifest import check_manifest, write_manifest
from dawnlist.model.content import ItemFeatures
from dawnlist.model.ids import IdMap
from dawnlist.model.repeats import DEFAULT_GAP
from dawnlist.model.user_items import UserItems

Stage = Literal["tune", "train", "refit"]
"""When a model is fitted: before the validation cut, before the holdout, or on everything."""
EvaluationSplit = Literal["validation", "holdout"]
"""The periods that models are evaluated on."""

PERIODS_BEFORE: Final[dict[str, int]] = {
    "tune": 1,
    "train": 2,
    "refit": 3,
    "validation": 1,
    "holdout": 2,
}
"""How many of the three periods lie before a stage's cut, or before an evaluation split."""


@dataclass(frozen=True)
class Splits:
    """Pairs with their events in three periods: before validation, in validation, in the holdout.

    One copy of the pairs serves all fits: tune reads period 0, the challenger 0 and 1, and the
    refit all three.
    """

    user_ids: IdMap
    """The users of the window."""
    item_ids: IdMap
    """The items of the window, and after them those that nobody met."""
    user_index: Int32Array
    """Shape (pairs,), sorted by user, then item."""
    item_index: Int32Array
    """Shape (pairs,)."""
    weight: Float32Array
    """Shape (3, pairs): the sum of event weights, 0 where a period has no event of the pair."""
    last: Int64Array
    """Shape (3, pairs): epoch microseconds of the last event, 0 where there is none."""
    cuts: Cuts
    """The times that separate the periods."""
    about: dict[str, Any]
    """Lineage: table version, counts, incumbent."""
    stock: ItemFeatures | None = None
    """What the items table says about the items; None without a table."""
    disliked: BoolArray | None = None
    """Shape (2, pairs): whether the user's last word on the item was a dislike, at the end of the
    validation and at the end of the holdout. None stands for no dislikes."""

    @property
    def shape(self) -> tuple[int, int]:
        """(users, items)."""
        return len(self.user_ids), len(self.item_ids)

    @property
    def met_item_count(self) -> int:
        """How many of the items, the first ones, somebody met in the window."""
        unmet = self.stock.unmet if self.stock else 0
        return len(self.item_ids) - unmet

    @property
    def content(self) -> Float32Array:
        """Content vectors, shape (items, d), see ItemFeatures; d is 0 without an items table."""
        if self.stock is None:
            return np.zeros((len(self.item_ids), 0), np.float32)
        return self.stock.content

    def drop_unmet_items(self) -> "Splits":
        """Return the splits of only those items that somebody met."""
        if self.stock is None or not self.stock.unmet:
            return self
        count = self.met_item_count
        stock = replace(
            self.stock,
            content=self.stock.content[:count],
            first_seen=self.stock.first_seen[:count],
            unmet=0,
        )
        return replace(self, item_ids=self.item_ids.subset(np.arange(count)), stock=stock)

    def new_items(self, stage: Stage) -> BoolArray:
        """Find the items with content that were in the shop by the stage's cut but met by nobody.

        The age of the items that the very first run saw is unknown: they count as seen by any cut.

        Returns:
            A mask, shape (items,).
        """
        if self.stock is None:
            return np.zeros(self.shape[1], dtype=bool)
        first_seen = self.stock.first_seen
        is_listed = first_seen > 0
        seen_by_cut = (first_seen <= self._cut_microseconds(stage)) | (
            first_seen == self.stock.since
        )
        is_new = is_listed & seen_by_cut & self.stock.content.any(axis=1)
        has_met = self.met(slice(PERIODS_BEFORE[stage]))
        is_new[self.item_index[has_met]] = False
        return np.asarray(is_new)

    def end(self, stage: Stage) -> datetime:
        """Return the cut before which the rows of a stage lie."""
        ends = {
            "tune": self.cuts.validation_start,
            "train": self.cuts.train_end,
            "refit": self.cuts.as_of,
        }
        return ends[stage]

    def _cut_microseconds(self, stage: Stage) -> int:
        return int(self.end(stage).timestamp() * 1_000_000)

    def user_items(self, stage: Stage) -> UserItems:
        """Build the weights and ages of all rows before the stage's cut.

        The matrix has all users and items of the window.
        """
        periods = PERIODS_BEFORE[stage]
        weight = self.weight[:periods].sum(axis=0)
        last = self.last[:periods].max(axis=0)
        # The weight does not decide: a rating of 0 has none, and yet the item was seen.
        has_met = last > 0
        age = (self._cut_microseconds(stage) - last[has_met]) / MICROSECONDS_PER_DAY
        return UserItems(self._build_csr(has_met, weight[has_met]), age.astype(np.float32))

    @property
    def counts_repeats(self) -> bool:
        """Whether lists may hold items that the user has met, so that these count as truth."""
        return bool(self.about.get("repeats", "off") != "off")

    @property
    def repeat_gap(self) -> float:
        """Days after which people of this shop usually meet an item again."""
        return float(self.about.get("repeat_gap", DEFAULT_GAP))

    def truth(self, split: EvaluationSplit) -> csr_matrix:
        """Build the matrix of the items that users met in the split.

        It has a row for each user; stored entries are 1. Items that the user had met before the
        split are left out unless the lists may hold them. So are items that the user met and then
        disliked: who recommends them does no good.
        """
        is_truth = self.met(PERIODS_BEFORE[split])
        if self.disliked is not None:
            is_truth &= ~self.disliked[PERIODS_BEFORE[split] - 1]
        if not self.counts_repeats:
            is_truth &= ~self.is_repeat(split)
        return self._build_csr(is_truth, np.ones(int(is_truth.sum()), dtype=np.float32))

    def is_repeat(self, split: EvaluationSplit) -> BoolArray:
        """Say which pairs the user met in the split and before it, shape (pairs,)."""
        period = PERIODS_BEFORE[split]
        return np.asarray(self.met(period) & self.met(slice(period)))

    def repeat_share(self, split: EvaluationSplit) -> float:
        """Compute the share of the split's pairs that the user had met before it.

        A list without items that the user has met cannot hit these pairs.
        """
        has_met = self.met(PERIODS_BEFORE[split])
        return float(self.is_repeat(split).sum() / max(1, has_met.sum()))

    def judged(self, split: EvaluationSplit) -> Int64Array:
        """List the users of the primary metric: history before the split, and truth in it."""
        has_history = np.zeros(self.shape[0], dtype=bool)
        has_history[self.user_index[self.met(slice(PERIODS_BEFORE[split]))]] = True
        has_truth = np.diff(self.truth(split).indptr) > 0
        return np.flatnonzero(has_history & has_truth)

    @property
    def holdout_fingerprint(self) -> str:
        """A digest of the catalogue, the evaluated users and what they met, 16 hex digits."""
        truth = self.truth("holdout")
        item_ids = self.drop_unmet_items().item_ids
        user_ids = self.user_ids.subset(np.flatnonzero(np.diff(truth.indptr)))
        digest = hashlib.sha256()
        for ids in (item_ids, user_ids):
            digest.update(pa.record_batch([ids.ids], ["id"]).serialize())
        for array in (truth.indptr, truth.indices, self.judged("holdout")):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def met(self, periods: int | slice) -> BoolArray:
        """Say whether each pair has an event in a period, or in any of several; shape (pairs,)."""
        return np.asarray(np.atleast_2d(self.last[periods] > 0).any(axis=0))

    def _build_csr(self, mask: BoolArray, values: Float32Array) -> csr_matrix:
        """Build a matrix, shape (users, items), of the pairs in the mask."""
        counts = np.bincount(self.user_index[mask], minlength=self.shape[0])
        indptr = np.concatenate([[0], counts.cumsum()]).astype(np.int32)
        return csr_matrix((values, self.item_index[mask], indptr), shape=self.shape)

    def save(self, folder: Path) -> None:
        """Write a directory of id maps, arrays without pickle and cuts. MANIFEST comes last."""
        folder.mkdir(parents=True, exist_ok=True)
        self.user_ids.save(folder / "user_ids.parquet", "user_id")
        self.item_ids.save(folder / "item_ids.parquet", "item_id")
        pairs: dict[str, Any] = {
            "user": self.user_index,
            "item": self.item_index,
            "weight": self.weight,
            "last": self.last,
        }
        if self.disliked is not None:
            pairs["disliked"] = self.disliked
        with (folder / "pairs.npz").open("wb") as file:
            np.savez(file, **pairs)
        if self.stock:
            with (folder / "stock.npz").open("wb") as file:
                np.savez(file, **dataclasses.asdict(self.stock))
        cuts = {
            "validation_start": format_iso(self.cuts.validation_start),
            "train_end": format_iso(self.cuts.train_end),
            "as_of": format_iso(self.cuts.as_of),
        }
        document = {"cuts": cuts, "about": self.about}
        (folder / "about.json").write_text(json.dumps(document, indent=1, sort_keys=True))
        write_manifest(folder)

    @classmethod
    def load(cls, folder: Path) -> "Splits":
        """Read a directory that `save` wrote.

        Raises:
            ValueError: A file is missing or damaged.
        """
        check_manifest(folder)
        document = json.loads((folder / "about.json").read_text())
        cuts = {name: parse_as_of(text) for name, text in document["cuts"].items()}
        with np.load(folder / "pairs.npz", allow_pickle=False) as arrays:
            return cls(
                user_ids=IdMap.load(folder / "user_ids.parquet"),
                item_ids=IdMap.load(folder / "item_ids.parquet"),
                user_index=arrays["user"],
                item_index=arrays["item"],
                weight=arrays["weight"],
                last=arrays["last"],
                cuts=Cuts(**cuts),
                about=document["about"],
                stock=_load_item_features(folder / "stock.npz"),
                disliked=arrays.get("disliked"),
            )


def _load_item_features(path: Path) -> ItemFeatures | None:
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return ItemFeatures(
            content=arrays["content"],
            first_seen=arrays["first_seen"],
            since=int(arrays["since"]),
            unmet=int(arrays["unmet"]),
        )
