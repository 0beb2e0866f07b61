"""FactorModel: the result of a fit, stored as a directory without pickle, and its top-k lists."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, FactorPair, Float32Array, Int64Array, RankedLists
from dawnlist.lake.manifest import check_manifest, write_manifest
from dawnlist.model.ids import IdMap
from dawnlist.model.repeats import RepeatSettings, merge_own_items
from dawnlist.model.user_items import UserItems

PAIRS_PER_BLOCK: Final = 262_144
"""Own items whose vectors are gathered at once."""


@dataclass(frozen=True)
class FactorModel:
    """User and item factors whose inner product ranks items.

    Popularity is such a model too, with one factor: each user is 1, and an item is its weight. The
    code that reads models therefore treats both alike.
    """

    user_ids: IdMap
    """The users that the model knows."""
    item_ids: IdMap
    """The items that the model knows."""
    user_factors: Float32Array
    """Shape (users, factors)."""
    item_factors: Float32Array
    """Shape (items, factors)."""
    config: dict[str, Any] = field(default_factory=dict)
    """Engine, hyper-parameters, seed."""
    lineage: dict[str, Any] = field(default_factory=dict)
    """as_of, table version, digest of the settings, code version.

    The model's metrics are part of its publication, not of its lineage.
    """

    def __post_init__(self) -> None:
        users, items = len(self.user_ids), len(self.item_ids)
        if (len(self.user_factors), len(self.item_factors)) != (users, items):
            raise ValueError(
                f"{len(self.user_factors)} user and {len(self.item_factors)} item vectors for "
                f"{users} user and {items} item ids: give one vector for each id"
            )

    def save(self, folder: Path) -> None:
        """Write a directory. MANIFEST, the sha256 of each file, is written last."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "user_factors.npy", self.user_factors)
        np.save(folder / "item_factors.npy", self.item_factors)
        self.user_ids.save(folder / "user_ids.parquet", "user_id")
        self.item_ids.save(folder / "item_ids.parquet", "item_id")
        (folder / "config.json").write_text(json.dumps(self.config, indent=1, sort_keys=True))
        (folder / "lineage.json").write_text(json.dumps(self.lineage, indent=1, sort_keys=True))
        write_manifest(folder)

    @classmethod
    def load(cls, folder: Path) -> "FactorModel":
        """Read a directory that `save` wrote.

        Raises:
            ValueError: A file is missing, or is not the one that was written.
        """
        check_manifest(folder)
        return cls(
            user_ids=IdMap.load(folder / "user_ids.parquet"),
            item_ids=IdMap.load(folder / "item_ids.parquet"),
            user_factors=np.load(folder / "user_factors.npy", allow_pickle=False),
            item_factors=np.load(folder / "item_factors.npy", allow_pickle=False),
            config=json.loads((folder / "config.json").read_text()),
            lineage=json.loads((folder / "lineage.json").read_text()),
        )

    @classmethod
    def from_interactions(
        cls,
        ids: tuple[IdMap, IdMap],
        factors: FactorPair,
        user_items: csr_matrix,
        config: dict[str, Any],
        lineage: dict[str, Any],
    ) -> "FactorModel":
        """Build a model of only those users and items that have an entry in `user_items`."""
        users = np.flatnonzero(np.diff(user_items.indptr))
        items = np.unique(user_items.indices).astype(np.int64)
        return cls(
            user_ids=ids[0].subset(users),
            item_ids=ids[1].subset(items),
            user_factors=factors[0][users],
            item_factors=factors[1][items],
            config=config,
            lineage=lineage,
        )

    def align(self, user_ids: IdMap, item_ids: IdMap) -> "AlignedModel":
        """Copy the factors into the order of other id maps.

        A user or item that the model does not know has a zero vector and False in the mask.
        """
        users = self.user_ids.indices(user_ids.ids)
        items = self.item_ids.indices(item_ids.ids)
        return AlignedModel(
            user_factors=_gather_rows(self.user_factors, users),
            item_factors=_gather_rows(self.item_factors, items),
            knows_user=users >= 0,
            knows_item=items >= 0,
            config=self.config,
        )


