"""Score every arm as it would be served, on the same users and the same truth, in one pass over blocks of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.components.evaluate import holdout, segments
from dawnlist.components.evaluate.arms import (
    EvaluatedUsers,
    EvaluationArm,
    build_item_knn_arm,
    build_model_arm,
    build_popularity_arm,
    compute_item_popularity,
    fill_empty_lists,
)
from dawnlist.lake.lake import Lake
from dawnlist.model import popularity
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.metrics import (
    METRICS,
    RankingScores,
    bootstrap_means,
    percentile_interval,
    score_lists,
)
from dawnlist.model.splits import Splits

BOOTSTRAP_SEED = 7  # of the bootstrap
ArmsByName = dict[str, EvaluationArm]
ValuesByArm = dict[str, Float64Array]
"""Arm -> one value of the primary metric for each user."""


@dataclass(frozen=True)
class BlockScores:
    """What is known of some users when their lists are forgotten."""

    scores: dict[str, RankingScores]
    new_items: ValuesByArm
    """Of those who met an item that nobody knew, judged by such items alone."""
    churn: Float64Array
    """Of those whom both models know: the share of the incumbent's list that the challenger's does not have."""


def evaluate_models(
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
    judged, told = EvaluatedUsers.of(splits, k), holdout.describe_holdout(lake, splits)
    windows = {
        window: build_popularity_arm(judged.history, window)
        for window in popularity.POPULARITY_WINDOWS
    }
    by_window = {
        window: join_block_scores(score_arms(judged, {"popularity": arm}, metric))
        for window, arm in windows.items()
    }
    strongest = max(
        windows, key=lambda window: _mean_or_zero(getattr(by_window[window]["popularity"], metric))
    )
    arms = {"challenger": build_model_arm(splits, challenger)}
    if incumbent is not None:
        arms["incumbent"] = build_model_arm(splits, incumbent)
    arms |= {
        "item_knn": build_item_knn_arm(judged.history.weight),
        "popularity": windows[strongest],
    }
    blocks = score_arms(judged, arms, metric)
    scores = join_block_scores(blocks)
    values = {name: getattr(found, metric) for name, found in scores.items()}
    return {
        "k": k,
        "metric": metric,
        "evaluated_users": len(judged.users),
        "items": splits.met_item_count,
        "repeat_share": round(splits.repeat_share("holdout"), 4),
        "holdout": told,
        "popularity_window": strongest,
        "arms": {name: _round_values(found.means(k)) for name, found in scores.items()},
        "popularity_windows": {
            window: _round_values(found["popularity"].means(k))
            for window, found in by_window.items()
        },
        **_compare_arms(values),
        "segments": _score_segments(
            judged, blocks, values, join_block_scores(score_arms(judged.cold, arms, metric)), metric
        ),
        **_average_churn(blocks),
        **(
            {}
            if incumbent is None
            else {"kept_items": round(_compute_kept_share(splits, incumbent), 6)}
        ),
        "traffic": splits.about.get("traffic"),
        **_list_user_values(values),
    }


def flatten_evaluation(evaluation: dict[str, Any]) -> dict[str, float]:
    """Metrics of all arms under one-level names, e.g. `challenger ndcg@20`, and the challenger's differences."""
    arms = {
        f"{arm} {name}": value
        for arm, means in evaluation["arms"].items()
        for name, value in means.items()
    }
    differences = {
        f"challenger over {arm}, {name}": value
        for arm, difference in evaluation["differences"].items()
        for name, value in difference.items()
    }
    return arms | differences


