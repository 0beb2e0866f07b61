"""NDCG@20 of challengers that go on from the day before with a third of the sweeps, against such as begin anew.

python benchmarks/warm_start.py [--data ../shared/data]

Each day's challenger is fitted on the rows before its holdout and scored on it, pooled over users and days. `warm, n
sweeps` is a chain: the first day begins anew, each later day goes on from the one before it, mapped by id. `begun anew,
n sweeps` are as few sweeps without a start; `other seeds` say what chance alone does.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from clicks import markdown
from shops import Shop, interval, movietweetings, ndcg, simulated

from dawnlist.als.training import ALSTrainer
from dawnlist.arrays import Float64Array
from dawnlist.cuts import format_iso
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.splits import Splits
from dawnlist.records.challengers import WarmStart, count_warm_sweeps

CONFIG = ALSConfig(
    factors=64, regularization=30.0, alpha=1.0, nu=0.5, half_life=14.0, iterations=10
)
"""Good for a simulated shop (benchmarks/quality.py). With too little regularization NDCG falls with the sweeps, and
whoever makes fewer wins, begun anew or not."""


def fitted(
    day: Splits, config: ALSConfig, count: int, start: FactorModel | None = None
) -> FactorModel:
    """The day's challenger after so many sweeps."""
    user_items, ids = day.user_items("train"), (day.user_ids, day.item_ids)
    fit = ALSTrainer(user_items).start_fit(
        config, WarmStart("", start).factors(*ids, config) if start else None
    )
    fit.advance(count)
    lineage = {"as_of": format_iso(day.end("train"))}
    return FactorModel.from_interactions(
        ids, fit.factors, user_items.weight, config.as_dict(), lineage
    )


def scored(day: Splits, model: FactorModel) -> Float64Array:
    """NDCG of each judged user."""
    aligned = model.align(day.user_ids, day.item_ids)
    return ndcg(day, "train", (aligned.user_factors, aligned.item_factors))


def chain(days: list[Splits], config: ALSConfig, count: int) -> Float64Array:
    """Of all days but the first, each gone on from the one before."""
    model = fitted(days[0], config, config.iterations)
    found = []
    for day in days[1:]:
        model = fitted(day, config, count, model)
        found.append(scored(day, model))
    return np.concatenate(found)


def anew(days: list[Splits], config: ALSConfig, count: int) -> Float64Array:
    """The same, each begun anew."""
    return np.concatenate([scored(day, fitted(day, config, count)) for day in days[1:]])


def compared(shop: Shop, count: int, seeds: list[int]) -> Iterator[dict[str, str]]:
    """A row for each number of sweeps, pooled over the seeds of the fits, too."""
    days = list(shop.days(count))
    configs = [replace(CONFIG, seed=seed) for seed in seeds]
    whole = np.concatenate([anew(days, config, config.iterations) for config in configs])
    third = count_warm_sweeps(CONFIG.iterations)
    arms = {f"begun anew, {CONFIG.iterations} sweeps": whole}
    others = [replace(config, seed=config.seed + 1000) for config in configs]
    arms["begun anew from other seeds"] = np.concatenate(
        [anew(days, config, config.iterations) for config in others]
    )
    for number in sorted({1, 2, third}):
        arms[f"warm, {number} sweeps"] = np.concatenate(
            [chain(days, config, number) for config in configs]
        )
        arms[f"begun anew, {number} sweeps"] = np.concatenate(
            [anew(days, config, number) for config in configs]
        )
    for name, values in arms.items():
        yield {
            "shop": shop.name, "users x days x seeds": f"{len(values):,}", "challenger": name,
            "NDCG@20": f"{values.mean():.4f}", "of all sweeps": f"{values.mean() / whole.mean():.1%}",
            "difference (95%)": "" if values is whole else interval(values - whole),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the real data sets"
    )
    parser.add_argument("--users", type=int, default=4000, help="of the simulated shops")
    parser.add_argument("--history", type=int, default=90, help="days of the simulated shops")
    parser.add_argument(
        "--days", type=int, default=8, help="consecutive days; the first begins the chain"
    )
    parser.add_argument(
        "--shops", type=int, nargs="+", default=[1, 2], help="seeds of the simulated shops"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8], help="of the fits")
    given = parser.parse_args()
    rows: list[dict[str, str]] = []
    for seed in given.shops:
        with simulated(given.users, given.history, seed) as shop:
            rows += compared(shop, given.days, given.seeds)
    if (given.data / "movietweetings").is_dir():
        with movietweetings(given.data) as shop:
            rows += compared(shop, given.days, given.seeds)
    markdown(rows)


if __name__ == "__main__":
    main()
