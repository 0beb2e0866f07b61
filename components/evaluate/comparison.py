"""Compare the challenger with the other arms: differences, lift, segments and churn."""

from collections.abc import Mapping

import numpy as np

from dawnlist.arrays import BoolArray, Float64Array, Int64Array
from dawnlist.components.evaluate import segments
from dawnlist.components.evaluate.arms import EvaluatedUsers
from dawnlist.model.evaluation import Difference, Lift, SegmentScores
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.metrics import bootstrap_means, mean_or_zero, percentile_interval
from dawnlist.model.splits import Splits

BOOTSTRAP_SEED = 7
ValuesByArm = Mapping[str, Float64Array]
"""For each arm one value of the primary metric of each user."""


def compare_arms(values: ValuesByArm) -> tuple[dict[str, Difference], Lift | None]:
    """Compare the challenger with the other arms on the same bootstrap samples of users.

    Returns:
        The challenger's difference to each other arm, and its lift over popularity, which is None
        when popularity hits nobody. The intervals are of 95%.
    """
    samples = bootstrap_means(np.column_stack(list(values.values())), BOOTSTRAP_SEED)
    means = dict(zip(values, samples.T, strict=True))
    differences = {}
    for name in values:
        if name == "challenger":
            continue
        low, high = percentile_interval(means["challenger"] - means[name])
        mean = mean_or_zero(values["challenger"] - values[name])
        differences[name] = Difference(**round_values({"mean": mean, "low": low, "high": high}))
    challenger_mean = mean_or_zero(values["challenger"])
    popularity_mean = mean_or_zero(values["popularity"])
    if not popularity_mean:
        return differences, None
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = percentile_interval(means["challenger"] / means["popularity"])
    ratio = challenger_mean / popularity_mean
    return differences, Lift(**round_values({"value": ratio, "low": low, "high": high}))


def score_segments(
    evaluated: EvaluatedUsers,
    values: ValuesByArm,
    cold_values: ValuesByArm,
    part_values: Mapping[str, ValuesByArm],
) -> list[SegmentScores]:
    """Return the scores of each segment that has users.

    Args:
        values: Of the evaluated users.
        cold_values: Of the users of the holdout who met nothing before it.
        part_values: For each part of the truth, of the users who have such truth.
    """
    segment_values: dict[str, ValuesByArm] = {}
    for name, is_member in segments.assign_segments(evaluated).items():
        segment_values[name] = _select_users(values, is_member)
    segment_values[segments.COLD_SEGMENT] = cold_values
    segment_values.update(part_values)
    scored_segments = []
    for name, by_arm in segment_values.items():
        user_count = len(by_arm["challenger"])
        if user_count:
            means = _average_values(by_arm)
            difference = _compare_with_incumbent(by_arm)
            scored_segments.append(SegmentScores(name, user_count, means, difference))
    return scored_segments


def _compare_with_incumbent(by_arm: ValuesByArm) -> Difference | None:
    """Compare the challenger with the incumbent in a segment; None without an incumbent."""
    if "incumbent" not in by_arm:
        return None
    pair = {name: by_arm[name] for name in ("challenger", "incumbent")}
    samples = bootstrap_means(np.column_stack(list(pair.values())), BOOTSTRAP_SEED)
    low, high = percentile_interval(samples[:, 0] - samples[:, 1])
    mean = mean_or_zero(pair["challenger"] - pair["incumbent"])
    return Difference(**round_values({"mean": mean, "low": low, "high": high}))


def _select_users(values: ValuesByArm, is_selected: BoolArray) -> ValuesByArm:
    return {arm: user_values[is_selected] for arm, user_values in values.items()}


def _average_values(values: ValuesByArm) -> dict[str, float]:
    means = {}
    for arm, user_values in values.items():
        means[arm] = mean_or_zero(user_values)
    return round_values(means)


def compute_list_churn(
    live_lists: Int64Array | None, challenger_lists: Int64Array | None
) -> Float64Array:
    """Compute the share of the live list that is not in the challenger's.

    Only users who have a list from both models have a value.
    """
    if live_lists is None or challenger_lists is None:
        return np.empty(0)
    has_both = (live_lists[:, 0] >= 0) & (challenger_lists[:, 0] >= 0)
    old, new = live_lists[has_both], challenger_lists[has_both]
    # The user's number in the upper 32 bits keeps the items of different users apart.
    user_bits = np.arange(len(old))[:, None] << 32
    is_listed = old >= 0
    is_gone = is_listed & ~np.isin(user_bits + old, user_bits + new)
    return np.asarray(is_gone.sum(axis=1) / is_listed.sum(axis=1))


def compute_kept_share(splits: Splits, live: FactorModel) -> float:
    """Compute the share of the live model's items that somebody met in the window.

    Items that nobody had met when the model was fitted, which come last in it, do not count. The
    share is 0 when the catalogue got new ids, also if the items table still has the old ones.
    """
    fitted_ids = live.item_ids.ids[: live.config.get("fitted_items", len(live.item_ids))]
    if not len(fitted_ids):
        return 1.0
    rows = splits.item_ids.indices(fitted_ids)
    is_kept = (rows >= 0) & (rows < splits.met_item_count)
    return float(is_kept.mean())


def round_values(values: Mapping[str, float]) -> dict[str, float]:
    """Round the values to 6 decimals."""
    return {name: round(value, 6) for name, value in values.items()}
