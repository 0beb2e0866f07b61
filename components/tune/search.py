"""Search hyper-parameters: successive halving, then shares of popularity, repeats and content."""

import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final

from dawnlist.als.engine import FitEngine
from dawnlist.als.training import ON_CPU, ALSTrainer, fingerprint_inputs
from dawnlist.arrays import Float32Array
from dawnlist.components.tune.contenders import Contender, ResumableFit
from dawnlist.components.tune.contest import Contest, RungShard
from dawnlist.components.tune.grid import (
    NO_CONTENT_BLEND,
    NO_POPULARITY_BLEND,
    NO_REPEAT_BLEND,
    ContentBlend,
    PopularityBlend,
    RepeatBlend,
)
from dawnlist.components.tune.halving import plan_rungs
from dawnlist.components.tune.sample import Sample
from dawnlist.components.tune.trials import Trial, TrialArchive
from dawnlist.lake.lake import Lake
from dawnlist.machine.free_memory import require_memory
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.hybrid import Hybrid
from dawnlist.model.metric_names import validate_metric
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems

BLENDS_TRIED_FURTHER: Final = 3
"""This many of the best shares of popularity are tried with repeats and with content."""
_CURVE_FIELDS: Final = ("rung", "sweeps", "users", "fit_seconds")


def search_configs(
    lake: Lake,
    splits: Splits,
    configs: Sequence[ALSConfig],
    metric: str,
    k: int,
    engine: FitEngine = ON_CPU,
    progress: Callable[[Trial], None] = lambda trial: None,
    blends: Sequence[PopularityBlend] = (NO_POPULARITY_BLEND,),
    repeats: Sequence[RepeatBlend] = (NO_REPEAT_BLEND,),
    contents: Sequence[ContentBlend] = (NO_CONTENT_BLEND,),
    shard: RungShard | None = None,
    table: tuple[str, ...] = (),
    has_favourite: bool = False,
) -> list[Trial]:
    """Fit configurations before the validation cut and score them on the validation window.

    Results are stored in the lake as soon as they are there, so a search that was killed resumes.

    Args:
        configs: All with the same number of iterations.
        metric: Decides, one of METRICS.
        progress: Is called with each new row of the table of trials.
        shard: Does only a share of one rung, without content.
        has_favourite: Whether the first configuration wins unless another one is clearly better.
        table: Path in the lake of the table of all trials so far. An empty path writes none.

    Returns:
        A trial for each configuration, best first: its hyper-parameters with the best of `blends`,
        `repeats` and `contents`, its metrics of the last rung that it was in, e.g. `ndcg@20`, `rung`,
        `sweeps`, `users` (on whom it was scored), `dropped`, `fit_seconds` (of all its sweeps),
        `seconds` (with scoring) and `curve`, which has these of each of its rungs. With content
        also `newcomers`, the metric of users left with one to three items. With a shard the list
        is empty.

    Raises:
        ValueError: The metric is unknown, or there are no configurations.
        MemoryError: The factors of all trials do not fit into memory together.
    """
    validate_metric(metric)
    if not configs:
        raise ValueError("the grid is empty: give at least one value for each hyper-parameter")
    hybrid = Hybrid.of(splits, "tune")
    sample = Sample.from_splits(splits, hybrid, k, engine.device)
    archive = TrialArchive(lake, _fingerprint_search(splits, hybrid.fitted, k), engine.device)
    trainer = ALSTrainer(hybrid.fitted, engine)
    contenders = [Contender(config, ResumableFit(trainer, config)) for config in configs]
    if not len(sample.users):
        # Without users to score on, the configurations stay in their order.
        return [config.as_dict() for config in configs]
    if engine.device == "cpu":
        _require_trial_memory(hybrid.fitted, _select_configs(configs, shard))
    contest = Contest(sample, archive, metric, progress, table, has_favourite)
    rungs = plan_rungs(len(contenders), configs[0].iterations)
    if shard:
        contest.search_shard(contenders, rungs, shard, blends)
        return []
    finalists = contest.halve(contenders, rungs)
    has_content = splits.content.shape[1] and list(contents) != [NO_CONTENT_BLEND]
    if not has_content:
        contents = (NO_CONTENT_BLEND,)
    ranked = _choose_shares(contest, finalists, blends, repeats, contents)
    return _rank_trials(ranked, contenders, f"{metric}@{k}")


