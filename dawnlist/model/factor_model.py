"""FactorModel: what a fit leaves behind, as a directory without pickle, and top-k over it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.arrays import Float32Array
from dawnlist.lake.manifest import check_manifest, write_manifest
from dawnlist.model.ids import IdMap


@dataclass(frozen=True)
class FactorModel:
    """User and item factors whose inner product ranks items.

    Popularity is such a model too, of one factor: every user is 1 and an item is its weight, so that nothing
    downstream needs to ask which of the two it holds.
    """

    user_ids: IdMap
    item_ids: IdMap
    user_factors: Float32Array
    """Shape (users, factors)."""
    item_factors: Float32Array
    """Shape (items, factors)."""
    config: dict[str, Any] = field(default_factory=dict)
    """Engine, hyper-parameters, seed."""
    lineage: dict[str, Any] = field(default_factory=dict)
    """as_of, table version, digest of the settings, code version; figures stand in its publication."""

    def __post_init__(self) -> None:
        shapes = (len(self.user_ids), len(self.item_ids))
        if (len(self.user_factors), len(self.item_factors)) != shapes:
            raise ValueError(
                f"{len(self.user_factors)} user and {len(self.item_factors)} item vectors for {shapes[0]} user and "
                f"{shapes[1]} item ids: give one vector for each id"
            )

    def save(self, folder: Path) -> None:
        """Write the directory; MANIFEST, the sha256 of each file, goes last."""
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
        """Read a directory; ValueError when a file is missing or is not the one that was written."""
        check_manifest(folder)
        return cls(
            IdMap.load(folder / "user_ids.parquet"),
            IdMap.load(folder / "item_ids.parquet"),
            np.load(folder / "user_factors.npy", allow_pickle=False),
            np.load(folder / "item_factors.npy", allow_pickle=False),
            json.loads((folder / "config.json").read_text()),
            json.loads((folder / "lineage.json").read_text()),
        )

    @classmethod
    def from_interactions(
        cls,
        ids: tuple[IdMap, IdMap],
        factors: tuple[Float32Array, Float32Array],
        user_items: csr_matrix,
        config: dict[str, Any],
        lineage: dict[str, Any],
    ) -> "FactorModel":
        """The model of the users and items that have at least one interaction in `user_items`; the rest is unknown."""
        users = np.flatnonzero(np.diff(user_items.indptr))
        items = np.unique(user_items.indices).astype(np.int64)
        return cls(
            ids[0].subset(users),
            ids[1].subset(items),
            factors[0][users],
            factors[1][items],
            config,
            lineage,
        )

    def align(self, user_ids: IdMap, item_ids: IdMap) -> "AlignedModel":
        """The same model over other id maps; who is unknown to it has a zero vector and a False in the mask."""
        users, items = self.user_ids.indices(user_ids.ids), self.item_ids.indices(item_ids.ids)
        return AlignedModel(
            _gather_rows(self.user_factors, users),
            _gather_rows(self.item_factors, items),
            users >= 0,
            items >= 0,
        )


@dataclass(frozen=True)
class AlignedModel:
    """Factors in the index space of a dataset."""

    user_factors: Float32Array
    item_factors: Float32Array
    knows_user: npt.NDArray[np.bool_]
    knows_item: npt.NDArray[np.bool_]

    def top_k(
        self, users: npt.NDArray[np.int64], seen: csr_matrix, k: int, device: str = "cpu"
    ) -> tuple[npt.NDArray[np.int64], Float32Array]:
        """The k best items that each of `users` has not seen, best first, and of equal ones the earlier first.

        `seen`: (len(users), items), a stored entry is left out of that user's list. Returns item indices, shape
        (len(users), k), -1 where fewer items are left, and their scores, 0 there. A user that the model does not
        know gets an empty list.
        """
        from dawnlist.ranking.topk import (
            top_k,
        )  # brings numba, a second that who only loads a model need not wait

        known = np.flatnonzero(self.knows_user[users])
        items = np.full((len(users), k), -1, dtype=np.int64)
        scores = np.zeros((len(users), k), dtype=np.float32)
        asked, met = self.user_factors[users[known]], seen[known].tocsr()
        items[known], scores[known] = top_k(
            asked, self.item_factors, k, met, self.knows_item, device
        )
        return items, scores


def _gather_rows(factors: Float32Array, indices: npt.NDArray[np.int64]) -> Float32Array:
    aligned = np.zeros((len(indices), factors.shape[1]), dtype=np.float32)
    aligned[indices >= 0] = factors[indices[indices >= 0]]
    return aligned
