"""A grid search whose finished trials lie in the lake, so that a retry goes on where a killed one stopped."""

import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from itertools import product
from typing import Any

from scipy.sparse import csr_matrix

from components.lake import Lake
from components.metrics import score
from components.model import FactorModel
from components.solver import ALSConfig, fingerprint, fit
from components.splits import Splits, Truth
from components.user_items import UserItems

METRICS = ("ndcg", "recall", "map")
Trial = dict[str, Any]


def grid(
    factors: Iterable[float],
    regularization: Iterable[float],
    alpha: Iterable[float],
    half_life: Iterable[float],
    iterations: int,
    seed: int,
    solver: str = "implicit",
) -> list[ALSConfig]:
    """Every combination, in a fixed order. The runner turns ints in lists into floats: whole numbers are cast back."""
    combined = product(map(_whole, factors), regularization, alpha, half_life)
    return [ALSConfig(f, float(r), float(a), float(h), iterations, seed, solver) for f, r, a, h in combined]


def search(
    lake: Lake,
    splits: Splits,
    configs: list[ALSConfig],
    metric: str,
    k: int,
    device: str = "cpu",
    progress: Callable[[Trial], None] = lambda trial: None,
    spark: str = "local[*]",
) -> list[Trial]:
    """Fit each configuration before the validation cut and score it on validation; best first.

    A trial is the configuration with its metrics, e.g. `ndcg@20`, and `seconds`. Each is kept in the lake as it is
    made. ValueError for an unknown metric or an empty grid.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is unknown: give one of {', '.join(METRICS)}")
    if not configs:
        raise ValueError("the grid is empty: give at least one value for each hyper-parameter")
    user_items = splits.user_items("tune")
    work = fingerprint(user_items, "tune", k, version("dawnlist"), splits.truth("validation").indices.tolist())
    trials = []
    for config in configs:
        place = ("trials", work, f"{fingerprint_of(config, device)}.json")
        trial = lake.read_json(*place)
        if trial is None:
            trial = _trial(splits, user_items, config, k, device, spark)
            lake.write_json(trial, *place)
        trials.append(trial)
        progress(trial)
    # without a judged user no trial has the metric, and the first configuration, the user's own, stands
    return sorted(trials, key=lambda trial: -trial.get(f"{metric}@{k}", 0.0))


def fingerprint_of(config: ALSConfig, device: str) -> str:
    """A name for one configuration, as it stands in object names."""
    values = {**config.as_dict(), "device": device}
    return "-".join(value if isinstance(value, str) else f"{name}={value!r}" for name, value in values.items())


def _trial(splits: Splits, user_items: UserItems, config: ALSConfig, k: int, device: str, spark: str) -> Trial:
    clock = time.perf_counter()
    factors = fit(user_items, config, device, spark)
    fitted = time.perf_counter() - clock
    metrics = judge(splits, as_model(splits, factors, user_items, config), user_items.weight, "validation", k)
    return {
        **config.as_dict(),
        **metrics,
        "fit_seconds": round(fitted, 3),
        "seconds": round(time.perf_counter() - clock, 3),
    }


def as_model(splits: Splits, factors: tuple[Any, Any], user_items: UserItems, config: ALSConfig) -> FactorModel:
    """The factors as a model of the users and items that were seen in the fit."""
    return FactorModel.of_known((splits.user_ids, splits.item_ids), factors, user_items.weight, config.as_dict(), {})


def judge(splits: Splits, model: FactorModel, seen: csr_matrix, part: Truth, k: int) -> dict[str, float]:
    """The mean metrics of a model over the judged users of `part`; `seen`: (users, items), what it was fitted on."""
    users = splits.judged(part)
    lists, _ = model.aligned(splits.user_ids, splits.item_ids).top_k(users, seen[users], k)
    return {name: round(value, 6) for name, value in score(lists, splits.truth(part)[users]).means(k).items()}


def _whole(value: float) -> int:
    if float(value) != int(value):
        raise ValueError(f"factors is {value}: give a whole number")
    return int(value)
