"""NDCG@20 with one budget of factors: our solver, which scales its regularization, against implicit's best.

python benchmarks/quality.py --data ../shared/data        (data sets that are not there are left out)

Each engine's configuration is the best of one grid over the earlier days, pooled; it is scored on the later days'
holdouts, pooled over users and days. A third arm adds to ours the share of decayed popularity that was best there.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from clicks import markdown
from shops import Shop, deskdrop, interval, movietweetings, ndcg, opened, options, simulated

from dawnlist.als.training import ALSTrainer
from dawnlist.arrays import Float64Array
from dawnlist.components.tune.grid import Grid
from dawnlist.model import popularity
from dawnlist.model.config import ALSConfig
from dawnlist.model.hybrid import blend_fitted_popularity
from dawnlist.model.splits import Splits

GRID: dict[str, Any] = {
    "regularization": (3.0, 10.0, 30.0, 100.0),
    "alpha": (1.0, 10.0),
    "half_life": (4.0, 14.0, 60.0),
}
NU = (0.0, 0.5, 1.0)
BLENDS = [(0.0, 1.0), *product((0.03, 0.1, 0.3, 1.0, 3.0), (0.5, 1.0, 3.0, 7.0, 30.0))]
DAYS = {"movietweetings": (3, 7), "deskdrop": (10, 40), "simulated": (2, 4)}
"""So many earlier and later days of each shop."""
Days = list[Splits]


def pooled(days: Days, config: ALSConfig) -> Float64Array:
    """NDCG of each user and day."""
    return np.concatenate([fitted(day, config, [(config.popularity_share, config.popularity_half_life)])[0]
                           for day in days])  # fmt: skip


def fitted(day: Splits, config: ALSConfig, blends: list[tuple[float, float]]) -> list[Float64Array]:
    """The same of one day, with each share of popularity."""
    user_items = day.user_items("train")
    fit = ALSTrainer(user_items).start_fit(config)
    fit.advance(config.iterations)
    values = []
    for share, half_life in blends:
        blended = replace(config, popularity_share=share, popularity_half_life=half_life)
        factors = blend_fitted_popularity(fit.factors, user_items, blended)
        values.append(ndcg(day, "train", factors))
    return values


def searched(days: Days, grid: Grid) -> dict[ALSConfig, float]:
    """Each configuration's NDCG over these days."""
    return {config: float(pooled(days, config).mean()) for config in grid.configs()}


def with_popularity(days: Days, config: ALSConfig) -> ALSConfig:
    """The configuration with the share of popularity that was best over these days."""
    found = [
        np.concatenate(parts)
        for parts in zip(*(fitted(day, config, BLENDS) for day in days), strict=True)
    ]
    share, half_life = BLENDS[int(np.argmax([values.mean() for values in found]))]
    return replace(config, popularity_share=share, popularity_half_life=half_life)


def popular(days: Days, window: str) -> Float64Array:
    """NDCG of popularity in one of its windows."""
    return np.concatenate(
        [
            ndcg(day, "train", popularity.fit_popularity(day.user_items("train"), window))
            for day in days
        ]
    )


def words(config: ALSConfig) -> str:
    """The hyper-parameters that were chosen."""
    names = (
        "regularization",
        "alpha",
        "nu",
        "half_life",
        "popularity_share",
        "popularity_half_life",
    )
    shown = names if config.popularity_share else names[:4]
    return ", ".join(f"{name} {getattr(config, name):g}" for name in shown)


def compared(
    shop: Shop, earlier: int, later: int, factors: int, iterations: int
) -> Iterator[dict[str, str]]:
    """A row for each arm."""
    days = list(shop.days(earlier + later))
    choose, judge = days[:earlier], days[earlier:]
    ours = searched(choose, Grid((factors,), **GRID, nu=NU, iterations=iterations))
    found = {
        "implicit": searched(
            choose, Grid((factors,), **GRID, iterations=iterations, solver="implicit")
        ),
        "ours, nu 0": {config: value for config, value in ours.items() if not config.nu},
        "ours": ours,
    }
    arms, said = {}, {}
    for name, values in found.items():
        best = max(values, key=lambda config: values[config])
        arms[name], said[name] = (
            pooled(judge, best),
            f"{words(best)} (best of {len(values)}, {values[best]:.4f} there)",
        )
    best = with_popularity(choose, best)
    arms["ours and popularity"], said["ours and popularity"] = pooled(judge, best), words(best)
    window = max(popularity.POPULARITY_WINDOWS, key=lambda name: popular(choose, name).mean())
    arms["popularity"], said["popularity"] = popular(judge, window), window
    for name, scored in arms.items():
        yield {
            "shop": shop.name, "users x days": f"{len(scored):,}", "arm": name, "NDCG@20": f"{scored.mean():.4f}",
            "less implicit's (95%)": "" if name == "implicit" else interval(scored - arms["implicit"]),
            "chosen on earlier days": said[name],
        }  # fmt: skip


def main() -> None:
    parser = options(__doc__, *DAYS)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--days", type=int, default=90, help="of the simulated shop")
    given = parser.parse_args()
    shops = {
        "movietweetings": movietweetings(given.data),
        "deskdrop": deskdrop(given.data),
        "simulated": simulated(given.users, given.days, 1),
    }
    rows: list[dict[str, str]] = []
    for name, shop in opened(given, shops):
        rows += compared(shop, *DAYS[name], given.factors, given.iterations)
    markdown(rows)


if __name__ == "__main__":
    main()
