"""The search of a day's run, and what its record says of it."""

from typing import Any

from dawnlist.components.tune.contest import Share
from dawnlist.components.tune.grid import Grid, champion, planned
from dawnlist.components.tune.search import search
from dawnlist.components.tune.trials import Trial
from dawnlist.cuts import stamp
from dawnlist.lake.lake import Lake
from dawnlist.model.splits import Splits


def search_day(
    lake: Lake,
    splits: Splits,
    grid: Grid,
    word: str,
    metric: str,
    k: int,
    device: str,
    spark: str,
    run: str,
    share: Share | None,
) -> dict[str, Any]:
    """What `word`, full, around_champion or off, asks for; the table of all trials is kept under the run's id.

    Returns `trials`, best first, `rungs` (see there; not of a share), `searched` (which configurations, in words),
    `metric` and `k`.
    """
    plan = planned(word, grid, champion(lake, splits))
    table = () if share else ("searches", stamp(splits.cuts.as_of), f"{run}.json")
    trials = search(
        lake, splits, plan.configs, metric, k, device, spark=spark, blends=plan.blends, contents=plan.contents,
        share=share, table=table,
    )  # fmt: skip
    report = {"trials": trials, "searched": plan.said, "metric": metric, "k": k}
    return report if share else report | {"rungs": rungs(trials)}


def rungs(trials: list[Trial]) -> list[dict[str, int]]:
    """What each rung of the halving was: sweeps, the most users that were asked, trials and those that went on."""
    points: dict[int, dict[int, Trial]] = {}
    for place, trial in enumerate(trials):
        for point in trial.get("curve", ()):
            points.setdefault(point["sweeps"], {})[place] = point  # after as many sweeps, but with popularity: once
    found = [
        {"sweeps": sweeps, "users": max(point["users"] for point in some.values()), "trials": len(some)}
        for sweeps, some in sorted(points.items())
    ]
    went_on = [rung["trials"] for rung in found[1:]] + [1]
    return [{**rung, "kept": kept} for rung, kept in zip(found, went_on, strict=False)]  # none where nobody was asked
