"""Score every arm as it would be served, on the same users and the same truth, in one pass over blocks of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dawnlist.components.evaluate import holdout, segments
from dawnlist.components.evaluate.arms import Arm, Judged, Lists, met_by, of_model, of_neighbours, of_popularity, served
from dawnlist.lake.lake import Lake
from dawnlist.model import popularity
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.metrics import METRICS, Floats, Scores, bootstrap, interval, score
from dawnlist.model.splits import Splits

SEED = 7  # of the bootstrap
Arms = dict[str, Arm]
Values = dict[str, Floats]
"""Arm -> one value of the primary metric for each user."""


@dataclass(frozen=True)
class Block:
    """What is known of some users when their lists are forgotten."""

    scores: dict[str, Scores]
    new_items: Values
    """Of those who met an item that nobody knew, judged by such items alone."""
    churn: Floats
    """Of those whom both models know: the share of the incumbent's list that the challenger's does not have."""


def evaluate(
    splits: Splits,
    challenger: FactorModel,
    incumbent: FactorModel | None,
    metric: str,
    k: int,
    lake: Lake | None = None,
) -> dict[str, Any]:
    """Metrics of each arm, and the challenger's difference to the others with a 95% interval.

    Popularity is the strongest of its windows by `metric` on this very holdout, which favours it. `lake` remembers the
    day's first holdout. Returns a JSON-able dict, which docs/EVALUATION.md lists; without judged users the arms have no
    metrics. ValueError for an unknown metric, or splits whose holdout is not the one that was cut.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is unknown: give one of {', '.join(METRICS)}")
    judged, told = Judged.of(splits, k), holdout.about(lake, splits)
    windows = {window: of_popularity(judged.history, window) for window in popularity.WINDOWS}
    by_window = {window: joined(judge(judged, {"popularity": arm}, metric)) for window, arm in windows.items()}
    strongest = max(windows, key=lambda window: _mean(getattr(by_window[window]["popularity"], metric)))
    arms = {"challenger": of_model(splits, challenger)}
    if incumbent is not None:
        arms["incumbent"] = of_model(splits, incumbent)
    arms |= {"item_knn": of_neighbours(judged.history.weight), "popularity": windows[strongest]}
    blocks = judge(judged, arms, metric)
    scores = joined(blocks)
    values = {name: getattr(found, metric) for name, found in scores.items()}
    return {
        "k": k,
        "metric": metric,
        "evaluated_users": len(judged.users),
        "items": splits.met_items,
        "repeat_share": round(splits.repeat_share("holdout"), 4),
        "holdout": told,
        "popularity_window": strongest,
        "arms": {name: _rounded(found.means(k)) for name, found in scores.items()},
        "popularity_windows": {window: _rounded(found["popularity"].means(k)) for window, found in by_window.items()},
        **_compared(values),
        "segments": _segments(judged, blocks, values, joined(judge(judged.cold, arms, metric)), metric),
        **_churn(blocks),
        **({} if incumbent is None else {"kept_items": round(_kept(splits, incumbent), 6)}),
        "traffic": splits.about.get("traffic"),
        **_per_user(values),
    }


def flat(evaluation: dict[str, Any]) -> dict[str, float]:
    """Metrics of all arms under one-level names, e.g. `challenger ndcg@20`, and the challenger's differences."""
    arms = {f"{arm} {name}": value for arm, means in evaluation["arms"].items() for name, value in means.items()}
    differences = {
        f"challenger over {arm}, {name}": value
        for arm, difference in evaluation["differences"].items()
        for name, value in difference.items()
    }
    return arms | differences


def summary(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The evaluation without the values of single users: what the run record holds."""
    return {name: value for name, value in evaluation.items() if name != "per_user"}


def judge(judged: Judged, arms: Arms, metric: str) -> list[Block]:
    """The scores of each arm, block by block; a user without a list is served that of the arm `popularity`."""
    met, blocks = met_by(judged.history.weight), []
    for block in judged.blocks():
        own = {name: arm(block) for name, arm in arms.items()}
        lists = {name: served(found, own["popularity"]) for name, found in own.items()}
        users, truth = segments.with_new_items(block)
        scores = {name: _catalogued(score(found, block.truth, met), judged.splits) for name, found in lists.items()}
        new_items = {name: getattr(score(found[users], truth), metric) for name, found in lists.items()}
        blocks.append(Block(scores, new_items, _gone(own.get("incumbent"), own.get("challenger"))))
    return blocks


def _catalogued(scores: Scores, splits: Splits) -> Scores:
    """Coverage and Gini are over what anyone met in the window: how much else waits there says nothing of a model."""
    return replace(scores, exposure=scores.exposure[: splits.met_items])


def joined(blocks: list[Block]) -> dict[str, Scores]:
    """The scores of all users by arm."""
    return {name: Scores.joined([block.scores[name] for block in blocks]) for name in blocks[0].scores}


def _gone(old: Lists | None, new: Lists | None) -> Floats:
    if old is None or new is None:
        return np.empty(0)
    both = (old[:, 0] >= 0) & (new[:, 0] >= 0)
    old, new = old[both], new[both]
    row = np.arange(len(old))[:, None] << 32
    listed = old >= 0
    gone = listed & ~np.isin(row + old, row + new)
    return np.asarray(gone.sum(axis=1) / listed.sum(axis=1))


def _compared(values: Values) -> dict[str, Any]:
    """The challenger's `differences` to the other arms, and its `lift` over popularity, from one set of samples."""
    means = dict(zip(values, bootstrap(np.column_stack(list(values.values())), SEED).T, strict=True))
    ours, differences = means["challenger"], {}
    for name in [name for name in values if name != "challenger"]:
        low, high = interval(ours - means[name])
        mean = _mean(values["challenger"] - values[name])
        differences[name] = _rounded({"mean": mean, "low": low, "high": high})
    above, below = _mean(values["challenger"]), _mean(values["popularity"])
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = interval(ours / means["popularity"])
    lift = _rounded({"value": above / below, "low": low, "high": high}) if below else {}
    return {"differences": differences, "lift": lift}


def _segments(
    judged: Judged, blocks: list[Block], values: Values, cold: dict[str, Scores], metric: str
) -> list[dict[str, Any]]:
    """Each segment that anyone is in: how many, and the arms' means of the primary metric."""
    found = {
        name: {arm: of_all[users] for arm, of_all in values.items()}
        for name, users in segments.of_users(judged).items()
    }
    found[segments.COLD] = {arm: getattr(scores, metric) for arm, scores in cold.items()}
    found[segments.NEW_ITEMS] = {arm: np.concatenate([block.new_items[arm] for block in blocks]) for arm in values}
    return [
        {
            "segment": name,
            "users": len(by_arm["challenger"]),
            "arms": _rounded({arm: _mean(one) for arm, one in by_arm.items()}),
        }
        for name, by_arm in found.items()
        if len(by_arm["challenger"])
    ]


def _churn(blocks: list[Block]) -> dict[str, float]:
    gone = np.concatenate([block.churn for block in blocks])
    return {"churn": round(float(gone.mean()), 6)} if len(gone) else {}


def _kept(splits: Splits, incumbent: FactorModel) -> float:
    """The share of the incumbent's items that the window still has: none when a catalogue got new ids."""
    return float((splits.item_ids.indices(incumbent.item_ids.ids) >= 0).mean()) if len(incumbent.item_ids) else 1.0


def _per_user(values: Values) -> dict[str, Any]:
    if "incumbent" not in values:
        return {}
    return {"per_user": {name: values[name].round(6).tolist() for name in ("challenger", "incumbent")}}


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}
