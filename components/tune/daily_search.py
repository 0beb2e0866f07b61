"""Run the search of a daily run, and report on it for the run record."""

from typing import Any, Final

from dawnlist.als.engine import FitEngine
from dawnlist.components.tune.contest import RungShard
from dawnlist.components.tune.edges import describe_edges
from dawnlist.components.tune.grid import (
    NO_CONTENT_BLEND,
    Grid,
    choose_without_search,
    plan_search,
    read_champion_config,
    with_content_blend,
)
from dawnlist.components.tune.search import search_configs
from dawnlist.components.tune.trials import Trial
from dawnlist.cuts import format_stamp
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.repeats import RepeatMode
from dawnlist.model.splits import Splits
from dawnlist.records.rule_figures import format_metric_name

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
    min_users: int = 1,
) -> dict[str, Any]:
    """Search in a mode, one of SEARCH_MODES, and keep the table of all trials under the run's id.

    With fewer than `min_users` users to choose by, nothing is searched, and when no trial hits any
    user, nothing is chosen: the only trial is then the live configuration or, when no ALS is live,
    the grid's middle.

    Returns:
        `trials`, best first, `rungs` (see summarise_rungs; not with a shard), `searched` (a
        description of the configurations), `edges` (what the best trial has on the grid's edge, in
        sentences), `metric` and `k`.
    """
    champion = read_champion_config(lake, splits)
    users = len(splits.judged("validation"))
    if users < min_users:
        reason = (
            f"nothing was searched: only {users:,} known users can be judged in the validation "
            f"period, and gate.min_users is {min_users:,}"
        )
        report = _skip_search(splits, grid, champion, reason)
        if shard is not None:
            report["trials"] = []
        return {**report, "metric": metric, "k": k}
    grid = grid.with_reference_repeats(splits.repeat_share("validation"))
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
        has_favourite=plan.has_favourite,
    )
    if trials and not trials[0].get(format_metric_name(metric, k)):
        reason = f"nothing was chosen: no trial hit any of {users:,} users of the validation period"
        report = _skip_search(splits, grid, champion, reason)
        return {**report, "metric": metric, "k": k}
    report = {"trials": trials, "searched": plan.description, "metric": metric, "k": k}
    if shard is None:
        report["rungs"] = summarise_rungs(trials)
        report["edges"] = describe_edges(plan, trials[0])
    return report


def choose_repeat_mode(splits: Splits) -> RepeatMode:
    """Return the mode of the settings, but `off` for `auto` where hardly any item is met again."""
    mode: RepeatMode = splits.about.get("repeats", "off")
    if mode == "auto" and splits.repeat_share("validation") < MIN_REPEAT_SHARE:
        return "off"
    return mode


def _skip_search(
    splits: Splits, grid: Grid, champion: ALSConfig | None, reason: str
) -> dict[str, Any]:
    """Report the configuration that is fitted when there is nothing to choose by."""
    mode = choose_repeat_mode(splits)
    if champion is not None:
        # Too few users say nothing about repeats either, so that only the settings count.
        mode = splits.about.get("repeats", "off")
    config, description = choose_without_search(grid, champion, mode)
    if champion is None and not splits.content.shape[1]:
        config = with_content_blend(config, NO_CONTENT_BLEND)
    searched = f"{reason}; the challenger has {description}"
    return {"trials": [config.as_dict()], "rungs": [], "edges": [], "searched": searched}


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
