"""Evaluations as the gate gets them, from a literal metric for each user."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from dawnlist.components.gate.evidence import Evidence
from dawnlist.components.gate.history import GateRecord
from dawnlist.components.gate.verdict import decide_verdict
from dawnlist.cuts import format_iso
from dawnlist.model.evaluation import Evaluation
from dawnlist.records.verdict import Verdict
from dawnlist.settings import GateSettings
from tests.support.literal import AS_OF

LIVE = {"version": 3, "as_of": format_iso(AS_OF - timedelta(days=1)), "winner": "challenger"}
DAY = {"events": 1000, "before": [1000] * 28, "mix": {"view": 1.0}, "mix_before": {"view": 1.0}}
Users = Sequence[float]


def evaluation(
    challenger: Users,
    incumbent: Users | None,
    popularity: float = 0.05,
    day: int = 0,
    live: Users | None = None,
    **changed: Any,
) -> Evaluation:
    """Of the holdout that ends `day` days before AS_OF; `changed` replaces its entries.

    `live` has the metrics of the live version's own lists; None where it has seen the holdout.
    """
    means = {"challenger": float(np.mean(challenger)), "popularity": popularity}
    known: dict[str, Any] = {}
    if incumbent is not None:
        means["incumbent"] = float(np.mean(incumbent))
        known = {
            "per_user": {"challenger": list(challenger), "incumbent": list(incumbent)},
            "churn": 0.2,
            "kept_items": 1.0,
        }
    if live is not None:
        means["live"] = float(np.mean(live))
        known["per_user"]["live"] = list(live)
    ahead = means["challenger"] - popularity
    lift = means["challenger"] / popularity
    end = AS_OF - timedelta(days=day)
    values = {
        "k": 20,
        "metric": "ndcg",
        "popularity_window": "whole",
        "evaluated_users": len(challenger),
        "items": 1000,
        "holdout": {"from": format_iso(end - timedelta(days=1)), "to": format_iso(end)},
        "arms": {arm: {"ndcg@20": value, "coverage@20": 0.3} for arm, value in means.items()},
        "differences": {"popularity": {"mean": ahead, "low": ahead - 0.01, "high": ahead + 0.01}},
        "lift": {"value": lift, "low": lift * 0.98, "high": lift * 1.02},
        "traffic": DAY,
        **known,
        **changed,
    }
    return Evaluation.from_dict(values)


def past(
    day: int,
    users: int = 100,
    share: float = 0.0,
    error: float = 0.01,
    lift: float | None = 2.0,
    **changed: Any,
) -> GateRecord:
    """A gate of `day` days before AS_OF; the difference and its error are shares of the incumbent's mean of 0.1."""
    known = {
        "as_of": AS_OF - timedelta(days=day),
        "run": f"run-{day}",
        "start": AS_OF - timedelta(days=day + 1),
        "end": AS_OF - timedelta(days=day),
        "metric": "ndcg",
        "k": 20,
        "passed": True,
        "winner": "challenger",
        "forced": "",
        "comparable": True,
        "evidence": Evidence(users, users * 0.1 * share, (users * 0.1 * error) ** 2, users * 0.1),
        "lift": {} if lift is None else {"challenger": lift, "incumbent": lift},
    }
    return GateRecord.model_validate({**known, **changed})


def verdict(
    found: Evaluation, gates: Sequence[GateRecord] = (), settings: GateSettings | None = None
) -> Verdict:
    """The gate's verdict with an incumbent live."""
    return decide_verdict(found, settings or GateSettings(), AS_OF, LIVE, gates)


def broken(found: Verdict) -> dict[str, bool | None]:
    """The rules of a verdict that were not passed."""
    return {rule.rule: rule.passed for rule in found.rules if rule.passed is not True}


def spread_out(mean: float, users: int = 400, step: float = 0.05) -> list[float]:
    """Metrics of that mean, half the users above and half below it."""
    return [mean + step if user % 2 else mean - step for user in range(users)]
