"""Run the search of a daily run, and report on it for the run record."""

from typing import Any, Final

from dawnlist.als.engine import FitEngine
from dawnlist.components.tune.contest import RungShard
from dawnlist.components.tune.grid import Grid, plan_search, read_champion_config
from dawnlist.components.tune.search import search_configs
from dawnlist.components.tune.trials import Trial
from dawnlist.cuts import format_stamp
from dawnlist.lake.lake import Lake
from dawnlist.model.repeats import RepeatMode
from dawnlist.model.splits import Splits

MIN_REPEAT_SHARE: Final = 0.01
"""Repeats are not tried where a smaller share of the validation's pairs were met before."""


def run_daily_search(
    lake: Lake,
    splits: Splits,
    grid: Grid,
    mode: str,
    metric: str,
    k: int,
    engine: FitEngine,
    run: str,
    shard: RungShard | None,
) -> dict[str, Any]:
    """Search in a mode, one of SEARCH_MODES, and keep the table of all trials under the run's id.

    Returns:
        `trials`, best first, `rungs` (see summarise_rungs; not with a shard), `searched` (a
        description of the configurations), `metric` and `k`.
    """
    champion = read_champion_config(lake, splits)
    plan = plan_search(mode, grid, champion, choose_repeat_mode(splits))
    table: tuple[str, ...] = ()
    if shard is None:
        table = ("searches", format_stamp(splits.cuts.as_of), f"{run}.json")
    trials = search_configs(
        lake,
        splits,
        plan.configs,
        metric,
        k,
        engine,
        blends=plan.blends,
        repeats=plan.repeats,
        contents=plan.contents,
        shard=shard,
        table=table,
    )
    report = {"trials": trials, "searched": plan.description, "metric": metric, "k": k}
    if shard is None:
        report["rungs"] = summarise_rungs(trials)
    return report


def choose_repeat_mode(splits: Splits) -> RepeatMode:
    """Return the mode of the settings, but `off` for `auto` where hardly any item is met again."""
    mode: RepeatMode = splits.about.get("repeats", "off")
    if mode == "auto" and splits.repeat_share("validation") < MIN_REPEAT_SHARE:
        return "off"
    return mode


def summarise_rungs(trials: list[Trial]) -> list[dict[str, int]]:
    """Summarise each rung of the halving.

    Returns:
        For each rung: sweeps, users (the most that a trial was scored on), trials and kept (the
        number of trials that went on). The list is empty when no trial was scored.
    """
    user_counts: dict[int, dict[int, int]] = {}
    for number, trial in enumerate(trials):
        for point in trial.get("curve", ()):
            # The rung of the shares of popularity has the same sweeps. A trial counts once.
            user_counts.setdefault(point["sweeps"], {})[number] = point["users"]
    rungs = []
    for sweeps, users_by_trial in sorted(user_counts.items()):
        users = max(users_by_trial.values())
        rungs.append({"sweeps": sweeps, "users": users, "trials": len(users_by_trial)})
    survivors = [rung["trials"] for rung in rungs[1:]] + [1]
    for rung, kept in zip(rungs, survivors, strict=False):
        rung["kept"] = kept
    return rungs
