"""Ranking metrics over the full catalogue, one value a user: recall, NDCG, MAP and coverage at k.

Definitions as in Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), with binary
relevance: the ideal list has min(k, relevant items) hits. Nothing is sampled.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Metrics of one arm; the arrays have one value for each evaluated user, in one order for all arms."""

    recall: Floats
    ndcg: Floats
    map: Floats
    coverage: float
    """The share of the catalogue that appears in at least one evaluated list."""

    def means(self, k: int) -> dict[str, float]:
        """The averages over users under their usual names, e.g. `ndcg@20`; empty when no user was evaluated."""
        if not len(self.ndcg):
            return {}
        return {
            f"recall@{k}": float(self.recall.mean()),
            f"ndcg@{k}": float(self.ndcg.mean()),
            f"map@{k}": float(self.map.mean()),
            f"coverage@{k}": self.coverage,
        }


def score(lists: Ranks, truth: csr_matrix) -> Scores:
    """Score ranked lists against what each user did.

    `lists`: (users, k) item indices, best first, -1 where a list is shorter. `truth`: (users, items), stored entries
    are relevant; every user has at least one.
    """
    if lists.shape[0] != truth.shape[0]:
        raise ValueError(f"{lists.shape[0]} lists for {truth.shape[0]} users: give one list for each row of truth")
    k = lists.shape[1]
    hits = _hits(lists, truth)
    relevant = np.diff(truth.indptr)
    ideal = np.minimum(relevant, k)
    discount = 1 / np.log2(np.arange(2, k + 2))
    precision = hits.cumsum(axis=1) / np.arange(1, k + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Scores(
            recall=hits.sum(axis=1) / relevant,
            ndcg=(hits * discount).sum(axis=1) / np.concatenate([[0], discount.cumsum()])[ideal],
            map=(hits * precision).sum(axis=1) / ideal,
            coverage=len(np.unique(lists[lists >= 0])) / max(1, truth.shape[1]),
        )


def _hits(lists: Ranks, truth: csr_matrix) -> npt.NDArray[np.bool_]:
    """Whether each listed item is relevant to its user: one sorted search over (user, item) keys, no loop."""
    items = max(1, truth.shape[1])
    rows = np.repeat(np.arange(truth.shape[0]), np.diff(truth.indptr))
    relevant = rows * items + truth.indices
    listed = np.arange(lists.shape[0])[:, None] * items + lists
    return np.isin(listed, relevant) & (lists >= 0)


def bootstrap_interval(
    difference: Floats, seed: int, samples: int = 1000, confidence: float = 0.95
) -> tuple[float, float]:
    """The percentile interval of the mean of paired differences over users (Efron, 1979). (0, 0) without users."""
    if not len(difference):
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    n = len(difference)
    means = np.array([difference[rng.integers(0, n, n)].mean() for _ in range(samples)])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
