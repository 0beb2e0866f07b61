"""Build the top lists of all users, and what a published version needs besides them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.arrays import BoolArray, Float32Array, Int64Array, PopularItems
from dawnlist.components.recommend.device_segments import rank_items_by_device
from dawnlist.components.recommend.disliked_items import (
    find_disliked_items,
    mark_disliked_pairs,
)
from dawnlist.components.recommend.trends import measure_trends
from dawnlist.components.recommend.withdrawn_items import WithdrawnItems
from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.filters.attributes import read_attributes
from dawnlist.filters.columns import ColumnKind
from dawnlist.lake.lake import Lake
from dawnlist.model import hybrid, popularity
from dawnlist.model.associations import associate_items
from dawnlist.model.evaluation import Evaluation
from dawnlist.model.factor_model import AlignedModel, FactorModel
from dawnlist.model.item_relations import ItemRelations, add_relations
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems
from dawnlist.records.registry import Publication
from dawnlist.records.verdict import Verdict
from dawnlist.records.winner_names import get_configured_day
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store.toplists import TopLists

BLOCK_USERS = 32_768
"""Users whose lists are ranked at a time."""
POPULAR_DEPTH: Final = 200
"""Items of a popular list, if so many were met: filters and withdrawals use a list of k up."""


def build_top_lists(
    lake: Lake,
    splits: Splits,
    model: FactorModel,
    meta: dict[str, Any],
    k: int,
    withdrawn: WithdrawnItems,
    item_columns: Mapping[str, ColumnKind],
    event_names: Mapping[str, str],
) -> TopLists:
    """Rank the k best items of each user, and popular items for unknown users.

    The lists include the model's vectors and what each user has met, so that answers can be
    computed again. The catalogue has every item of the splits, since histories name them; no list
    has a withdrawn one. An item without a row in the items table has no title. `item_columns` is
    the setting items.columns: the attributes that the catalogue has, too. `event_names` is the
    setting source.events.

    Raises:
        ValueError: `k` is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}: give the length of a list, 1 or more")
    if "factors" not in model.config:
        # A popularity model does not know items that nobody has met.
        splits = splits.drop_unmet_items()
    history = splits.user_items("refit")
    aligned = model.align(splits.user_ids, splits.item_ids)
    users = np.flatnonzero(aligned.knows_user)
    # Items that nobody met are the last ones.
    is_withdrawn = withdrawn.mask[: splits.shape[1]]
    servable = replace(aligned, knows_item=aligned.knows_item & ~is_withdrawn)
    disliked = find_disliked_items(lake, splits, parse_as_of(meta["as_of"]), event_names)
    served_history = mark_disliked_pairs(history, disliked)
    items, scores = _rank_items(servable, users, served_history, k)
    popular_items, popular_scores = _rank_popular_items(
        history, meta["popularity_window"], k, is_withdrawn
    )
    known_users = _select_users(splits, model, aligned, users)
    columns = hybrid.split_columns(known_users)
    return TopLists(
        user_ids=known_users.user_ids.ids.to_numpy(zero_copy_only=False),
        item_index=np.maximum(items, 0).astype(np.uint32),
        score=scores,
        lengths=(items >= 0).sum(axis=1),
        catalogue=add_relations(
            _build_catalogue(lake, splits, item_columns),
            ItemRelations(associate_items(history.weight), measure_trends(lake, splits)),
        ),
        popular_index=popular_items,
        popular_score=popular_scores,
        vectors=columns.vectors,
        item_factors=columns.item_factors,
        item_bias=columns.item_bias,
        item_content=columns.item_content,
        histories=_select_histories(served_history, aligned.knows_user),
        segments=rank_items_by_device(lake, splits, max(k, POPULAR_DEPTH), is_withdrawn),
        withdrawn=np.flatnonzero(is_withdrawn),
        meta=meta
        | {
            "k": k,
            "users": len(users),
            "items": splits.shape[1],
            "withdrawn": withdrawn.counts,
            "disliked": int(disliked.nnz),
            "config": model.config,
        },
    )


