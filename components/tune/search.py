"""The search: successive halving over configurations, then shares of popularity and content in what is served."""

import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final

from dawnlist.als.training import ALSTrainer, fingerprint_inputs
from dawnlist.arrays import Float32Array
from dawnlist.components.tune.contenders import Contender, ResumableFit
from dawnlist.components.tune.contest import Contest, RungShard
from dawnlist.components.tune.grid import (
    NO_CONTENT_BLEND,
    NO_POPULARITY_BLEND,
    ContentBlend,
    PopularityBlend,
    validate_metric,
)
from dawnlist.components.tune.halving import plan_rungs
from dawnlist.components.tune.sample import Sample
from dawnlist.components.tune.trials import Trial, TrialArchive
from dawnlist.lake.lake import Lake
from dawnlist.machine.free_memory import require_memory
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.hybrid import Hybrid
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems

BLENDS_TRIED_WITH_CONTENT: Final = 3
"""So many of the best shares of popularity are tried with content."""


def search_configs(
    lake: Lake,
    splits: Splits,
    configs: Sequence[ALSConfig],
    metric: str,
    k: int,
    device: str = "cpu",
    progress: Callable[[Trial], None] = lambda trial: None,
    spark: str = "local[*]",
    blends: Sequence[PopularityBlend] = (NO_POPULARITY_BLEND,),
    contents: Sequence[ContentBlend] = (NO_CONTENT_BLEND,),
    shard: RungShard | None = None,
    table: tuple[str, ...] = (),
) -> list[Trial]:
    """Search configurations (of one number of iterations) by their fits before the validation cut, scored on it.

    Returns a trial for each configuration, best first: its hyper-parameters with the best of `blends` and `contents`,
    its metrics of the last rung it was in, e.g. `ndcg@20`, `rung`, `sweeps`, `users` (judged), `dropped`, `fit_seconds`
    (of all its sweeps), `seconds` (with judging) and `curve`, the same of each of its rungs. With content also
    `newcomers`, the deciding metric of users left with one to three items. What is found is kept in the lake as it is
    made, and the table of all trials so far in `table`. With a shard only that part of one rung is done, without
    content, and nothing returned. ValueError for an unknown metric or without configurations, MemoryError when the
    factors of all don't fit.
    """
    validate_metric(metric)
    if not configs:
        raise ValueError("the grid is empty: give at least one value for each hyper-parameter")
    hybrid = Hybrid.of(splits, "tune")
    sample = Sample.of(splits, hybrid, k, device)
    archive = TrialArchive(lake, _fingerprint_search(splits, hybrid.fitted, k), device)
    training = ALSTrainer(hybrid.fitted, device, spark)
    racing = [Contender(config, ResumableFit(training, config)) for config in configs]
    if not len(sample.users):  # nobody to judge by: the first configuration, the user's own, stands
        return [one.config.as_dict() for one in racing]
    if device == "cpu":
        _require_trial_memory(
            hybrid.fitted, configs[shard.shard :: shard.shards] if shard else configs
        )
    running, rungs = (
        Contest(sample, archive, metric, progress, table),
        plan_rungs(len(racing), configs[0].iterations),
    )
    if shard:
        running.part(racing, rungs, shard, blends)
        return []
    if not splits.content.shape[1] or list(contents) == [NO_CONTENT_BLEND]:
        return _rank_trials(
            running.blend(running.halve(racing, rungs), blends, 1), racing, f"{metric}@{k}"
        )
    blended = running.blend(running.halve(racing, rungs), blends, BLENDS_TRIED_WITH_CONTENT)
    ranked = running.choose_hybrids(blended[:BLENDS_TRIED_WITH_CONTENT], contents)
    return _rank_trials([*ranked, *blended], racing, f"{metric}@{k}")


def _fingerprint_search(splits: Splits, user_items: UserItems, k: int) -> str:
    truth = splits.truth("validation")
    judged = hashlib.sha256(truth.indptr.tobytes() + truth.indices.tobytes()).hexdigest()
    words = [splits.stock.digest] if splits.stock else []
    return fingerprint_inputs(user_items, "tune", k, version("dawnlist"), judged, *words)


def _require_trial_memory(user_items: UserItems, configs: Sequence[ALSConfig]) -> None:
    """All trials of the first rung are held at once: factors, and the confidence of each pair from both sides."""
    vectors, pairs = sum(user_items.weight.shape), user_items.weight.nnz
    needed = sum(4 * vectors * config.factors + 8 * pairs for config in configs)
    require_memory(needed, f"the factors of {len(configs)} trials at once")


def _rank_trials(ranked: list[Contender], others: list[Contender], metric: str) -> list[Trial]:
    """One trial a configuration: those that were ranked, then by how far they came and how good they were there."""
    found: dict[int, Contender] = {}
    for one in ranked:
        found.setdefault(id(one.fitted), one)
    rest = [one for one in others if id(one.fitted) not in found]
    rest.sort(key=lambda one: (-one.rows[-1]["rung"], -one.rows[-1][metric]))
    return [_summarise_trial(one.rows, metric) for one in [*found.values(), *rest]]


def _summarise_trial(rows: list[Trial], metric: str) -> Trial:
    curve = [
        {name: row[name] for name in ("rung", "sweeps", "users", "fit_seconds", metric)}
        for row in rows
    ]
    return {**rows[-1], "seconds": round(sum(row["seconds"] for row in rows), 3), "curve": curve}


def build_factor_model(
    splits: Splits,
    factors: tuple[Float32Array, Float32Array],
    user_items: UserItems,
    config: ALSConfig,
) -> FactorModel:
    """The factors as a model of the users and items that were seen in the fit."""
    return FactorModel.from_interactions(
        (splits.user_ids, splits.item_ids), factors, user_items.weight, config.as_dict(), {}
    )
