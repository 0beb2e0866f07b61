"""One version in the predictor's memory. It never changes; a call keeps the one it began with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from dawnlist.arrays import BoolArray, Float32Array, Int64Array, PopularItems
from dawnlist.cuts import parse_as_of
from dawnlist.model.config import ALSConfig
from dawnlist.model.item_relations import RELATION_COLUMNS, ItemRelations, read_relations
from dawnlist.model.repeats import RepeatSettings
from dawnlist.ranking.coarse import QuantisedIndex
from dawnlist.ranking.fold_in import FoldIn
from dawnlist.serving.predictor.answers.bucket import UserRecords
from dawnlist.serving.predictor.answers.columns import IdColumn, TextColumn
from dawnlist.serving.predictor.answers.item_filters import ItemFilters
from dawnlist.serving.predictor.answers.popular_ranking import PopularRanking
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.shelves.similar_items import SimilarItems
from dawnlist.store.item_chunks import WITHDRAWN_COLUMN, find_withdrawn_rows
from dawnlist.store.layout import VersionMeta
from dawnlist.store.toplists import EVERYBODY

OTHER_COLUMNS: Final = ("item_id", "title", WITHDRAWN_COLUMN, *RELATION_COLUMNS)
"""Columns of the catalogue that are no attributes."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One version; all arrays and columns have a row for each item."""

    token: str
    """The version's name in the store's keys."""
    version: int
    """The version's number."""
    as_of: datetime
    """The end of the data that the model was trained on, in UTC."""
    k: int
    """The length of the users' lists."""
    salt: bytes
    """The salt of the hash that assigns users to buckets."""
    buckets: int
    """The number of buckets."""
    records: UserRecords
    """Reads users' records from buckets."""
    item_ids: IdColumn
    """The items' ids."""
    titles: TextColumn
    """The items' titles."""
    filters: ItemFilters
    """Computes which items filters match."""
    coarse: QuantisedIndex
    """The vectors [factors | content] and the biases, for ranking all items."""
    fold_in: FoldIn
    """Computes a user's vector from their history and events."""
    content: Float32Array
    """The content vectors, shape (items, d)."""
    content_share: float
    """The model's content_share: the weight of content for a user who has met nothing."""
    content_pairs: float
    """The model's content_pairs: after so many items met, that weight is halved."""
    score_items: float
    """The model's score_scale, see dawnlist.model.score_scales; 0 for a version of an older release,
    whose factor scores are not divided."""
    repeats: RepeatSettings
    """How own items are scored. With a share of 0 the users' lists have none of them."""
    event_weights: Mapping[str, float]
    """The weight of each event type; "" stands for an event without a type."""
    everybody: PopularRanking
    """The popular list, and after it all other items with a positive bias."""
    segments: Mapping[frozenset[str], PopularRanking]
    """Popular lists by their conditions, such as {"country=DE", "device=mobile"}."""
    withdrawn: frozenset[int] = field(default_factory=frozenset)
    """The rows of the items that no answer may have. Users' own lists may still hold those that
    were withdrawn after the run; no popular list does."""
    servable: BoolArray | None = None
    """Which items an answer may have, shape (items,); None if nothing is withdrawn."""
    relations: ItemRelations | None = None
    """Associated items and trends; None for a version of an older release."""

    @classmethod
    def from_store(
        cls,
        meta: VersionMeta,
        catalogue: pa.Table,
        vectors: Float32Array,
        bias: Float32Array,
        popular: Mapping[str, PopularItems],
    ) -> "Snapshot":
        """Build a snapshot from what the store holds.

        Args:
            meta: The version's metadata.
            catalogue: The items, one a row.
            vectors: [factors | content], shape (items, factors + d).
            bias: Shape (items,).
            popular: The popular lists by segment, with one for everybody.
        """
        config = meta["config"]
        factors = int(meta["factors"])
        snapshot = cls(
            token=meta["token"],
            version=int(meta["version"]),
            as_of=parse_as_of(meta["as_of"]),
            k=int(meta["k"]),
            salt=bytes.fromhex(meta["salt"]),
            buckets=int(meta["buckets"]),
            records=UserRecords(meta),
            item_ids=IdColumn(catalogue["item_id"]),
            titles=TextColumn(catalogue["title"]),
            filters=ItemFilters.from_catalogue(catalogue, OTHER_COLUMNS),
            coarse=QuantisedIndex.of(vectors, bias),
            fold_in=_build_fold_in(vectors[:, :factors], config),
            content=vectors[:, factors:],
            content_share=float(config.get("content_share", 0.0)),
            content_pairs=float(config.get("content_pairs", 0.0)),
            score_items=float(config.get("score_scale", 0.0)),
            repeats=RepeatSettings.from_config(config),
            event_weights=_add_default_weight(meta.get("event_weights") or {}),
            everybody=PopularRanking.from_bias(popular[EVERYBODY], bias),
            segments=_build_segments(popular),
            relations=read_relations(catalogue),
        )
        return snapshot._without_rows(find_withdrawn_rows(catalogue))

    def without_items(self, item_ids: Iterable[str]) -> "Snapshot":
        """Return this version for answers without the given items. Unknown ids are ignored."""
        return self._without_rows(self.item_ids.find_all_rows(item_ids))

    def _without_rows(self, rows: Int64Array) -> "Snapshot":
        """Return this version without these rows, besides those that are withdrawn already."""
        withdrawn = self.withdrawn.union(rows.tolist())
        if len(withdrawn) == len(self.withdrawn):
            return self
        servable = np.ones(len(self.item_ids), dtype=bool)
        servable[list(withdrawn)] = False
        segments = {name: ranking.select(servable) for name, ranking in self.segments.items()}
        return replace(
            self,
            withdrawn=withdrawn,
            servable=servable,
            everybody=self.everybody.select(servable),
            segments=segments,
        )

    @cached_property
    def as_of_seconds(self) -> float:
        """`as_of` in seconds since 1970."""
        return self.as_of.timestamp()

    @cached_property
    def similar_items(self) -> SimilarItems:
        """Finds the items that are similar to one."""
        return SimilarItems(self.coarse.vectors, self.factors)

    @cached_property
    def trending_rows(self) -> Int64Array:
        """The items that are met more often than usual, the strongest trend first."""
        if self.relations is None:
            return np.zeros(0, np.int64)
        trend = self.relations.trend
        rows = np.flatnonzero(trend > 0)
        return rows[np.argsort(-trend[rows], kind="stable")]

    @property
    def factors(self) -> int:
        """The length of a user's vector without the content part."""
        return len(self.fold_in.gram)

    @property
    def width(self) -> int:
        """The length of a user's vector with the content part."""
        return int(self.coarse.vectors.shape[1])

    @cached_property
    def has_popularity(self) -> bool:
        """Whether popularity is a part of the scores."""
        return bool(self.coarse.bias.any())

    @property
    def can_fold(self) -> bool:
        """Whether a user's events can change the ranking."""
        return self.width > 0

    def build_mask(self, question: Question) -> BoolArray | None:
        """Return which items pass a question's filters, shape (items,); None without filters.

        Raises:
            KeyError: the catalogue has no such attribute.
            ExpressionError: the filter expression is wrong.
        """
        mask = self.filters.match_values(question.filters)
        if question.where:
            mask = _intersect(mask, self.filters.compute_mask(question.where))
        if question.only is not None:
            is_named = np.zeros(len(self.item_ids), dtype=bool)
            is_named[list(self.item_ids.find_rows(question.only))] = True
            mask = _intersect(mask, is_named)
        return mask

    def build_servable_mask(self, question: Question) -> BoolArray | None:
        """Return which items pass the filters and are not withdrawn; None if all do.

        Raises:
            KeyError: the catalogue has no such attribute.
            ExpressionError: the filter expression is wrong.
        """
        mask = self.build_mask(question)
        if self.servable is None:
            return mask
        return _intersect(mask, self.servable)

    def find_segment(self, context: Iterable[tuple[str, str]]) -> PopularRanking | None:
        """Return the list of the segment that matches most of the context, or None.

        Of segments that match equally much, the one that the context names first is taken.
        """
        if not self.segments:
            return None
        positions: dict[str, int] = {}
        for position, (name, value) in enumerate(context):
            positions.setdefault(f"{name}={value}", position)

        def rank(segment: frozenset[str]) -> tuple[int, list[int]]:
            return -len(segment), sorted(positions[condition] for condition in segment)

        matching = [segment for segment in self.segments if segment <= positions.keys()]
        if not matching:
            return None
        return self.segments[min(matching, key=rank)]


def _intersect(mask: BoolArray | None, other: BoolArray) -> BoolArray:
    """Return which items both masks allow; a mask of None allows all."""
    if mask is None:
        return other
    return mask & other


def _build_fold_in(factors: Float32Array, config: dict[str, Any]) -> FoldIn:
    """Prepare the fold-in with the settings that the model was trained with."""
    als = ALSConfig.from_dict(config)
    settings = {"ridge_scale": als.regularization, **config, **als.as_dict()}
    return FoldIn.of(factors, settings)


def _add_default_weight(event_weights: Mapping[str, float]) -> dict[str, float]:
    """Add the weight of an event without a type: a view's, else the smallest, else 1."""
    smallest = min(event_weights.values(), default=1.0)
    return {"": event_weights.get("view", smallest), **event_weights}


def _build_segments(
    popular: Mapping[str, PopularItems],
) -> dict[frozenset[str], PopularRanking]:
    """Build the popular list of each segment."""
    segments = {}
    for name, (items, scores) in popular.items():
        if name != EVERYBODY:
            conditions = frozenset(name.split(","))
            segments[conditions] = PopularRanking(items.tolist(), scores.tolist())
    return segments
