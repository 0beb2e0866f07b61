"""A search of 24 trials against 24 plain fits of implicit with its own evaluator, and against all trials in full.

python benchmarks/search.py            one shop, three measurements in one run, on the cores that there are

The grid is of one objective that both solve (nu 0, alpha0 1). `exhaustive` is our solver with all sweeps for all
trials on all users: what the search would have to find. The first line says where the search's time goes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from clicks import markdown
from implicit.als import AlternatingLeastSquares
from implicit.evaluation import ranking_metrics_at_k
from shops import K, ndcg, simulated
from threadpoolctl import threadpool_limits

from dawnlist.als.implicit import build_confidence_matrix
from dawnlist.als.training import ALSTrainer
from dawnlist.components.tune.grid import Grid
from dawnlist.components.tune.search import search_configs
from dawnlist.components.tune.trials import Trial
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.splits import Splits

GRID: dict[str, Any] = {
    "factors": (64, 128),
    "regularization": (3.0, 30.0, 100.0),
    "alpha": (1.0, 10.0),
    "half_life": (14.0, 60.0),
}


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and its seconds."""
    clock = time.perf_counter()
    found = call()
    return found, time.perf_counter() - clock


def ours(splits: Splits, configs: list[ALSConfig]) -> list[Trial]:
    """The search's trials, best first, with nothing in the lake before."""
    with tempfile.TemporaryDirectory() as folder:
        return search_configs(Lake.open(folder, "benchmark"), splits, configs, "ndcg", K)


def plain(splits: Splits, configs: list[ALSConfig]) -> list[float]:
    """NDCG of each configuration by implicit and by its own evaluator."""
    user_items, test = splits.user_items("tune"), splits.truth("validation")
    found = []
    for config in configs:
        with threadpool_limits(1, "blas"):  # as implicit asks for: it runs threads of its own
            model = AlternatingLeastSquares(
                config.factors, regularization=config.regularization, alpha=1.0, iterations=config.iterations,
                random_state=config.seed,
            )  # fmt: skip
            model.fit(build_confidence_matrix(user_items, config), show_progress=False)
            metrics = ranking_metrics_at_k(model, user_items.weight, test, K=K, show_progress=False)
        found.append(float(metrics["ndcg"]))
    return found


def exhaustive(splits: Splits, configs: list[ALSConfig]) -> list[float]:
    """NDCG of each configuration after all sweeps, over all judged users."""
    training = ALSTrainer(splits.user_items("tune"))
    found = []
    for config in configs:
        fit = training.start_fit(config)
        fit.advance(config.iterations)
        found.append(float(ndcg(splits, "tune", fit.factors).mean()))
    return found


def shown(trial: ALSConfig) -> str:
    """The hyper-parameters of the grid."""
    return ", ".join(f"{name} {getattr(trial, name):g}" for name in GRID)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=30_000, help="of the simulated shop")
    parser.add_argument("--days", type=int, default=45, help="of the simulated shop")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated shop")
    parser.add_argument(
        "--iterations", type=int, default=10, help="sweeps of the search, as in the pipeline"
    )
    parser.add_argument(
        "--in-full",
        type=int,
        default=15,
        help="sweeps of implicit's fits and of our exhaustive ones",
    )
    given = parser.parse_args()
    configs, in_full = (
        Grid(**GRID, iterations=sweeps).configs() for sweeps in (given.iterations, given.in_full)
    )
    with simulated(given.users, given.days, given.seed) as shop:
        [splits] = shop.days(1)
    pairs, judged = splits.user_items("tune").weight.nnz, len(splits.judged("validation"))
    print(
        f"{splits.shape[0]:,} users, {splits.shape[1]:,} items, {pairs:,} pairs, {judged:,} judged users\n"
    )
    ours(splits, configs[:1])  # compiles
    trials, seconds = timed(lambda: ours(splits, configs))
    fitting = sum(trial["fit_seconds"] for trial in trials)
    judging = sum(trial["seconds"] for trial in trials) - fitting
    values, took_in_full = timed(lambda: exhaustive(splits, in_full))
    theirs, by_implicit = timed(lambda: plain(splits, in_full))
    best, chosen = max(values), trials[0][f"ndcg@{K}"]  # of all judged users, as the search left it
    asked = [f"{point['users']:,} after {point['sweeps']}" for point in trials[0]["curve"]]
    print(
        f"the search fitted for {fitting:.1f} s, judged for {judging:.1f} s, and {seconds - fitting - judging:.1f} s "
        f"went elsewhere; users judged: {', '.join(asked)} sweeps\n"
    )
    rows = [
        ("search", seconds, chosen, shown(ALSConfig.from_dict(trials[0]))),
        ("exhaustive", took_in_full, best, shown(in_full[int(np.argmax(values))])),
        (
            "implicit",
            by_implicit,
            values[int(np.argmax(theirs))],
            shown(in_full[int(np.argmax(theirs))]),
        ),
    ]
    markdown([
        {"way": name, "seconds": f"{took:.1f}", "implicit's time / this": f"{by_implicit / took:.1f}",
         "chosen": words, "its NDCG@20 in full": f"{value:.4f}", "of the best": f"{value / best:.2%}"}
        for name, took, value, words in rows
    ])  # fmt: skip
    print(f"\nNDCG@20 of the 24 in full: {min(values):.4f} to {best:.4f}")


if __name__ == "__main__":
    main()