def _choose_shares(
    contest: Contest,
    finalists: list[Contender],
    blends: Sequence[PopularityBlend],
    repeats: Sequence[RepeatBlend],
    contents: Sequence[ContentBlend],
) -> list[Contender]:
    """Try shares of popularity, of repeats with the best of these, then of content. Best first."""
    has_repeats = list(repeats) != [NO_REPEAT_BLEND]
    has_content = list(contents) != [NO_CONTENT_BLEND]
    keep = _count_survivors(has_repeats or has_content)
    ranked = contest.blend(finalists, blends, keep)
    if has_repeats:
        repeated = contest.add_repeats(ranked[:keep], repeats, _count_survivors(has_content))
        ranked = [*repeated, *ranked]
    if has_content:
        hybrids = contest.choose_hybrids(ranked[:BLENDS_TRIED_FURTHER], contents)
        ranked = [*hybrids, *ranked]
    return ranked


def _count_survivors(is_followed: bool) -> int:
    """Count the contenders that a race keeps; only the winner where no other race follows."""
    if is_followed:
        return BLENDS_TRIED_FURTHER
    return 1


def _select_configs(configs: Sequence[ALSConfig], shard: RungShard | None) -> Sequence[ALSConfig]:
    if shard is None:
        return configs
    return configs[shard.shard :: shard.shards]


def _fingerprint_search(splits: Splits, user_items: UserItems, k: int) -> str:
    truth = splits.truth("validation")
    truth_digest = hashlib.sha256(truth.indptr.tobytes() + truth.indices.tobytes()).hexdigest()
    stock_digests = [splits.stock.digest] if splits.stock else []
    return fingerprint_inputs(
        user_items,
        "tune",
        k,
        version("dawnlist"),
        truth_digest,
        splits.repeat_gap,
        *stock_digests,
    )


def _require_trial_memory(user_items: UserItems, configs: Sequence[ALSConfig]) -> None:
    """Check that the trials of the first rung fit into memory together.

    Each has its factors, and the confidence of each pair from both sides.
    """
    vector_count = sum(user_items.weight.shape)
    pair_count = user_items.weight.nnz
    needed_bytes = 0
    for config in configs:
        needed_bytes += 4 * vector_count * config.factors + 8 * pair_count
    require_memory(needed_bytes, f"the factors of {len(configs)} trials at once")


def _rank_trials(ranked: list[Contender], others: list[Contender], metric: str) -> list[Trial]:
    """Return one trial for each fit: those of `ranked` first, in their order.

    The others follow by their last rung, and within it by the metric.
    """
    best_by_fit: dict[int, Contender] = {}
    for contender in ranked:
        best_by_fit.setdefault(id(contender.fit), contender)
    dropped = [contender for contender in others if id(contender.fit) not in best_by_fit]
    dropped.sort(key=lambda contender: (-contender.rows[-1]["rung"], -contender.rows[-1][metric]))
    contenders = [*best_by_fit.values(), *dropped]
    return [_summarise_trial(contender.rows, metric) for contender in contenders]


def _summarise_trial(rows: list[Trial], metric: str) -> Trial:
    curve = []
    for row in rows:
        curve.append({name: row[name] for name in (*_CURVE_FIELDS, metric)})
    seconds = round(sum(row["seconds"] for row in rows), 3)
    return {**rows[-1], "seconds": seconds, "curve": curve}


def build_factor_model(
    splits: Splits,
    factors: tuple[Float32Array, Float32Array],
    user_items: UserItems,
    config: ALSConfig,
) -> FactorModel:
    """Build a model of the users and items that the fit has seen."""
    ids = (splits.user_ids, splits.item_ids)
    return FactorModel.from_interactions(ids, factors, user_items.weight, config.as_dict(), {})
