"""Paired scores of what was live and of simple rules, by user and night, for `benchmarks/real_shops.py`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from shop_nights import Night
from simple_rules import K

from dawnlist.arrays import BoolArray, Float64Array, Int64Array
from dawnlist.model.metrics import ratio_interval

HORIZONS = {"24 hours": 1, "7 days": 7}
"""How many days of truth follow a night."""
METRICS = ("ndcg", "recall")
GROUPS = ("all", "known", "cold")


@dataclass(frozen=True)
class UserNights:
    """The scores of one arm: one value for each user and night that is judged."""

    user: Int64Array
    known: BoolArray
    """Whether the user had a row before the night."""
    values: dict[str, Float64Array]
    """Metric -> values."""

    @classmethod
    def concatenate(cls, parts: list["UserNights"]) -> "UserNights":
        """Join nights."""
        values = {m: np.concatenate([part.values[m] for part in parts]) for m in METRICS}
        user = np.concatenate([part.user for part in parts])
        return cls(user, np.concatenate([part.known for part in parts]), values)

    def select_group(self, group: str) -> BoolArray:
        """Mark the user-nights of all, of known or of cold users."""
        marks = {"all": np.ones(len(self.known), bool), "known": self.known, "cold": ~self.known}
        return marks[group]


Scores = dict[tuple[str, str], list[UserNights]]
"""(horizon, arm) -> nights. The arm `live` is what was served."""


@dataclass
class ShopFigures:
    """What the nights of a shop came to."""

    nights: list[Night] = field(default_factory=list)
    tiers: dict[str, int] = field(default_factory=dict)
    """How many answers each rung of the predictor's ladder gave."""
    list_ages: list[float] = field(default_factory=list)
    """For each night how many days before it the served version's data ended."""
    judged: int = 0
    judged_dropped: int = 0
    """User-nights of users whom the night's bot rules had dropped."""
    people_lost: list[float] = field(default_factory=list)
    """For each night the share of people's events that the bot rules dropped."""
    scores: Scores = field(default_factory=dict)


def mean(values: Float64Array) -> float:
    """Average, or NaN without values."""
    return float(values.mean()) if len(values) else float("nan")


def compare_with_live(live: UserNights, rule: UserNights, metric: str) -> dict[str, float]:
    """Compare what was live with a rule: the mean difference, and its interval by users."""
    difference = live.values[metric] - rule.values[metric]
    users, position = np.unique(live.user, return_inverse=True)
    sums = np.bincount(position, weights=difference, minlength=len(users))
    counts = np.bincount(position).astype(np.float64)
    low, high = ratio_interval(sums.astype(np.float64), counts, seed=7)
    return {"difference": mean(difference), "low": low, "high": high}


def compute_rows(figures: ShopFigures, horizon: str) -> list[dict[str, Any]]:
    """Compute the table of a horizon: a row for what was live, and one for each rule."""
    arms = {arm: UserNights.concatenate(parts) for (name, arm), parts in figures.scores.items()
            if name == horizon}  # fmt: skip
    rows = []
    for arm, scores in arms.items():
        row: dict[str, Any] = {"arm": arm}
        for metric in METRICS:
            for group in GROUPS:
                row[f"{metric} {group}"] = mean(scores.values[metric][scores.select_group(group)])
            row[metric] = compare_with_live(arms["live"], scores, metric)
        rows.append(row)
    return rows


def format_row(row: dict[str, Any]) -> dict[str, str]:
    """Format a row for people."""
    cells = {"": row["arm"]}
    for metric in METRICS:
        for group in GROUPS:
            cells[f"{metric}@{K} {group}"] = f"{row[f'{metric} {group}']:.4f}"
    for metric in METRICS:
        compared = row[metric]
        cells[f"live less it, {metric} (95%)"] = (
            f"{compared['difference']:+.4f} ({compared['low']:+.4f} to {compared['high']:+.4f})"
        )
    if row["arm"] == "live":
        for metric in METRICS:
            cells[f"live less it, {metric} (95%)"] = ""
    return cells


def summarize(rows: list[dict[str, Any]], metric: str) -> dict[str, bool]:
    """Say whether what was live is below no rule, and above all."""
    compared = [row[metric] for row in rows if row["arm"] != "live"]
    return {
        "below none": all(one["difference"] >= 0 for one in compared),
        "below none with an interval": all(one["high"] >= 0 for one in compared),
        "above all with an interval": all(one["low"] > 0 for one in compared),
    }
