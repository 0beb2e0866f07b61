"""Turn the scores of an ablation's arms into tables and sentences about what the rules bring."""

from typing import Any

import numpy as np
import pyarrow as pa

from dawnlist.arrays import Float64Array
from dawnlist.model.config import ALSConfig
from dawnlist.model.ids import IdMap
from dawnlist.model.metrics import bootstrap_interval

AblationReport = dict[str, Any]
"""A report or a part of one, as it is saved as JSON."""
ALL_RULES, BASELINE = "all rules", "nothing"
"""The names of the arms that leave out all rules, or none."""
ABLATION_BOOTSTRAP_SEED = 7


def average_by_user(users: list[pa.Array], values: list[Float64Array]) -> Float64Array:
    """Average each user's values over the days on which they were judged.

    The days of one user are not independent, so an interval must be computed over users.

    Args:
        users: The ids of the users of each day.
        values: The values of these users, by day.

    Returns:
        One mean for each distinct user.
    """
    everyone = pa.concat_arrays(users)
    index = IdMap.of(everyone).indices(everyone)
    sums = np.bincount(index, np.concatenate(values))
    return np.asarray(sums / np.bincount(index))


def build_ablation_figures(
    scores: dict[str, Float64Array], rules: list[str], grid: list[ALSConfig]
) -> AblationReport:
    """Build the keys `rows`, `changes` and `grid` of a report.

    A row tells what a rule brings: all rules compared with all but this one, and, as `alone`, this
    rule compared with none. A change tells what the change brings, compared with the baseline.

    Args:
        scores: The NDCG of each user, by the name of the arm. All arms have the same users in the
            same order.
        rules: The rules that were left out one by one.
        grid: The hyper-parameters that were compared.
    """
    rule_rows = [_build_rule_row(rule, scores) for rule in (*rules, ALL_RULES)]
    single_rule_arms = map(name_single_rule_arm, rules)
    arms_of_rules = {BASELINE, ALL_RULES, *rules, *single_rule_arms}
    changes = [_build_change_row(name, scores) for name in scores if name not in arms_of_rules]
    grid_means = [_round_mean(scores[format_hyper_parameters(config)]) for config in grid]
    spread = _measure_grid_spread(grid_means, _round_mean(scores[BASELINE]))
    return {"rows": rule_rows, "changes": changes, "grid": spread}


def name_single_rule_arm(rule: str) -> str:
    """Name the arm that applies only this rule."""
    return f"only {rule}"


def format_hyper_parameters(config: ALSConfig) -> str:
    """Format the hyper-parameters that a grid varies. Some are left out at their usual values."""
    values = {
        "factors": config.factors,
        "regularization": config.regularization,
        "alpha": config.alpha,
        "half-life": config.half_life,
        "iterations": config.iterations,
    }
    if config.alpha0 != 1:
        values["alpha0"] = config.alpha0
    if config.nu:
        values["nu"] = config.nu
    if config.popularity_share:
        values["popularity"] = config.popularity_share
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def summarize_ablation(report: AblationReport) -> list[str]:
    """Summarize the figures in sentences, also when they speak against cleaning."""
    all_rules = report["rows"][-1]
    rules_sentence = (
        f"All rules together change {report['metric']} by {all_rules['difference']:+.4f} "
        f"(95% interval {all_rules['low']:+.4f} to {all_rules['high']:+.4f}): {_assess_interval(all_rules)}."
    )
    grid = report["grid"]
    if grid["settings"] < 2:
        return [rules_sentence]
    comparison = _compare_with_grid(all_rules["difference"], grid)
    grid_sentence = (
        f"Of {grid['settings']} settings of the hyper-parameters on the same holdout, the best is "
        f"{grid['best_over_used']:+.4f} from the one in use, {grid['best_over_median']:+.4f} from the median and "
        f"{grid['best_over_worst']:+.4f} from the worst: {comparison}."
    )
    return [rules_sentence, grid_sentence]


def _assess_interval(row: AblationReport) -> str:
    if row["low"] > 0:
        return "better"
    if row["high"] < 0:
        return "WORSE"
    return "it may be chance"


def _compare_with_grid(difference: float, grid: AblationReport) -> str:
    """Compare what the rules bring with what a change of the hyper-parameters brings."""
    if difference > grid["best_over_worst"]:
        return "the rules bring more than any change of them"
    if difference > grid["best_over_median"]:
        return "the rules bring more than the best in place of the median, LESS than in place of the worst"
    return "the rules bring LESS than the best in place of the median"


def format_ablation_tables(report: AblationReport) -> list[tuple[list[str], list[list[str]]]]:
    """Format two tables as (head, rows): what the rules bring, and what other changes bring."""
    metric = report["metric"]
    rule_rows = [_format_rule_row(row, report["found"]) for row in report["rows"]]
    baseline_ndcg = report["rows"][0]["with"]
    rule_rows.append([BASELINE, "", "", f"{baseline_ndcg:.4f}", "", ""])
    rule_head = [
        "without",
        "users found",
        "events found",
        metric,
        "it brings (95% interval)",
        "it brings alone",
    ]
    change_rows = [
        [row["change"], f"{row['ndcg']:.4f}", _format_difference(row)] for row in report["changes"]
    ]
    change_head = ["change, with all rules", metric, "it brings (95% interval)"]
    return [(rule_head, rule_rows), (change_head, change_rows)]


def _format_rule_row(row: AblationReport, findings: AblationReport) -> list[str]:
    users, events = "", ""
    if row["without"] in findings:
        counts = findings[row["without"]]
        users, events = f"{counts['users']:,}", f"{counts['events']:,}"
    ndcg = f"{row['ndcg']:.4f}"
    together, alone = _format_difference(row), _format_difference(row["alone"])
    return [row["without"], users, events, ndcg, together, alone]


def _format_difference(row: AblationReport) -> str:
    return f"{row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})"


def _build_rule_row(rule: str, scores: dict[str, Float64Array]) -> AblationReport:
    baseline, without_rule = scores[BASELINE], scores[rule]
    # For the row of all rules, "alone" compares all rules with none.
    only_rule = scores.get(name_single_rule_arm(rule), baseline)
    row: AblationReport = {
        "without": rule,
        "ndcg": _round_mean(without_rule),
        "with": _round_mean(baseline),
        "users": len(without_rule),
    }
    row |= _bootstrap_difference(baseline - without_rule)
    row["alone"] = _bootstrap_difference(only_rule - scores[ALL_RULES])
    return row


def _build_change_row(name: str, scores: dict[str, Float64Array]) -> AblationReport:
    row: AblationReport = {"change": name, "ndcg": _round_mean(scores[name])}
    return row | _bootstrap_difference(scores[name] - scores[BASELINE])


def _bootstrap_difference(paired: Float64Array) -> dict[str, float]:
    low, high = bootstrap_interval(paired, ABLATION_BOOTSTRAP_SEED)
    return {"difference": _round_mean(paired), "low": round(low, 6), "high": round(high, 6)}


def _measure_grid_spread(means: list[float], used: float) -> AblationReport:
    """Measure how far the best setting is above the one in use, the median and the worst."""
    best = max(means)
    return {
        "settings": len(means),
        "best_over_used": round(best - used, 6),
        "best_over_median": round(best - float(np.median(means)), 6),
        "best_over_worst": round(best - min(means), 6),
    }


def _round_mean(values: Float64Array) -> float:
    return round(float(values.mean()), 6)
