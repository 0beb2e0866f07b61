"""NDCG@20 of vectors as the store keeps them, 8 bits a dimension, against the float32 vectors that were fitted.

python benchmarks/quantisation.py [--data ../shared/data] [--shops 60] [--users 16000] [--days 10] [--factors 64]

Each day's model is fitted on the rows before its holdout and scored on it; users of all days and shops are pooled. The
vectors go through the store's own packing and unpacking; `a size a dimension` divides each dimension by its root mean
square first, which the store does not. Differences are paired, of float32's score, with 95% intervals bootstrapped over
users; `error` is the root mean square error of a user's score of an item, of the spread of all scores. The lists
themselves are made from float32 and stored exactly: this is about answers that are ranked anew.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from clicks import markdown
from shops import Shop, movietweetings, ndcg, simulated

from dawnlist.als.training import ALSTrainer
from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.model.config import ALSConfig
from dawnlist.model.metrics import ratio_interval
from dawnlist.model.splits import Splits
from dawnlist.store import user_buckets as store_rows
from dawnlist.store.layout import verify_checksum

K = 20
WAYS = "float32", "the store's", "a size a dimension"
Shops = dict[
    str, list[tuple[Float64Array, float]]
]  # NDCG of a day's users and the error of scores, by way of storing


def fitted(day: Splits, factors: int) -> tuple[Float32Array, Float32Array]:
    """Factors of the day's challenger, settings as in benchmarks/warm_start.py."""
    config = ALSConfig(
        factors=factors, regularization=30.0, alpha=1.0, nu=0.5, half_life=14.0, iterations=10
    )
    fit = ALSTrainer(day.user_items("train")).start_fit(config)
    fit.advance(config.iterations)
    return fit.factors


def stored(vectors: Float32Array) -> Float32Array:
    """Vectors as they come back from the store."""
    ids = [f"user-{user}" for user in range(len(vectors))]
    placed = store_rows.assign_buckets(ids, "benchmark")
    nothing = (
        np.zeros((len(ids), K), np.uint32),
        np.zeros((len(ids), K), np.float32),
        np.zeros(len(ids), np.int64),
    )
    values = list(store_rows.pack_user_buckets(placed, nothing, vectors, 3, range(placed.buckets)))
    kind, back = store_rows.build_record_dtype(K, 3, vectors.shape[1]), np.empty_like(vectors)
    for user, user_id in enumerate(ids):
        bucket, fingerprint = store_rows.locate_user(user_id, placed.salt, placed.buckets)
        found = store_rows.find_user(verify_checksum(values[bucket]), fingerprint, kind)
        assert found is not None
        back[user] = found.vector
    return back


def error(stored: Float32Array, vectors: Float32Array, items: Float32Array) -> float:
    """Of the scores of the first 2,000 users."""
    exact, found = vectors[:2_000] @ items.T, stored[:2_000] @ items.T
    return float(np.sqrt(np.mean((found - exact) ** 2)) / exact.std())


def score(shop: Shop, days: int, factors: int, into: Shops) -> None:
    """Add a shop's days."""
    for day in shop.days(days):
        users, items = fitted(day, factors)
        size = np.sqrt(np.mean(users**2, axis=0)) + np.float32(1e-30)
        ways = users, stored(users), stored(users / size) * size
        for way, vectors in zip(WAYS, ways, strict=True):
            into[way].append((ndcg(day, "train", (vectors, items)), error(vectors, users, items)))


def rows(name: str, shops: Shops, factors: int) -> Iterator[dict[str, str]]:
    """A row for each way of storing, the users of all shops in one."""
    whole = np.concatenate([values for values, _ in shops[WAYS[0]]])
    for way, days in shops.items():
        mean = np.concatenate([values for values, _ in days])
        low, high = ratio_interval(mean, whole, 7)
        lost = f"{mean.mean() / whole.mean() - 1:+.3%} ({low - 1:+.3%} to {high - 1:+.3%})"
        yield {
            "shop": name, "users x days": f"{len(whole):,}", "factors": str(factors), "vectors": way,
            "NDCG@20": f"{mean.mean():.5f}", "difference (95%)": "" if way == WAYS[0] else lost,
            "error": f"{np.mean([wrong for _, wrong in days]):.2%}",
        }  # fmt: skip


def main() -> None:
    """Print one table for all shops."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder of movietweetings")
    parser.add_argument("--shops", type=int, default=60, help="simulated ones, of seeds from 1")
    parser.add_argument("--users", type=int, default=16_000, help="of each simulated shop")
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--factors", type=int, default=64)
    given = parser.parse_args()
    shops: Shops = {way: [] for way in WAYS}
    for seed in range(1, given.shops + 1):
        with simulated(given.users, 60, seed) as shop:
            score(shop, given.days, given.factors, shops)
    table = list(rows(f"{given.shops} simulated", shops, given.factors))
    if given.data:
        tweets: Shops = {way: [] for way in WAYS}
        with movietweetings(given.data) as shop:
            score(shop, given.days, given.factors, tweets)
        table += rows(shop.name, tweets, given.factors)
    markdown(table)


if __name__ == "__main__":
    main()
