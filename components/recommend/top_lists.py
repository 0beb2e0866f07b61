"""Top lists of all users, in blocks, with titles from the items table, and what a version needs beside them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.arrays import Float32Array, Int64Array
from dawnlist.components.recommend.device_segments import rank_items_by_device
from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.model import hybrid, popularity
from dawnlist.model.factor_model import AlignedModel, FactorModel
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store.toplists import TopLists

BLOCK_USERS = 32_768


def build_top_lists(
    lake: Lake,
    splits: Splits,
    model: FactorModel,
    meta: dict[str, Any],
    k: int,
    progress: Callable[[int], None] = lambda users: None,
) -> TopLists:
    """The k best items that each known user has not met, and popular lists, by kind of device too, for all others.

    With them go the model's vectors and what every user has met, so that answers can be computed anew. The catalogue is
    every item of the splits; an item without a row in the items table has no title.
    """
    if k < 1:
        raise ValueError(f"k is {k}: give the length of a list, 1 or more")
    splits = (
        splits if "factors" in model.config else splits.drop_unmet_items()
    )  # which popularity does not know
    history = splits.user_items("refit")
    aligned = model.align(splits.user_ids, splits.item_ids)
    users = np.flatnonzero(aligned.knows_user)
    items, scores = _rank_items(aligned, users, history, k, progress)
    popular, counts = _rank_popular_items(history, meta["popularity_window"], k)
    known = FactorModel(
        splits.user_ids.subset(users),
        splits.item_ids,
        aligned.user_factors[users],
        aligned.item_factors,
        model.config,
    )
    parts = hybrid.split_columns(known)
    return TopLists(
        user_ids=known.user_ids.ids.to_numpy(zero_copy_only=False),
        item_index=np.maximum(items, 0).astype(np.uint32),
        score=scores,
        lengths=(items >= 0).sum(axis=1),
        catalogue=_build_catalogue(lake, splits),
        popular_index=popular,
        popular_score=counts,
        vectors=parts.vectors,
        item_factors=parts.item_factors,
        item_bias=parts.item_bias,
        item_content=parts.item_content,
        histories=_select_histories(history, aligned.knows_user),
        segments=rank_items_by_device(lake, splits, k),
        meta={
            **meta,
            "k": k,
            "users": len(users),
            "items": splits.shape[1],
            "config": model.config,
        },
    )


def _rank_items(
    aligned: AlignedModel,
    users: Int64Array,
    history: UserItems,
    k: int,
    progress: Callable[[int], None],
) -> tuple[Int64Array, Float32Array]:
    """The k best items of some users, -1 where there are fewer, and their scores; both (users, k)."""
    items, scores = np.full((len(users), k), -1), np.zeros((len(users), k), np.float32)
    for start in range(0, len(users), BLOCK_USERS):
        part = slice(start, start + BLOCK_USERS)
        items[part], scores[part] = aligned.top_k(users[part], history.weight[users[part]], k)
        progress(min(part.stop, len(users)))
    return items, scores


def _rank_popular_items(
    history: UserItems, window: str, k: int
) -> tuple[npt.NDArray[np.uint32], Float32Array]:
    """The k most popular items, and how popular they are."""
    counts = popularity.fit_popularity(history, window)[1][:, 0]
    best = np.argsort(-counts, kind="stable")[:k]
    return best.astype(np.uint32), counts[best]


def _select_histories(history: UserItems, users: npt.NDArray[np.bool_]) -> UserItems:
    """The histories of some users."""
    pairs = np.repeat(users, np.diff(history.weight.indptr))
    return UserItems(history.weight[np.flatnonzero(users)], history.age[pairs])


def build_list_metadata(
    evaluation: dict[str, Any],
    verdict: dict[str, Any],
    model: str,
    event_weights: dict[str, float],
    as_of: str,
    run: str,
) -> dict[str, Any]:
    """What the lists carry with them to the store and the registry."""
    return {
        "as_of": format_iso(parse_as_of(as_of)),
        "run": run,
        "model": model,
        "winner": verdict["winner"],
        "engine": "popularity" if verdict["winner"] == "popularity" else "als",
        "metrics": evaluation["arms"][verdict["winner"]],
        "popularity_window": evaluation["popularity_window"],
        "event_weights": event_weights,
    }


def _build_catalogue(lake: Lake, splits: Splits) -> pa.Table:
    """One row for each item of the splits, in the order of its dense index."""
    ids = splits.item_ids.ids
    rows = lake.rows("items")
    known = (
        CATALOGUE_SCHEMA.empty_table()
        if rows is None
        else rows.to_table(columns=CATALOGUE_SCHEMA.names).cast(CATALOGUE_SCHEMA)
    )
    found = pc.index_in(ids, value_set=known["item_id"].combine_chunks())
    columns = {name: known[name].take(found) for name in ("title", "genres")}
    return pa.table({"item_id": ids, **columns}, schema=CATALOGUE_SCHEMA)
