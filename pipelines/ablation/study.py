"""Measure what the bot rules bring: fit with and without each rule, and judge on the same people.

With the truth of a simulated shop, the people are its humans. On real data they are the users
against whom no rule, on or in shadow, finds anything. Each of them is judged by everything that they
did, even by rows that an arm left out, so that all arms answer the same questions. A user or an item
that an arm does not know scores 0 there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pyarrow as pa

from dawnlist.arrays import Float64Array
from dawnlist.components.tune.search import search_configs
from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.model.config import ALSConfig
from dawnlist.pipelines.ablation.day import AblationArm, AblationDay
from dawnlist.pipelines.ablation.inputs import AblationStudy, InteractionsVersion
from dawnlist.pipelines.ablation.report import (
    BASELINE,
    AblationReport,
    average_by_user,
    build_ablation_figures,
    summarize_ablation,
)

__all__ = ["AblationStudy", "InteractionsVersion", "list_last_days", "run_ablation"]


@dataclass
class _PooledScores:
    """The scores of all days."""

    users: list[pa.Array] = field(default_factory=list)
    """The ids of the judged users of each day."""
    scores_of_arm: dict[str, list[Float64Array]] = field(default_factory=dict)
    """For each arm the scores of these users, by day."""

    def add(self, arm: str, scores: Float64Array) -> None:
        self.scores_of_arm.setdefault(arm, []).append(scores)

    def average(self) -> dict[str, Float64Array]:
        """Average each user's scores over the days, for each arm."""
        averages = {}
        for arm, scores_by_day in self.scores_of_arm.items():
            averages[arm] = average_by_user(self.users, scores_by_day)
        return averages


def _ignore_progress(done: int, total: int) -> None:
    pass


def run_ablation(
    study: AblationStudy,
    days: list[str],
    grid: list[ALSConfig],
    champion: ALSConfig | None,
    progress: Callable[[int, int], None] = _ignore_progress,
) -> AblationReport:
    """Fit and score every arm on each day, and average the scores of each user over the days.

    Args:
        study: What all days share.
        days: Ends of the days to judge (as_of texts), oldest first.
        grid: Hyper-parameters to compare.
        champion: The hyper-parameters of all arms. None chooses the best of the grid by the
            validation of the first day, which is not part of any holdout here.
        progress: Called with the number of finished fits and their total.

    Returns:
        The report that dawnlist.records.ablations saves. Among its keys are `days`, `user_days`,
        `config`, `chosen` (how it was chosen), `found` (what each rule found on the last day),
        `changes` (rows of `change`, `ndcg`, `difference` to the baseline, `low` and `high`), `grid`
        (`settings`, `best_over_used`, `best_over_median`, `best_over_worst`) and `said` (sentences).

    Raises:
        ValueError: There is nobody to judge by.
    """
    config = champion
    pooled = _PooledScores()
    for number, as_of in enumerate(days):
        day = AblationDay.from_study(study, as_of)
        if not len(day.users):
            continue
        config = config or _search_best_config(study, day, grid)
        arms = day.arms(config, grid)
        for arm_number, arm in enumerate(arms, 1):
            pooled.add(arm.name, day.ndcg(arm))
            progress(number * len(arms) + arm_number, len(days) * len(arms))
        pooled.users.append(day.users)
    if config is None or not pooled.users:
        raise ValueError(
            f"of {study.judged_on} nobody met a new item in the 24 hours before {' or '.join(days)}: "
            "give another --as-of, or more --days"
        )
    report: AblationReport = {
        "as_of": format_iso(parse_as_of(days[-1])),
        "days": len(days),
        "judged_on": study.judged_on,
        "metric": f"ndcg@{study.k}",
        "user_days": sum(map(len, pooled.users)),
        "config": config.as_dict(),
        "chosen": _describe_config_choice(champion, grid),
        "found": _count_rule_findings(day),
    }
    report |= build_ablation_figures(pooled.average(), day.list_dropping_rules(), grid)
    report["users"] = report["rows"][0]["users"]
    report["said"] = summarize_ablation(report)
    return report


def _count_rule_findings(day: AblationDay) -> dict[str, dict[str, int]]:
    findings = {}
    for rule in day.rules:
        findings[rule["rule"]] = {"users": rule["users"], "events": rule["events"]}
    return findings


def list_last_days(as_of: str, days: int) -> list[str]:
    """List the ends of the last `days` days as as_of texts, the oldest first and `as_of` last."""
    last = parse_as_of(as_of)
    return [format_iso(last - timedelta(days=back)) for back in reversed(range(days))]


def _describe_config_choice(champion: ALSConfig | None, grid: list[ALSConfig]) -> str:
    if champion is not None:
        return "the champion's"
    if len(grid) == 1:
        return "given"
    return f"best of {len(grid)} by the first day's validation"


def _search_best_config(study: AblationStudy, day: AblationDay, grid: list[ALSConfig]) -> ALSConfig:
    if len(grid) == 1:
        return grid[0]
    splits = day.splits(AblationArm(BASELINE, day.verdicts, grid[0]))
    trials = search_configs(study.table.lake, splits, grid, "ndcg", study.k, study.engine)
    return ALSConfig.from_dict(trials[0])
