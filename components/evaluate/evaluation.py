"""Score every arm as it would be served, on the same users and the same truth.

All arms are scored in one pass over blocks of users.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from dawnlist.arrays import Float64Array
from dawnlist.components.evaluate import holdout, segments
from dawnlist.components.evaluate.arms import (
    EvaluatedUsers,
    EvaluationArm,
    build_item_knn_arm,
    build_model_arm,
    build_own_items_arm,
    build_popularity_arm,
    compute_item_popularity,
    fill_empty_lists,
)
from dawnlist.components.evaluate.comparison import (
    ValuesByArm,
    compare_arms,
    compute_kept_share,
    compute_list_churn,
    round_values,
    score_segments,
)
from dawnlist.components.evaluate.live_models import has_seen_holdout
from dawnlist.dataclass_json import from_json, to_json
from dawnlist.lake.lake import Lake
from dawnlist.model import popularity
from dawnlist.model.evaluation import Evaluation, MetricMeans, Traffic
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.metric_names import validate_metric
from dawnlist.model.metrics import RankingScores, mean_or_zero, score_lists
from dawnlist.model.splits import Splits

ArmsByName = dict[str, EvaluationArm]
ScoresByArm = dict[str, RankingScores]
T = TypeVar("T")


@dataclass(frozen=True)
class BlockScores:
    """What remains of a block of users when its lists are dropped."""

    scores: ScoresByArm
    parts: dict[str, ValuesByArm]
    """For each part of the truth the values of the users who have such truth, scored on it only."""
    churn: Float64Array
    """The share of the live list that is not in the challenger's, see comparison.py."""


@dataclass(frozen=True)
class _HoldoutScores:
    """The scores of all users of the holdout."""

    by_arm: ScoresByArm
    """Of the users who met items before the holdout."""
    cold_values: ValuesByArm
    """Of the users who met nothing before it."""
    part_values: dict[str, ValuesByArm]
    """For each part of the truth, see BlockScores."""
    churn: Float64Array

    def drop_arm(self, name: str) -> "_HoldoutScores":
        """Return the scores without those of an arm."""
        return replace(
            self,
            by_arm=_drop_key(self.by_arm, name),
            cold_values=_drop_key(self.cold_values, name),
            part_values={
                part: _drop_key(values, name) for part, values in self.part_values.items()
            },
        )


def _drop_key(values: Mapping[str, T], name: str) -> dict[str, T]:
    return {key: value for key, value in values.items() if key != name}


def evaluate_models(
    splits: Splits,
    challenger: FactorModel,
    incumbent: FactorModel | None,
    metric: str,
    k: int,
    lake: Lake | None = None,
    live: FactorModel | None = None,
) -> Evaluation:
    """Score the arms, and compare the challenger with the others with intervals of 95%.

    The incumbent is the live configuration, fitted on the challenger's rows. `live` is the
    published model as it is. Its lists tell the churn. It is scored only if it has seen no rows of
    the holdout.

    The arm of popularity has the window that is best by `metric` on this very holdout, which is in
    its favour. The lake, if there is one, keeps the day's first holdout.

    When there are no users to score on, the arms have no metrics.

    Raises:
        ValueError: The metric is unknown, or the splits' holdout is not the one that was cut.
    """
    validate_metric(metric)
    evaluated = EvaluatedUsers.from_splits(splits, k)
    holdout_facts = holdout.describe_holdout(lake, splits)
    windows = _build_popularity_arms(evaluated)
    window_scores = _score_windows(evaluated, windows, metric)
    best_window = _choose_best_window(window_scores, metric)
    arms = _build_arms(evaluated, challenger, incumbent, windows[best_window], live)
    scores = _score_holdout(evaluated, arms, metric)
    if live is not None and has_seen_holdout(live, splits):
        scores = scores.drop_arm("live")
    values = _select_values(scores.by_arm, metric)
    differences, lift = compare_arms(values)
    evaluation = Evaluation(
        k=k,
        metric=metric,
        evaluated_users=len(evaluated.users),
        items=splits.met_item_count,
        repeat_share=round(splits.repeat_share("holdout"), 4),
        holdout=holdout_facts,
        popularity_window=best_window,
        arms=_average_scores(scores.by_arm, k),
        popularity_windows=_average_scores(window_scores, k),
        differences=differences,
        lift=lift,
        segments=score_segments(evaluated, values, scores.cold_values, scores.part_values),
        churn=round(float(scores.churn.mean()), 6) if len(scores.churn) else None,
        traffic=_read_traffic(splits),
    )
    if live is not None:
        evaluation = replace(evaluation, kept_items=round(compute_kept_share(splits, live), 6))
    if incumbent is not None:
        evaluation = replace(evaluation, per_user=_list_user_values(values))
    return evaluation


def _read_traffic(splits: Splits) -> Traffic | None:
    """Return what the dataset step counted; None for splits of an older release."""
    traffic = splits.about.get("traffic")
    return None if traffic is None else from_json(Traffic, traffic)


def flatten_evaluation(evaluation: Evaluation) -> dict[str, float]:
    """Return the metrics of all arms and the challenger's differences without nesting.

    The names are e.g. `challenger ndcg@20` and `challenger over popularity, mean`.
    """
    flat = {}
    for arm, means in evaluation.arms.items():
        for name, value in means.items():
            flat[f"{arm} {name}"] = value
    for arm, difference in evaluation.differences.items():
        for name, value in to_json(difference).items():
            flat[f"challenger over {arm}, {name}"] = value
    return flat


