"""Snapshot: what the predictor knows of one version. It never changes, and a call keeps the one it began with."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dawnlist.arrays import BoolArray, Float32Array, PopularItems
from dawnlist.cuts import parse_as_of
from dawnlist.model.config import ALSConfig
from dawnlist.ranking.coarse import QuantisedIndex
from dawnlist.ranking.fold_in import FoldIn
from dawnlist.serving.predictor.answers.bucket import UserRecords
from dawnlist.serving.predictor.answers.columns import AttributeIndex, IdColumn, TextColumn
from dawnlist.store.layout import VersionMeta
from dawnlist.store.toplists import EVERYBODY

TEXT_COLUMNS = ("item_id", "title")


@dataclass(frozen=True, eq=False)
class PopularRanking:
    """A list for many users, best first."""

    items: list[int]
    scores: list[float]
    more: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """What follows where filters or a long k use the list up."""
    more_scores: Float32Array = field(default_factory=lambda: np.zeros(0, np.float32))

    def select_best(
        self, k: int, hidden: Set[int], mask: BoolArray | None
    ) -> tuple[list[int], list[float]]:
        """The first k that are not hidden and that the mask, if any, allows."""
        if mask is None and not hidden and len(self.items) >= k:
            return self.items[:k], self.scores[:k]
        shown = (
            at
            for at, item in enumerate(self.items)
            if item not in hidden and (mask is None or mask[item])
        )
        chosen = list(islice(shown, k))
        items, scores = [self.items[at] for at in chosen], [self.scores[at] for at in chosen]
        if len(items) < k and len(self.more):
            allowed = range(len(self.more)) if mask is None else np.flatnonzero(mask[self.more])
            rest = (
                at for at in allowed if int(self.more[at]) not in hidden
            )  # one by one: a few are needed of many
            for at in islice(rest, k - len(items)):
                items.append(int(self.more[at]))
                scores.append(float(self.more_scores[at]))
        return items, scores


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One version; arrays have a row for each item."""

    token: str
    version: int
    as_of: str
    day: float
    """as_of in seconds since 1970."""
    k: int
    """Length of the users' lists."""
    salt: bytes
    buckets: int
    records: UserRecords
    item_ids: IdColumn
    titles: TextColumn
    attributes: Mapping[str, AttributeIndex]
    coarse: QuantisedIndex
    """Vectors [factors | content] and biases."""
    fold_in: FoldIn
    content: Float32Array
    """(items, d)."""
    share: tuple[float, float]
    """content_share and content_pairs of w(n)."""
    event_weights: Mapping[str, float]
    """That of "" is for an event whose type is not told."""
    everybody: PopularRanking
    """What is popular, then whatever else has a bias."""
    segments: Mapping[frozenset[str], PopularRanking]
    """By their parts, such as {"country=DE", "device=mobile"}."""

    @classmethod
    def of(
        cls,
        meta: VersionMeta,
        catalogue: pa.Table,
        vectors: Float32Array,
        bias: Float32Array,
        popular: Mapping[str, PopularItems],
    ) -> "Snapshot":
        """From what the store holds; `vectors` are [factors | content]."""
        config, factors = meta["config"], int(meta["factors"])
        als = ALSConfig.from_dict(config)
        learnt = {"ridge_scale": als.regularization, **config, **als.as_dict()}
        return cls(
            token=meta["token"],
            version=int(meta["version"]),
            as_of=meta["as_of"],
            day=parse_as_of(meta["as_of"]).timestamp(),
            k=int(meta["k"]),
            salt=bytes.fromhex(meta["salt"]),
            buckets=int(meta["buckets"]),
            records=UserRecords(meta),
            item_ids=IdColumn(catalogue["item_id"]),
            titles=TextColumn(catalogue["title"]),
            attributes={
                name: AttributeIndex(catalogue[name])
                for name in catalogue.column_names
                if name not in TEXT_COLUMNS
            },
            coarse=QuantisedIndex.of(vectors, bias),
            fold_in=FoldIn.of(vectors[:, :factors], learnt),
            content=vectors[:, factors:],
            share=(
                float(config.get("content_share", 0.0)),
                float(config.get("content_pairs", 0.0)),
            ),
            event_weights=_add_default_weight(meta.get("event_weights") or {}),
            everybody=_build_popular_ranking(popular[EVERYBODY], bias),
            segments={
                frozenset(name.split(",")): PopularRanking(index.tolist(), score.tolist())
                for name, (index, score) in popular.items()
                if name != EVERYBODY
            },
        )

    @property
    def factors(self) -> int:
        """Length of a user's vector without the content part."""
        return len(self.fold_in.gram)

    @property
    def can_fold(self) -> bool:
        """Whether events change a ranking at all."""
        return bool(self.coarse.vectors.shape[1])

    def mask(self, filters: Iterable[tuple[str, Sequence[str]]]) -> BoolArray | None:
        """Which items have a value of each attribute; None without filters."""
        allowed: BoolArray | None = None
        for name, values in filters:
            found = np.zeros(len(self.item_ids), dtype=bool)
            self.attributes[name].mark(values, found)
            allowed = found if allowed is None else allowed & found
        return allowed

    def segment(self, context: Iterable[tuple[str, str]]) -> PopularRanking | None:
        """The list of the segment that says most about the context, of equal ones the one it names first."""
        if not self.segments:
            return None
        parts = [f"{name}={value}" for name, value in context]
        place = {part: at for at, part in reversed(list(enumerate(parts)))}
        fitting = [found for found in self.segments if found <= place.keys()]
        if not fitting:
            return None
        return self.segments[
            min(fitting, key=lambda found: (-len(found), sorted(place[part] for part in found)))
        ]


def _add_default_weight(told: Mapping[str, float]) -> dict[str, float]:
    return {"": told["view"] if "view" in told else min(told.values(), default=1.0), **told}


def _build_popular_ranking(popular: PopularItems, bias: Float32Array) -> PopularRanking:
    listed, scores = popular
    rest = np.setdiff1d(np.flatnonzero(bias > 0), listed)
    rest = rest[np.argsort(-bias[rest], kind="stable")]
    return PopularRanking(listed.tolist(), scores.tolist(), rest, bias[rest])
