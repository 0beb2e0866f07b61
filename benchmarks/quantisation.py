"""NDCG@20 of vectors as the store keeps them, 8 bits a dimension, against the float32 vectors that were fitted.

python benchmarks/quantisation.py [--data ../shared/data] [--users 16000] [--days 10] [--factors 64]

Each day's model is fitted on the rows before its holdout and scored on it; users of all days are pooled. The vectors go
through the store's own packing and unpacking; `one size` is the same with dimension = 1, what 8 bits do without a size
for each dimension of its own. Differences are paired, with 95% intervals. The lists themselves are made from float32
and stored exactly: this is about answers that are ranked anew.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from clicks import markdown
from shops import Shop, interval, movietweetings, ndcg, simulated

from components import store_rows
from components.metrics import Floats
from components.model import Factors
from components.solver import ALSConfig, Training
from components.splits import Splits
from components.store_layout import opened

K = 20


def fitted(day: Splits, factors: int) -> tuple[Factors, Factors]:
    """Factors of the day's challenger, settings as in benchmarks/warm_start.py."""
    config = ALSConfig(factors=factors, regularization=30.0, alpha=1.0, nu=0.5, half_life=14.0, iterations=10)
    fit = Training(day.user_items("train")).begin(config)
    fit.advance(config.iterations)
    return fit.factors


def stored(vectors: Factors, dimension: Factors) -> Factors:
    """Vectors as they come back from the store."""
    ids = [f"user-{user}" for user in range(len(vectors))]
    placed = store_rows.place(ids, "benchmark")
    nothing = np.zeros((len(ids), K), np.uint32), np.zeros((len(ids), K), np.float32), np.zeros(len(ids), np.int64)
    values = list(store_rows.pack(placed, nothing, vectors, dimension, 3, range(placed.buckets)))
    kind, back = store_rows.record(K, 3, vectors.shape[1]), np.empty_like(vectors)
    for user, user_id in enumerate(ids):
        bucket, fingerprint = store_rows.address(user_id, placed.salt, placed.buckets)
        found = store_rows.find(opened(values[bucket]), fingerprint, kind, dimension)
        assert found is not None
        back[user] = found.vector
    return back


def compared(shop: Shop, days: int, factors: int) -> Iterator[dict[str, str]]:
    """A row for each way of storing."""
    exact: list[Floats] = []
    ways: dict[str, list[Floats]] = {"a size a dimension (the store's)": [], "one size": []}
    for day in shop.days(days):
        users, items = fitted(day, factors)
        exact.append(ndcg(day, "train", (users, items)))
        sizes = store_rows.dimensions(users), np.ones(factors, np.float32)
        for found, dimension in zip(ways.values(), sizes, strict=True):
            found.append(ndcg(day, "train", (stored(users, dimension), items)))
    whole = np.concatenate(exact)
    for name, values in {"float32": exact, **ways}.items():
        mean = np.concatenate(values)
        yield {
            "shop": shop.name, "users x days": f"{len(whole):,}", "factors": str(factors), "vectors": name,
            "NDCG@20": f"{mean.mean():.5f}", "of float32": f"{mean.mean() / whole.mean():.3%}",
            "difference (95%)": "" if name == "float32" else interval(mean - whole),
        }  # fmt: skip


def main() -> None:
    """Print one table for all shops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of movietweetings")
    parser.add_argument("--users", type=int, default=16_000, help="of the simulated shop")
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--factors", type=int, default=64)
    given = parser.parse_args()
    rows: list[dict[str, str]] = []
    with simulated(given.users, 60, 1) as shop:
        rows += compared(shop, given.days, given.factors)
    if given.data:
        with movietweetings(given.data) as shop:
            rows += compared(shop, given.days, given.factors)
    markdown(rows)


if __name__ == "__main__":
    main()