def drop_user_values(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation without the values of single users, as the run record keeps it."""
    return replace(evaluation, per_user=None)


def _build_popularity_arms(evaluated: EvaluatedUsers) -> ArmsByName:
    """Build the arm of popularity with each of its windows."""
    arms = {}
    for window in popularity.POPULARITY_WINDOWS:
        arms[window] = build_popularity_arm(evaluated.history, window)
    return arms


def _score_windows(evaluated: EvaluatedUsers, windows: ArmsByName, metric: str) -> ScoresByArm:
    """Score popularity with each of its windows."""
    scores = {}
    for window, arm in windows.items():
        blocks = score_arms(evaluated, {"popularity": arm}, metric)
        scores[window] = join_block_scores(blocks)["popularity"]
    return scores


def _choose_best_window(window_scores: ScoresByArm, metric: str) -> str:
    means = {}
    for window, scores in window_scores.items():
        means[window] = mean_or_zero(getattr(scores, metric))
    return max(means, key=lambda window: means[window])


def _build_arms(
    evaluated: EvaluatedUsers,
    challenger: FactorModel,
    incumbent: FactorModel | None,
    popularity_arm: EvaluationArm,
    live: FactorModel | None,
) -> ArmsByName:
    arms = {"challenger": build_model_arm(evaluated.splits, challenger)}
    if incumbent is not None:
        arms["incumbent"] = build_model_arm(evaluated.splits, incumbent)
    if live is not None:
        arms["live"] = build_model_arm(evaluated.splits, live)
    arms["item_knn"] = build_item_knn_arm(evaluated.history.weight)
    if evaluated.splits.counts_repeats:
        gap = evaluated.splits.repeat_gap
        arms["own_items"] = build_own_items_arm(evaluated.history, gap)
    arms["popularity"] = popularity_arm
    return arms


def score_arms(evaluated: EvaluatedUsers, arms: ArmsByName, metric: str) -> list[BlockScores]:
    """Score the arms block by block.

    A user without a list from an arm is served the list of the arm `popularity`, which must be
    one of the arms.
    """
    item_popularity = compute_item_popularity(evaluated.history.weight)
    blocks = []
    for block in evaluated.split_into_blocks():
        arm_lists = {name: arm(block) for name, arm in arms.items()}
        truth_parts = segments.divide_truth(block)
        scores = {}
        parts: dict[str, dict[str, Float64Array]] = {part: {} for part in truth_parts}
        for name, own_lists in arm_lists.items():
            lists = fill_empty_lists(own_lists, arm_lists["popularity"])
            arm_scores = score_lists(lists, block.truth, item_popularity)
            scores[name] = _limit_to_met_items(arm_scores, evaluated.splits)
            for part, (has_truth, truth) in truth_parts.items():
                parts[part][name] = getattr(score_lists(lists[has_truth], truth), metric)
        churn = compute_list_churn(arm_lists.get("live"), arm_lists.get("challenger"))
        blocks.append(BlockScores(scores, dict(parts), churn))
    return blocks


def _limit_to_met_items(scores: RankingScores, splits: Splits) -> RankingScores:
    """Limit coverage and Gini to the items that a user met in the window.

    The number of items that nobody has met yet says nothing about a model.
    """
    return replace(scores, exposure=scores.exposure[: splits.met_item_count])


def join_block_scores(blocks: list[BlockScores]) -> ScoresByArm:
    """Return the scores of the users of all blocks by arm."""
    scores = {}
    for name in blocks[0].scores:
        scores[name] = RankingScores.concatenate([block.scores[name] for block in blocks])
    return scores


def _join_parts(blocks: list[BlockScores]) -> dict[str, ValuesByArm]:
    """Return for each part of the truth the values of the users of all blocks by arm."""
    joined: dict[str, ValuesByArm] = {}
    for part, by_arm in blocks[0].parts.items():
        values = {}
        for name in by_arm:
            values[name] = np.concatenate([block.parts[part][name] for block in blocks])
        joined[part] = values
    return joined


def _score_holdout(evaluated: EvaluatedUsers, arms: ArmsByName, metric: str) -> _HoldoutScores:
    blocks = score_arms(evaluated, arms, metric)
    cold_scores = join_block_scores(score_arms(evaluated.cold_users, arms, metric))
    return _HoldoutScores(
        by_arm=join_block_scores(blocks),
        cold_values=_select_values(cold_scores, metric),
        part_values=_join_parts(blocks),
        churn=np.concatenate([block.churn for block in blocks]),
    )


def _select_values(scores: ScoresByArm, metric: str) -> ValuesByArm:
    return {name: getattr(arm_scores, metric) for name, arm_scores in scores.items()}


def _average_scores(scores: ScoresByArm, k: int) -> dict[str, MetricMeans]:
    return {name: round_values(arm_scores.means(k)) for name, arm_scores in scores.items()}


def _list_user_values(values: ValuesByArm) -> dict[str, list[float]]:
    lists = {}
    for name in ("challenger", "incumbent", "live"):
        if name in values:
            lists[name] = values[name].round(6).tolist()
    return lists
