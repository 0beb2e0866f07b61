"""Ranking metrics over the full catalogue: one value for each user, and some of all lists together.

Nothing is sampled: ranking among a few random items can reverse the order of two models (Krichene
and Rendle, "On Sampled Metrics for Item Recommendation", KDD 2020). Relevance is binary. With h_i =
1 where the item at rank i is relevant, R relevant items and D = min(k, R):

- recall = sum h_i / R; hit rate = 1 if any h_i, else 0
- NDCG = (sum h_i / log2(i + 1)) / (sum over i <= D of 1 / log2(i + 1)): Järvelin and Kekäläinen,
  "Cumulated gain-based evaluation of IR techniques", TOIS 2002
- MAP = sum h_i (h_1 + ... + h_i) / i / D: average precision, cut at k as by McFee et al., "The
  Million Song Dataset Challenge", WWW 2012
- MRR = 1 / the rank of the first hit, 0 without one: Voorhees, "The TREC-8 Question Answering Track
  Report", 1999
- coverage: the share of the catalogue that is in any list: Herlocker et al., "Evaluating
  Collaborative Filtering Recommender Systems", TOIS 2004
- novelty: the mean self-information of listed items, -log2 of the share of users who met the item:
  Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 2010;
  Vargas and Castells, "Rank and Relevance in Novelty and Diversity Metrics", RecSys 2011
- Gini: the inequality of how often items are listed, over the catalogue; 0 when all are listed
  equally often, near 1 when few fill all lists: Fleder and Hosanagar, "Blockbuster Culture's Next
  Rise or Fall", Management Science 2009
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.arrays import BoolArray, Float64Array, Int32Array, Int64Array
from dawnlist.machine.numba_jit import jit
from dawnlist.model.metric_names import METRICS
from dawnlist.ranking.entries import contains_sorted

BOOTSTRAP_COUNTS: Final = 1 << 22
"""How many counts of drawn users the bootstrap holds at once, 32 MB."""


@dataclass(frozen=True)
class RankingScores:
    """Metrics of one arm, with a value for each evaluated user, in the same order for all arms."""

    recall: Float64Array
    """Shape (users,)."""
    ndcg: Float64Array
    """Shape (users,)."""
    map: Float64Array
    """Shape (users,)."""
    mrr: Float64Array
    """Shape (users,)."""
    hit_rate: Float64Array
    """Shape (users,)."""
    exposure: Int64Array
    """In how many lists each item is, shape (items,)."""
    novelty: Float64Array = field(default_factory=lambda: np.empty(0))
    """A value for each list that is not empty; none where the popularity of items is unknown."""

    @classmethod
    def concatenate(cls, parts: Sequence["RankingScores"]) -> "RankingScores":
        """Join the scores of several blocks of users."""
        values = {}
        for name in (*METRICS, "novelty"):
            values[name] = np.concatenate([getattr(part, name) for part in parts])
        return cls(**values, exposure=np.sum([part.exposure for part in parts], axis=0))

    @property
    def coverage(self) -> float:
        """The share of the catalogue that is in at least one list."""
        return float((self.exposure > 0).sum() / max(1, len(self.exposure)))

    @property
    def gini(self) -> float:
        """How unequally the items of the catalogue are listed, from 0 to 1; 0 without any list."""
        ordered = np.sort(self.exposure)
        ranks = 2 * np.arange(1, len(ordered) + 1) - len(ordered) - 1
        return float((ranks * ordered).sum() / max(1, len(ordered) * ordered.sum()))

    def means(self, k: int) -> dict[str, float]:
        """Average over the users, under names such as `ndcg@20`; empty without evaluated users."""
        if not len(self.ndcg):
            return {}
        means = {f"{name}@{k}": float(getattr(self, name).mean()) for name in METRICS}
        means[f"coverage@{k}"] = self.coverage
        if len(self.novelty):
            means[f"novelty@{k}"] = float(self.novelty.mean())
        means[f"gini@{k}"] = self.gini
        return means


def score_lists(
    lists: Int64Array, truth: csr_matrix, popularity: Float64Array | None = None
) -> RankingScores:
    """Score ranked lists against what each user did.

    Args:
        lists: Item indices, shape (users, k), best first, -1 beyond the end of a list.
        truth: Shape (users, items). Stored entries are relevant; each user has at least one.
        popularity: The share of users who met each item, above 0, shape (items,).

    Raises:
        ValueError: `lists` and `truth` have different numbers of users.
    """
    if lists.shape[0] != truth.shape[0]:
        raise ValueError(
            f"{lists.shape[0]} lists for {truth.shape[0]} users: "
            "give one list for each row of truth"
        )
    k = lists.shape[1]
    ranks = np.arange(1, k + 1)
    discount = 1 / np.log2(ranks + 1)
    ideal_dcg = np.concatenate([[0], discount.cumsum()])
    hits = _find_hits(lists, truth)
    precision = hits.cumsum(axis=1) / ranks
    relevant = np.diff(truth.indptr)
    most_hits = np.minimum(relevant, k)
    is_listed = lists >= 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return RankingScores(
            recall=hits.sum(axis=1) / relevant,
            ndcg=hits @ discount / ideal_dcg[most_hits],
            map=(hits * precision).sum(axis=1) / most_hits,
            mrr=(hits / ranks).max(axis=1, initial=0),
            hit_rate=np.asarray(hits.any(axis=1), dtype=np.float64),
            exposure=np.bincount(lists[is_listed], minlength=truth.shape[1]),
            novelty=_compute_novelty(lists, is_listed, popularity),
        )


def _find_hits(lists: Int64Array, truth: csr_matrix) -> BoolArray:
    """Say whether each listed item is relevant to its user, in the shape of `lists`."""
    if not truth.has_sorted_indices:
        truth = truth.sorted_indices()
    hits = np.zeros(lists.shape, dtype=np.bool_)
    _mark_hits(lists, truth.indptr, truth.indices, hits)
    return hits


@jit()
def _mark_hits(
    lists: Int64Array,
    indptr: Int32Array,
    relevant: Int32Array,
    hits: BoolArray,
) -> None:
    for user in range(len(lists)):
        relevant_items = relevant[indptr[user] : indptr[user + 1]]
        for rank in range(lists.shape[1]):
            hits[user, rank] = contains_sorted(relevant_items, lists[user, rank])


def _compute_novelty(
    lists: Int64Array, is_listed: BoolArray, popularity: Float64Array | None
) -> Float64Array:
    """Compute the mean self-information of each list that is not empty; none without popularity."""
    if popularity is None:
        return np.empty(0)
    information = -np.log2(popularity)
    lengths = is_listed.sum(axis=1)
    sums = np.where(is_listed, information[lists], 0).sum(axis=1)
    has_items = lengths > 0
    return np.asarray(sums[has_items] / lengths[has_items])


def bootstrap_means(values: Float64Array, seed: int, samples: int = 1000) -> Float64Array:
    """Average the columns over users drawn with replacement (Efron, 1979).

    A sample draws the same users for all columns, so that their differences and ratios are paired.
    Users with only zeros add nothing to a sum, so they are not drawn one by one: a binomial draw
    says how many of the others are in a sample.

    Args:
        values: Shape (users, columns).
        seed: The seed of the draws.
        samples: How many samples to draw.

    Returns:
        Shape (samples, columns).
    """
    values = np.asarray(values, dtype=np.float64)
    nonzero = values[values.any(axis=1)]
    rng = np.random.default_rng(seed)
    means = np.zeros((samples, values.shape[1]))
    if not len(nonzero):
        return means
    sizes = rng.binomial(len(values), len(nonzero) / len(values), samples)
    step = max(1, BOOTSTRAP_COUNTS // len(nonzero))
    for start in range(0, samples, step):
        block = slice(start, start + step)
        counts = _draw_counts(rng, sizes[block], len(nonzero))
        means[block] = counts @ nonzero / len(values)
    return means


def _draw_counts(rng: np.random.Generator, sizes: Int64Array, users: int) -> Int64Array:
    """Draw users for samples of these sizes; return how often each is drawn, (samples, users)."""
    drawn = rng.integers(0, users, sizes.sum())
    sample_offsets = np.repeat(np.arange(len(sizes)) * users, sizes)
    counts = np.bincount(drawn + sample_offsets, minlength=len(sizes) * users)
    return counts.reshape(len(sizes), users)


def percentile_interval(samples: Float64Array, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the percentile interval of bootstrapped values.

    Values that are infinite or NaN, such as 0 / 0, are left out. Without any value the interval is
    (0, 0).
    """
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return 0.0, 0.0
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def bootstrap_interval(
    difference: Float64Array, seed: int, samples: int = 1000, confidence: float = 0.95
) -> tuple[float, float]:
    """Compute the interval of the mean of paired differences, shape (users,).

    It is (0, 0) without users.
    """
    means = bootstrap_means(difference[:, None], seed, samples)
    return percentile_interval(means[:, 0], confidence)


def ratio_interval(
    numerator: Float64Array,
    denominator: Float64Array,
    seed: int,
    samples: int = 1000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Compute the interval of the ratio of two means over the same users, both of shape (users,).

    It is (0, 0) where the denominator is 0.
    """
    means = bootstrap_means(np.column_stack([numerator, denominator]), seed, samples)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = means[:, 0] / means[:, 1]
    return percentile_interval(ratios, confidence)


def mean_or_zero(values: Float64Array) -> float:
    """Return the mean of the values, or 0 if there are none."""
    return float(values.mean()) if len(values) else 0.0
