"""Ranking metrics over the full catalogue, one value a user, and what the lists of all users are like together.

Nothing is sampled: ranking among a few random items can turn two models around (Krichene and Rendle, "On Sampled
Metrics for Item Recommendation", KDD 2020). Relevance is binary. With h_i = 1 where the item at rank i is relevant, R
relevant items and D = min(k, R):

- recall = sum h_i / R; hit rate = 1 if any h_i, else 0
- NDCG = (sum h_i / log2(i + 1)) / (sum over i <= D of 1 / log2(i + 1)): Järvelin and Kekäläinen, "Cumulated gain-based
  evaluation of IR techniques", TOIS 2002
- MAP = sum h_i (h_1 + ... + h_i) / i / D: average precision, cut at k as by McFee et al., "The Million Song Dataset
  Challenge", WWW 2012
- MRR = 1 / the rank of the first hit, 0 without one: Voorhees, "The TREC-8 Question Answering Track Report", 1999
- coverage: the share of the catalogue that is in any list: Herlocker et al., "Evaluating Collaborative Filtering
  Recommender Systems", TOIS 2004
- novelty: the mean self-information of listed items, -log2 of the share of users who met the item: Zhou et al.,
  "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 2010; Vargas and Castells, "Rank and
  Relevance in Novelty and Diversity Metrics", RecSys 2011
- Gini: of how often items are listed, over the catalogue; 0: all alike, near 1: few in every list: Fleder and
  Hosanagar, "Blockbuster Culture's Next Rise or Fall", Management Science 2009
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Float64Array, Int64Array
from dawnlist.machine.numba_jit import jit
from dawnlist.ranking.entries import contains_sorted

METRICS: Final = ("ndcg", "recall", "map", "mrr", "hit_rate")
"""Those that have a value for each user; any may be the primary one."""
BOOTSTRAP_COUNTS: Final = 1 << 22
"""How often which user was drawn: so many counts are held at once, 32 MB."""


@dataclass(frozen=True)
class RankingScores:
    """Metrics of one arm; the arrays have one value for each evaluated user, in one order for all arms."""

    recall: Float64Array
    ndcg: Float64Array
    map: Float64Array
    mrr: Float64Array
    hit_rate: Float64Array
    exposure: Int64Array
    """Shape (items,): in how many lists each item is."""
    novelty: Float64Array = field(default_factory=lambda: np.empty(0))
    """Of each list that is not empty; none where it is not known how many users met an item."""

    @classmethod
    def concatenate(cls, parts: Sequence["RankingScores"]) -> "RankingScores":
        """Those of several blocks of users as one."""
        values = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in (*METRICS, "novelty")
        }
        return cls(**values, exposure=np.sum([part.exposure for part in parts], axis=0))

    @property
    def coverage(self) -> float:
        """The share of the catalogue that appears in at least one evaluated list."""
        return float((self.exposure > 0).sum() / max(1, len(self.exposure)))

    @property
    def gini(self) -> float:
        """How unevenly the catalogue is shown, from 0 to 1; 0 where nothing is."""
        ordered = np.sort(self.exposure)
        ranks = 2 * np.arange(1, len(ordered) + 1) - len(ordered) - 1
        return float((ranks * ordered).sum() / max(1, len(ordered) * ordered.sum()))

    def means(self, k: int) -> dict[str, float]:
        """The averages over users under their usual names, e.g. `ndcg@20`; empty when no user was evaluated."""
        if not len(self.ndcg):
            return {}
        found = {f"{name}@{k}": float(getattr(self, name).mean()) for name in METRICS}
        found[f"coverage@{k}"] = self.coverage
        if len(self.novelty):
            found[f"novelty@{k}"] = float(self.novelty.mean())
        return {**found, f"gini@{k}": self.gini}


def score_lists(
    lists: Int64Array, truth: csr_matrix, popularity: Float64Array | None = None
) -> RankingScores:
    """Score ranked lists against what each user did.

    `lists`: (users, k) item indices, best first, -1 where a list is shorter. `truth`: (users, items), stored entries
    are relevant; every user has at least one. `popularity`: (items,), the share of users who met an item, above 0.
    """
    if lists.shape[0] != truth.shape[0]:
        raise ValueError(
            f"{lists.shape[0]} lists for {truth.shape[0]} users: give one list for each row of truth"
        )
    k = lists.shape[1]
    hits = _find_hits(lists, truth)
    relevant = np.diff(truth.indptr)
    ideal = np.minimum(relevant, k)
    discount = 1 / np.log2(np.arange(2, k + 2))
    precision = hits.cumsum(axis=1) / np.arange(1, k + 1)
    shown = lists >= 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return RankingScores(
            recall=hits.sum(axis=1) / relevant,
            ndcg=hits @ discount / np.concatenate([[0], discount.cumsum()])[ideal],
            map=(hits * precision).sum(axis=1) / ideal,
            mrr=(hits / np.arange(1, k + 1)).max(axis=1, initial=0),
            hit_rate=np.asarray(hits.any(axis=1), dtype=np.float64),
            exposure=np.bincount(lists[shown], minlength=truth.shape[1]),
            novelty=np.empty(0) if popularity is None else _novelty(lists, shown, popularity),
        )


def _find_hits(lists: Int64Array, truth: csr_matrix) -> BoolArray:
    """Whether each listed item is relevant to its user."""
    ordered = truth if truth.has_sorted_indices else truth.sorted_indices()
    hits = np.zeros(lists.shape, dtype=np.bool_)
    _mark_hits(lists, ordered.indptr, ordered.indices, hits)
    return hits


@jit()
def _mark_hits(
    lists: Int64Array,
    indptr: npt.NDArray[np.int32],
    relevant: npt.NDArray[np.int32],
    hits: BoolArray,
) -> None:
    for user in range(len(lists)):
        wanted = relevant[indptr[user] : indptr[user + 1]]
        for rank in range(lists.shape[1]):
            hits[user, rank] = contains_sorted(wanted, lists[user, rank])


def _novelty(lists: Int64Array, shown: BoolArray, popularity: Float64Array) -> Float64Array:
    surprise = -np.log2(popularity)
    lengths = shown.sum(axis=1)
    sums = np.where(shown, surprise[lists], 0).sum(axis=1)
    return np.asarray(sums[lengths > 0] / lengths[lengths > 0])


def bootstrap_means(values: Float64Array, seed: int, samples: int = 1000) -> Float64Array:
    """Means of columns over users drawn with replacement (Efron, 1979), shape (samples, columns).

    `values`: (users, columns); a sample draws the same users for all columns, so that their differences and ratios
    are paired. Users with nothing but zeros add to no sum, so only how many of the others are drawn, and which.
    """
    values = np.asarray(values, dtype=np.float64)
    some = values[values.any(axis=1)]
    rng = np.random.default_rng(seed)
    means = np.zeros((samples, values.shape[1]))
    if not len(some):
        return means
    drawn = rng.binomial(len(values), len(some) / len(values), samples)
    step = max(1, BOOTSTRAP_COUNTS // len(some))
    for start in range(0, samples, step):
        sizes = drawn[start : start + step]
        users = rng.integers(0, len(some), sizes.sum()) + np.repeat(
            np.arange(len(sizes)) * len(some), sizes
        )
        counts = np.bincount(users, minlength=len(sizes) * len(some)).reshape(len(sizes), len(some))
        means[start : start + step] = counts @ some / len(values)
    return means


def percentile_interval(samples: Float64Array, confidence: float = 0.95) -> tuple[float, float]:
    """The percentile interval of bootstrapped values; those that are no number, such as 0 / 0, are left out."""
    real = samples[np.isfinite(samples)]
    if not len(real):
        return 0.0, 0.0
    low, high = np.quantile(real, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def bootstrap_interval(
    difference: Float64Array, seed: int, samples: int = 1000, confidence: float = 0.95
) -> tuple[float, float]:
    """The interval of the mean of paired differences over users. (0, 0) without users."""
    return percentile_interval(
        bootstrap_means(difference[:, None], seed, samples)[:, 0], confidence
    )


def ratio_interval(
    above: Float64Array,
    below: Float64Array,
    seed: int,
    samples: int = 1000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """The interval of the ratio of two means over the same users. (0, 0) where the one below is 0."""
    means = bootstrap_means(np.column_stack([above, below]), seed, samples)
    with np.errstate(invalid="ignore", divide="ignore"):
        return percentile_interval(means[:, 0] / means[:, 1], confidence)
