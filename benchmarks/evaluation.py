"""All metrics and segments of one model against implicit's evaluator, the same users, and the bare matrix product.

python benchmarks/evaluation.py                               (100,000 users, 50,000 items, 128 factors)
python benchmarks/evaluation.py --users 20000 --fitted-only

Ours has recall, NDCG, MAP, MRR, hit rate, coverage, novelty, Gini and the segments, and ranks popularity too, which is
served where a model has no list; implicit's ranking_metrics_at_k has precision, MAP, NDCG and AUC. Models and turns are
those of topk.py. The holdout is synthetic: five new items a user, most of them popular ones.
"""

from dataclasses import replace

import numpy as np
from implicit.evaluation import ranking_metrics_at_k
from matrices import synthetic
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits
from topk import PAIRS_A_USER, K, Way, arguments, library, measured, models, product, show

from dawnlist.arrays import Float32Array
from dawnlist.components.evaluate import segments
from dawnlist.components.evaluate.arms import EvaluatedUsers, build_model_arm, build_popularity_arm
from dawnlist.components.evaluate.evaluation import join_block_scores, score_arms
from dawnlist.machine import cpu_cores
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.matrices import build_splits_from_matrices
from dawnlist.model.metrics import RankingScores

NEW_ITEMS = 5


def main() -> None:
    """Print one table a model, and the metrics that both have."""
    given = arguments(__doc__ or "")
    seen = synthetic(given.users, given.items, PAIRS_A_USER * given.users)
    splits = build_splits_from_matrices(
        seen, holdout=synthetic(given.users, given.items, NEW_ITEMS * given.users, seed=2)
    )
    judged = EvaluatedUsers.from_splits(splits, K)
    shape = f"{len(judged.users):,} users judged, {given.items:,} items, {given.factors} factors"
    for name, factors in models(seen, given.factors, given.fitted_only).items():
        print(f"\n{name}: {shape}, top {K}, {cpu_cores.count_cores()} cores\n")
        compare(judged, factors)


def compare(judged: EvaluatedUsers, factors: tuple[Float32Array, Float32Array]) -> None:
    """Users a second of each way, and the metrics of both evaluators over all users."""
    ids, weight = (judged.splits.user_ids, judged.splits.item_ids), judged.history.weight
    model = FactorModel(*ids, *factors)
    arms = {
        "challenger": build_model_arm(judged.splits, model),
        "popularity": build_popularity_arm(judged.history, "whole"),
    }
    theirs, found, told = library(*factors), [], []

    def ours(part: slice) -> None:
        some = replace(
            judged, users=judged.users[part], seen=judged.seen[part], truth=judged.truth[part]
        )
        scores = join_block_scores(score_arms(some, arms, "ndcg"))["challenger"]
        scores.means(K)
        for users in segments.assign_segments(some).values():
            scores.ndcg[users].sum()
        found.append(scores)

    def implicit(part: slice) -> None:
        users = judged.users[part]
        rows = np.zeros(weight.shape[0] + 1, dtype=np.int32)
        rows[users + 1] = np.diff(judged.truth.indptr)[part]
        truth = judged.truth[part]
        test = csr_matrix(
            (truth.data, truth.indices, rows.cumsum(dtype=np.int32)), shape=weight.shape
        )
        with threadpool_limits(1, "blas"):  # as it asks for
            told.append(
                (len(users), ranking_metrics_at_k(theirs, weight, test, K=K, show_progress=False))
            )

    ways: dict[str, Way] = {
        "ours": ours,
        "implicit's ranking_metrics_at_k": implicit,
        "bare matrix product": product(factors[0][judged.users], factors[1]),
    }
    show(measured(ways, len(judged.users)))
    agree(RankingScores.concatenate(found[1:]), told[1:])  # without the warm-up


def agree(ours: RankingScores, theirs: list[tuple[int, dict[str, float]]]) -> None:
    """Print what both measure; RuntimeError where it is not the same."""
    users = sum(number for number, _ in theirs)
    print()
    for name in ("ndcg", "map"):
        mean = sum(number * metrics[name] for number, metrics in theirs) / users
        value = float(getattr(ours, name).mean())
        print(f"{name}@{K}: {value:.6f}, implicit's {mean:.6f}")
        if abs(value - mean) > 1e-5:
            raise RuntimeError(f"{name} differs by more than what lists of equal scores explain")


if __name__ == "__main__":
    main()
