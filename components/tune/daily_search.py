"""The search of a day's run, and what its record says of it."""

from typing import Any

from dawnlist.components.tune.contest import RungShard
from dawnlist.components.tune.grid import Grid, plan_search, read_champion_config
from dawnlist.components.tune.search import search_configs
from dawnlist.components.tune.trials import Trial
from dawnlist.cuts import format_stamp
from dawnlist.lake.lake import Lake
from dawnlist.model.splits import Splits


def run_daily_search(
    lake: Lake,
    splits: Splits,
    grid: Grid,
    word: str,
    metric: str,
    k: int,
    device: str,
    spark: str,
    run: str,
    shard: RungShard | None,
) -> dict[str, Any]:
    """What `word`, full, around_champion or off, asks for; the table of all trials is kept under the run's id.

    Returns `trials`, best first, `rungs` (see there; not of a shard), `searched` (which configurations, in words),
    `metric` and `k`.
    """
    plan = plan_search(word, grid, read_champion_config(lake, splits))
    table = () if shard else ("searches", format_stamp(splits.cuts.as_of), f"{run}.json")
    trials = search_configs(
        lake, splits, plan.configs, metric, k, device, spark=spark, blends=plan.blends, contents=plan.contents,
        shard=shard, table=table,
    )  # fmt: skip
    report = {"trials": trials, "searched": plan.description, "metric": metric, "k": k}
    return report if shard else report | {"rungs": summarise_rungs(trials)}


def summarise_rungs(trials: list[Trial]) -> list[dict[str, int]]:
    """What each rung of the halving was: sweeps, the most users that were asked, trials and those that went on."""
    points: dict[int, dict[int, Trial]] = {}
    for place, trial in enumerate(trials):
        for point in trial.get("curve", ()):
            points.setdefault(point["sweeps"], {})[place] = (
                point  # after as many sweeps, but with popularity: once
            )
    found = [
        {
            "sweeps": sweeps,
            "users": max(point["users"] for point in some.values()),
            "trials": len(some),
        }
        for sweeps, some in sorted(points.items())
    ]
    went_on = [rung["trials"] for rung in found[1:]] + [1]
    return [
        {**rung, "kept": kept} for rung, kept in zip(found, went_on, strict=False)
    ]  # none where nobody was asked
