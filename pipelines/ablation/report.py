"""From each arm's scores to the table of what the rules are worth, and to sentences about it."""

from typing import Any

import numpy as np
import pyarrow as pa

from dawnlist.arrays import Float64Array
from dawnlist.model.config import ALSConfig
from dawnlist.model.ids import IdMap
from dawnlist.model.metrics import bootstrap_interval

AblationReport = dict[str, Any]
ALL_RULES, BASELINE = "all rules", "nothing"
ABLATION_BOOTSTRAP_SEED = 7  # of the bootstrap


def average_by_user(users: list[pa.Array], values: list[Float64Array]) -> Float64Array:
    """Each user's mean over the days on which they were judged: the days of one user are not independent."""
    everyone = pa.concat_arrays(users)
    index = IdMap.of(everyone).indices(everyone)
    return np.asarray(np.bincount(index, np.concatenate(values)) / np.bincount(index))


def build_ablation_figures(
    scores: dict[str, Float64Array], rules: list[str], grid: list[ALSConfig]
) -> AblationReport:
    """`rows`, `changes` and `grid` of a report, from NDCG by arm and user; one order of users for all arms.

    A row is what a rule brings: all rules less all but this one, and, as `alone`, this one less none. A change is what
    it brings, with it less without.
    """
    ours = [*rules, ALL_RULES]
    others = [
        name for name in scores if name not in (BASELINE, *ours, *map(name_single_rule_arm, rules))
    ]
    return {
        "rows": [_build_rule_row(name, scores) for name in ours],
        "changes": [_build_change_row(name, scores) for name in others],
        "grid": _measure_grid_spread(
            [_round_mean(scores[format_hyper_parameters(config)]) for config in grid],
            _round_mean(scores[BASELINE]),
        ),
    }


def name_single_rule_arm(rule: str) -> str:
    """The name of the arm that has no other rule."""
    return f"only {rule}"


def format_hyper_parameters(config: ALSConfig) -> str:
    """The hyper-parameters that a grid varies."""
    parts = {
        "factors": config.factors,
        "regularization": config.regularization,
        "alpha": config.alpha,
    }
    parts |= {"half-life": config.half_life, "iterations": config.iterations}
    parts |= {"alpha0": config.alpha0} if config.alpha0 != 1 else {}
    parts |= {"nu": config.nu} if config.nu else {}
    parts |= {"popularity": config.popularity_share} if config.popularity_share else {}
    return ", ".join(f"{name} {value:g}" for name, value in parts.items())


def summarize_ablation(report: AblationReport) -> list[str]:
    """What the figures say, also where they say it against cleaning."""
    whole, grid = report["rows"][-1], report["grid"]
    said = "better" if whole["low"] > 0 else "WORSE" if whole["high"] < 0 else "it may be chance"
    brought = (
        f"All rules together change {report['metric']} by {whole['difference']:+.4f} "
        f"(95% interval {whole['low']:+.4f} to {whole['high']:+.4f}): {said}."
    )
    if grid["settings"] < 2:
        return [brought]
    if whole["difference"] > grid["best_over_worst"]:
        verdict = "the rules bring more than any change of them"
    elif whole["difference"] > grid["best_over_median"]:
        verdict = "the rules bring more than the best in place of the median, LESS than in place of the worst"
    else:
        verdict = "the rules bring LESS than the best in place of the median"
    tweak = (
        f"Of {grid['settings']} settings of the hyper-parameters on the same holdout, the best is "
        f"{grid['best_over_used']:+.4f} from the one in use, {grid['best_over_median']:+.4f} from the median and "
        f"{grid['best_over_worst']:+.4f} from the worst: {verdict}."
    )
    return [brought, tweak]


def format_ablation_tables(report: AblationReport) -> list[tuple[list[str], list[list[str]]]]:
    """The two tables as text, each a head and rows: what the rules bring, and what other changes do."""
    metric, rules = report["metric"], []
    for row in report["rows"]:
        found = report["found"].get(row["without"])
        counts = [f"{found['users']:,}", f"{found['events']:,}"] if found else ["", ""]
        rules.append(
            [
                row["without"],
                *counts,
                f"{row['ndcg']:.4f}",
                _format_difference(row),
                _format_difference(row["alone"]),
            ]
        )
    rules.append([BASELINE, "", "", f"{report['rows'][0]['with']:.4f}", "", ""])
    changes = [
        [row["change"], f"{row['ndcg']:.4f}", _format_difference(row)] for row in report["changes"]
    ]
    return [
        (
            [
                "without",
                "users found",
                "events found",
                metric,
                "it brings (95% interval)",
                "it brings alone",
            ],
            rules,
        ),
        (["change, with all rules", metric, "it brings (95% interval)"], changes),
    ]


def _format_difference(row: AblationReport) -> str:
    return f"{row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})"


def _build_rule_row(rule: str, scores: dict[str, Float64Array]) -> AblationReport:
    ours = {
        "without": rule,
        "ndcg": _round_mean(scores[rule]),
        "with": _round_mean(scores[BASELINE]),
        "users": len(scores[rule]),
    }
    alone = (
        scores[name_single_rule_arm(rule) if name_single_rule_arm(rule) in scores else BASELINE]
        - scores[ALL_RULES]
    )
    return (
        ours
        | _bootstrap_difference(scores[BASELINE] - scores[rule])
        | {"alone": _bootstrap_difference(alone)}
    )


def _build_change_row(name: str, scores: dict[str, Float64Array]) -> AblationReport:
    return {"change": name, "ndcg": _round_mean(scores[name])} | _bootstrap_difference(
        scores[name] - scores[BASELINE]
    )


def _bootstrap_difference(paired: Float64Array) -> dict[str, float]:
    low, high = bootstrap_interval(paired, ABLATION_BOOTSTRAP_SEED)
    return {"difference": _round_mean(paired), "low": round(low, 6), "high": round(high, 6)}


def _measure_grid_spread(means: list[float], used: float) -> AblationReport:
    """How far the best is above the setting in use, the median and the worst."""
    over = {"used": used, "median": float(np.median(means)), "worst": min(means)}
    return {"settings": len(means)} | {
        f"best_over_{name}": round(max(means) - value, 6) for name, value in over.items()
    }


def _round_mean(values: Float64Array) -> float:
    return round(float(values.mean()), 6)