def drop_user_values(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The evaluation without the values of single users: what the run record holds."""
    return {name: value for name, value in evaluation.items() if name != "per_user"}


def score_arms(judged: EvaluatedUsers, arms: ArmsByName, metric: str) -> list[BlockScores]:
    """The scores of each arm, block by block; a user without a list is served that of the arm `popularity`."""
    met, blocks = compute_item_popularity(judged.history.weight), []
    for block in judged.split_into_blocks():
        own = {name: arm(block) for name, arm in arms.items()}
        lists = {name: fill_empty_lists(found, own["popularity"]) for name, found in own.items()}
        users, truth = segments.select_new_item_truth(block)
        scores = {
            name: _limit_to_met_items(score_lists(found, block.truth, met), judged.splits)
            for name, found in lists.items()
        }
        new_items = {
            name: getattr(score_lists(found[users], truth), metric) for name, found in lists.items()
        }
        blocks.append(
            BlockScores(
                scores, new_items, _compute_list_churn(own.get("incumbent"), own.get("challenger"))
            )
        )
    return blocks


def _limit_to_met_items(scores: RankingScores, splits: Splits) -> RankingScores:
    """Coverage and Gini are over what anyone met in the window: how much else waits there says nothing of a model."""
    return replace(scores, exposure=scores.exposure[: splits.met_item_count])


def join_block_scores(blocks: list[BlockScores]) -> dict[str, RankingScores]:
    """The scores of all users by arm."""
    return {
        name: RankingScores.concatenate([block.scores[name] for block in blocks])
        for name in blocks[0].scores
    }


def _compute_list_churn(old: Int64Array | None, new: Int64Array | None) -> Float64Array:
    if old is None or new is None:
        return np.empty(0)
    both = (old[:, 0] >= 0) & (new[:, 0] >= 0)
    old, new = old[both], new[both]
    row = np.arange(len(old))[:, None] << 32
    listed = old >= 0
    gone = listed & ~np.isin(row + old, row + new)
    return np.asarray(gone.sum(axis=1) / listed.sum(axis=1))


def _compare_arms(values: ValuesByArm) -> dict[str, Any]:
    """The challenger's `differences` to the other arms, and its `lift` over popularity, from one set of samples."""
    means = dict(
        zip(
            values,
            bootstrap_means(np.column_stack(list(values.values())), BOOTSTRAP_SEED).T,
            strict=True,
        )
    )
    ours, differences = means["challenger"], {}
    for name in [name for name in values if name != "challenger"]:
        low, high = percentile_interval(ours - means[name])
        mean = _mean_or_zero(values["challenger"] - values[name])
        differences[name] = _round_values({"mean": mean, "low": low, "high": high})
    above, below = _mean_or_zero(values["challenger"]), _mean_or_zero(values["popularity"])
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = percentile_interval(ours / means["popularity"])
    lift = _round_values({"value": above / below, "low": low, "high": high}) if below else {}
    return {"differences": differences, "lift": lift}


def _score_segments(
    judged: EvaluatedUsers,
    blocks: list[BlockScores],
    values: ValuesByArm,
    cold: dict[str, RankingScores],
    metric: str,
) -> list[dict[str, Any]]:
    """Each segment that anyone is in: how many, and the arms' means of the primary metric."""
    found = {
        name: {arm: of_all[users] for arm, of_all in values.items()}
        for name, users in segments.assign_segments(judged).items()
    }
    found[segments.COLD_SEGMENT] = {arm: getattr(scores, metric) for arm, scores in cold.items()}
    found[segments.NEW_ITEMS_SEGMENT] = {
        arm: np.concatenate([block.new_items[arm] for block in blocks]) for arm in values
    }
    return [
        {
            "segment": name,
            "users": len(by_arm["challenger"]),
            "arms": _round_values({arm: _mean_or_zero(one) for arm, one in by_arm.items()}),
        }
        for name, by_arm in found.items()
        if len(by_arm["challenger"])
    ]


def _average_churn(blocks: list[BlockScores]) -> dict[str, float]:
    gone = np.concatenate([block.churn for block in blocks])
    return {"churn": round(float(gone.mean()), 6)} if len(gone) else {}


def _compute_kept_share(splits: Splits, incumbent: FactorModel) -> float:
    """The share of the incumbent's items that the window still has: none when a catalogue got new ids."""
    return (
        float((splits.item_ids.indices(incumbent.item_ids.ids) >= 0).mean())
        if len(incumbent.item_ids)
        else 1.0
    )


def _list_user_values(values: ValuesByArm) -> dict[str, Any]:
    if "incumbent" not in values:
        return {}
    return {
        "per_user": {name: values[name].round(6).tolist() for name in ("challenger", "incumbent")}
    }


def _mean_or_zero(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _round_values(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}