@dataclass(frozen=True)
class AlignedModel:
    """Factors in the index space of a dataset."""

    user_factors: Float32Array
    """Shape (users, factors)."""
    item_factors: Float32Array
    """Shape (items, factors)."""
    knows_user: BoolArray
    """Which users the model knows, shape (users,)."""
    knows_item: BoolArray
    """Which items the model knows, shape (items,)."""
    config: dict[str, Any] = field(default_factory=dict)
    """The model's config."""

    def rank(
        self, users: Int64Array, history: UserItems, k: int, device: str = "cpu"
    ) -> RankedLists:
        """Rank the items of each of `users` as they are served: with own items if there are any.

        Args:
            users: User indices.
            history: What these users have met, shape (len(users), items). These items are in a list
                only if the model repeats items.
            k: The length of a list.
            device: "cpu" or "gpu".

        Returns:
            Item indices and scores as of `top_k`; the scores are divided by the users' scales.
        """
        items, scores = self.top_k(users, history.weight, k, device)
        scales = self._select_scales(users)
        scores = scores / scales[:, None]
        repeats = RepeatSettings.from_config(self.config)
        if not repeats.share:
            return items, scores
        own = self._score_own_items(users, repeats.score_all_own_items(history), scales)
        return merge_own_items((items, scores), own, k)

    def _select_scales(self, users: Int64Array) -> Float32Array:
        """Return the scale of each user's scores, 1 for a user whom the model does not know."""
        scales = np.ones(len(users), dtype=np.float32)
        if "score_scale" not in self.config:
            return scales
        column = self.user_factors[users, self.config["factors"]]
        is_known = self.knows_user[users]
        scales[is_known] = column[is_known]
        return scales

    def _score_own_items(
        self, users: Int64Array, own: csr_matrix, scales: Float32Array
    ) -> csr_matrix:
        """Add the scores of the inner products to those of own items that the model knows."""
        rows = np.repeat(np.arange(len(users)), np.diff(own.indptr))
        is_known = self.knows_user[users][rows] & self.knows_item[own.indices]
        rows, columns, scores = rows[is_known], own.indices[is_known], own.data[is_known]
        for start in range(0, len(rows), PAIRS_PER_BLOCK):
            block = slice(start, start + PAIRS_PER_BLOCK)
            user_vectors = self.user_factors[users[rows[block]]]
            products = np.einsum("pf,pf->p", user_vectors, self.item_factors[columns[block]])
            scores[block] += products / scales[rows[block]]
        row_ends = np.cumsum(np.bincount(rows, minlength=len(users)))
        indptr = np.concatenate([[0], row_ends])
        return csr_matrix((scores, columns, indptr), shape=own.shape)

    def top_k(
        self, users: Int64Array, seen: csr_matrix, k: int, device: str = "cpu"
    ) -> RankedLists:
        """Find the k best items that each of `users` has not seen.

        Args:
            users: User indices.
            seen: Shape (len(users), items). A stored entry is left out of that user's list.
            k: The length of a list.
            device: "cpu" or "gpu".

        Returns:
            Item indices and scores, shape (len(users), k), best first. Of equal scores the smaller
            index comes first. Beyond the end of a list the index is -1 and the score 0. A user that
            the model does not know gets an empty list.
        """
        # This import brings numba, a second that a program which only loads a model can save.
        from dawnlist.ranking.topk import top_k

        rows = np.flatnonzero(self.knows_user[users])
        items = np.full((len(users), k), -1, dtype=np.int64)
        scores = np.zeros((len(users), k), dtype=np.float32)
        items[rows], scores[rows] = top_k(
            self.user_factors[users[rows]],
            self.item_factors,
            k,
            seen[rows].tocsr(),
            self.knows_item,
            device,
        )
        return items, scores


def _gather_rows(factors: Float32Array, indices: Int64Array) -> Float32Array:
    """Copy the rows at `indices`. A negative index gives a row of zeros."""
    is_known = indices >= 0
    rows = np.zeros((len(indices), factors.shape[1]), dtype=np.float32)
    rows[is_known] = factors[indices[is_known]]
    return rows
