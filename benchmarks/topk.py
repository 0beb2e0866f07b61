"""The 20 best items of every user, exact: ours against implicit's recommend and against the bare matrix product.

python benchmarks/topk.py                                     (100,000 users, 50,000 items, 128 factors)
python benchmarks/topk.py --users 20000 --fitted-only

Two models: random factors, whose items are all about as long, so that no user is done early, the worst case; and
factors fitted to a synthetic matrix of 50 pairs a user. Ways take turns on parts of the users, and a rate is the median
of the parts: what else the machine does meets all of them alike.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from clicks import markdown
from implicit.cpu.als import AlternatingLeastSquares
from matrices import synthetic
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from dawnlist.als.training import fit_als
from dawnlist.arrays import Float32Array
from dawnlist.machine import cpu_cores
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.topk import top_k

K, PARTS, CHECKED, PAIRS_A_USER, BLOCK = 20, 5, 1000, 50, 1024
Way = Callable[[slice], object]


def main() -> None:
    """Print one table a model."""
    given = arguments(__doc__ or "")
    seen = synthetic(given.users, given.items, PAIRS_A_USER * given.users)
    shape = f"{given.users:,} users, {given.items:,} items, {given.factors} factors"
    for name, (users, items) in models(seen, given.factors, given.fitted_only).items():
        print(f"\n{name}: {shape}, top {K}, {cpu_cores.count_cores()} cores\n")
        compare(users, items, seen)
        checked(users, items, seen)


def arguments(about: str) -> argparse.Namespace:
    """users, items, factors and fitted_only of the command line."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--fitted-only", action="store_true")
    return parser.parse_args()


def models(
    seen: csr_matrix, factors: int, fitted_only: bool
) -> dict[str, tuple[Float32Array, Float32Array]]:
    """User and item factors by the name of the model."""
    found = (
        {}
        if fitted_only
        else {"random factors": random_factors(seen.shape[0], seen.shape[1], factors)}
    )
    return {**found, "fitted factors": fitted(seen, factors)}


def random_factors(users: int, items: int, factors: int) -> tuple[Float32Array, Float32Array]:
    """Normal in each direction."""
    rng = np.random.default_rng(1)
    return (
        rng.standard_normal((users, factors), dtype=np.float32),
        rng.standard_normal((items, factors), dtype=np.float32),
    )


def fitted(seen: csr_matrix, factors: int) -> tuple[Float32Array, Float32Array]:
    """ALS after five sweeps."""
    user_items = UserItems(seen, np.zeros(seen.nnz, dtype=np.float32))
    return fit_als(user_items, ALSConfig(factors, 30.0, 10.0, iterations=5))


def compare(users: Float32Array, items: Float32Array, seen: csr_matrix) -> None:
    """Users a second of each way, and the ratios."""
    theirs = library(users, items)

    def implicit(part: slice) -> None:
        with threadpool_limits(1, "blas"):  # as it asks for
            theirs.recommend(np.arange(part.start, part.stop), seen[part], N=K)

    ways: dict[str, Way] = {
        "ours": lambda part: top_k(users[part], items, K, seen[part]),
        "implicit's recommend": implicit,
        "bare matrix product": product(users, items),
    }
    show(measured(ways, len(users)))


def library(users: Float32Array, items: Float32Array) -> AlternatingLeastSquares:
    """implicit's model of these factors."""
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(factors=users.shape[1])
    model.user_factors, model.item_factors = users, items
    return model


def product(users: Float32Array, items: Float32Array) -> Way:
    """All scores of the users, on all cores, written to memory and forgotten: the floor of anything exact."""
    room = np.empty((BLOCK, len(items)), dtype=np.float32)

    def run(part: slice) -> None:
        for start in range(part.start, part.stop, BLOCK):
            asked = users[start : min(start + BLOCK, part.stop)]
            np.matmul(asked, items.T, out=room[: len(asked)])

    return run


def measured(ways: dict[str, Way], users: int) -> dict[str, list[float]]:
    """Users a second, of each way on each part; the first part is also the warm-up."""
    for run in ways.values():
        run(slice(0, min(BLOCK, users)))
    rates: dict[str, list[float]] = {name: [] for name in ways}
    step = -(-users // PARTS)
    for start in range(0, users, step):
        part = slice(start, min(start + step, users))
        for name, run in ways.items():
            clock = time.perf_counter()
            run(part)
            rates[name].append((part.stop - part.start) / (time.perf_counter() - clock))
    return rates


def show(measured: dict[str, list[float]]) -> None:
    """One row a way."""
    rates = {name: statistics.median(found) for name, found in measured.items()}
    ours = next(iter(rates.values()))
    rows = (
        {"way": name, "users/s": round(rate), "ours is": f"{ours / rate:.2f}x"}
        for name, rate in rates.items()
    )
    markdown(list(rows))


def checked(users: Float32Array, items: Float32Array, seen: csr_matrix) -> None:
    """Some users' lists are those of a full sort; RuntimeError when they are not, but for the last digit of a score."""
    chosen = np.random.default_rng(2).choice(len(users), min(CHECKED, len(users)), replace=False)
    found, scores = top_k(users[chosen], items, K, seen[chosen])
    every = users[chosen] @ items.T
    every[seen[chosen].nonzero()] = -np.inf
    expected = np.argsort(-every, axis=1, kind="stable")[:, :K]
    np.testing.assert_allclose(
        scores, np.take_along_axis(every, expected, axis=1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        scores, np.take_along_axis(every, found, axis=1), rtol=1e-5, atol=1e-6
    )
    same = (found == expected).all(axis=1).sum()
    print(
        f"\n{len(chosen):,} lists against a full sort: {same:,} the same, the others but for equal scores"
    )


if __name__ == "__main__":
    main()
