"""One sweep of our ALS on the CPU against one of implicit: same pairs and objective, three conjugate gradient steps.

python benchmarks/als_sweep.py                                (5 million pairs of 100,000 users and 50,000 items)
python benchmarks/als_sweep.py --pairs 1000000 --users 20000 --items 10000
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
from clicks import markdown
from implicit.cpu._als import calculate_loss
from matrices import synthetic

from dawnlist.als.fit import Fit
from dawnlist.als.implicit import build_confidence_matrix
from dawnlist.als.pairs import CG_STEPS
from dawnlist.als.training import ALSTrainer
from dawnlist.machine import cpu_cores
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems

REGULARIZATION, ALPHA = 30.0, 10.0
SOLVERS = ("ials", "implicit")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--pairs", type=int, default=5_000_000)
    parser.add_argument("--factors", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--sweeps", type=int, default=6, help="The first is not timed.")
    given = parser.parse_args()
    weight = synthetic(given.users, given.items, given.pairs)
    user_items = UserItems(weight, np.zeros(weight.nnz, np.float32))
    print(
        f"{weight.nnz:,} pairs, {given.users:,} users, {given.items:,} items, {cpu_cores.count_cores()} cores\n"
    )
    markdown([compared(user_items, factors, given.sweeps) for factors in given.factors])


def compared(user_items: UserItems, factors: int, sweeps: int) -> dict[str, Any]:
    """One row: median seconds of a sweep of each, taken in turns, and the losses after all of them."""
    fits: dict[str, Fit] = {}
    for solver in SOLVERS:
        config = ALSConfig(factors, REGULARIZATION, ALPHA, solver=solver)
        fits[solver] = ALSTrainer(user_items).start_fit(config)
    seconds: dict[str, list[float]] = {solver: [] for solver in SOLVERS}
    for _ in range(sweeps):
        for solver, fitting in fits.items():
            clock = time.perf_counter()
            fitting.advance(1)
            seconds[solver].append(time.perf_counter() - clock)
    ours, theirs = (statistics.median(seconds[solver][1:]) for solver in SOLVERS)
    losses = [loss(user_items, fits[solver]) for solver in SOLVERS]
    rate, most = flops(user_items, factors) / ours / 1e9, product_rate(factors)
    return {
        "factors": factors,
        "ours, s a sweep": f"{ours:.2f}",
        "implicit, s": f"{theirs:.2f}",
        "ratio": f"{theirs / ours:.2f}x",
        "our loss": f"{losses[0]:.6f}",
        "implicit's loss": f"{losses[1]:.6f}",
        "our GFLOP/s": f"{rate:.0f}",
        "matrix product's": f"{most:.0f}",
        "share": f"{rate / most:.0%}",
    }


def loss(user_items: UserItems, fitting: Fit) -> float:
    """implicit's own value of the objective, for both."""
    users, items = fitting.factors
    return float(
        calculate_loss(
            build_confidence_matrix(user_items, fitting.config), users, items, REGULARIZATION
        )
    )


def flops(user_items: UserItems, factors: int) -> float:
    """Of one of our sweeps, both halves: two a pair and factor for each product, and the dense work."""
    users, items = user_items.weight.shape
    passes = (
        3 + 2 * CG_STEPS - 1
    )  # scores, sums and squares at first; then scores and sums, but for the last sums
    rotations_and_gram = 3 * (users + items) * 2 * factors**2
    return float(2 * passes * 2 * user_items.weight.nnz * factors + rotations_and_gram)


def product_rate(factors: int) -> float:
    """GFLOP/s of the machine's product of matrices of so many columns, all cores: the best of five."""
    left, right = (
        np.random.default_rng(0).random(shape, np.float32)
        for shape in ((20_000, factors), (factors, 2_000))
    )
    best = 1e9
    for _ in range(5):
        clock = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - clock)
    return float(2 * left.size * right.shape[1] / best / 1e9)


if __name__ == "__main__":
    main()