def _select_users(
    splits: Splits,
    model: FactorModel,
    aligned: AlignedModel,
    users: Int64Array,
) -> FactorModel:
    """Select some users of an aligned model, with all items of the splits."""
    return FactorModel(
        splits.user_ids.subset(users),
        splits.item_ids,
        aligned.user_factors[users],
        aligned.item_factors,
        model.config,
    )


def _rank_items(
    aligned: AlignedModel,
    users: Int64Array,
    history: UserItems,
    k: int,
) -> tuple[Int64Array, Float32Array]:
    """Rank the k best items of some users, without what they disliked, block by block.

    Returns item indices, -1 where a user has fewer items, and scores; both of shape (users, k).
    """
    items = np.full((len(users), k), -1)
    scores = np.zeros((len(users), k), np.float32)
    for start in range(0, len(users), BLOCK_USERS):
        block = slice(start, start + BLOCK_USERS)
        block_users = users[block]
        items[block], scores[block] = aligned.rank(
            block_users, history.select_users(block_users), k
        )
    return items, scores


def _rank_popular_items(
    history: UserItems,
    window: str,
    k: int,
    is_withdrawn: BoolArray,
) -> PopularItems:
    """Rank the most popular items of a popularity window, with their popularity.

    There are POPULAR_DEPTH of them if the window has so many, and k in any case.
    """
    item_factors = popularity.fit_popularity(history, window)[1]
    counts = item_factors[:, 0]
    best = np.argsort(-counts, kind="stable")
    best = best[~is_withdrawn[best]]
    popular_count = int((counts[best] > 0).sum())
    best = best[: max(k, min(popular_count, POPULAR_DEPTH))]
    return best.astype(np.uint32), counts[best]


def _select_histories(history: UserItems, is_known: BoolArray) -> UserItems:
    """Select the histories of the known users; `is_known` has the shape (users,)."""
    is_known_pair = np.repeat(is_known, np.diff(history.weight.indptr))
    return UserItems(history.weight[np.flatnonzero(is_known)], history.age[is_known_pair])


def build_list_metadata(
    evaluation: Evaluation,
    verdict: Verdict,
    incumbent: Publication | None,
    model: Mapping[str, Any],
    event_weights: dict[str, float],
    as_of: datetime,
    run: str,
) -> dict[str, Any]:
    """Build the metadata that goes with the lists to the store and the registry.

    Args:
        incumbent: What was live when the splits were cut, or None.
        model: The labels of the refitted model's artifact: `name_in_lake`, and `engine`.

    Returns:
        Among others `configured`, the day on which the configuration won; a renewed one is older
        than its model.
    """
    winner = verdict.winner
    configured = format_iso(as_of)
    if winner == "incumbent" and incumbent is not None:
        configured = get_configured_day(incumbent)
    return {
        "as_of": format_iso(as_of),
        "run": run,
        "model": model["name_in_lake"],
        "winner": winner,
        "engine": model["engine"],
        "configured": configured,
        "metrics": evaluation.arms[winner],
        "popularity_window": evaluation.popularity_window,
        "event_weights": event_weights,
    }


def _build_catalogue(lake: Lake, splits: Splits, kinds: Mapping[str, ColumnKind]) -> pa.Table:
    """Build a row for each item of the splits, in the order of its index.

    The columns are those of CATALOGUE_SCHEMA and one for each attribute of `kinds`.
    """
    ids = splits.item_ids.ids
    rows = lake.rows("items")
    if rows is None or "attributes" not in rows.schema.names:
        kinds = {}
    names = [*CATALOGUE_SCHEMA.names]
    if kinds:
        names.append("attributes")
    items = CATALOGUE_SCHEMA.empty_table()
    if rows is not None:
        items = rows.to_table(columns=names)
    row_numbers = pc.index_in(ids, value_set=items["item_id"].cast(ids.type).combine_chunks())
    catalogue = pa.table([ids], names=["item_id"])
    for name in CATALOGUE_SCHEMA.names[1:]:
        catalogue = catalogue.append_column(name, items[name].take(row_numbers))
    catalogue = catalogue.cast(CATALOGUE_SCHEMA)
    if kinds:
        attributes = read_attributes(items["attributes"].take(row_numbers), kinds)
        for name, column in attributes.items():
            catalogue = catalogue.append_column(name, column)
    return catalogue
