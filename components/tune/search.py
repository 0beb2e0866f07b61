"""The search: successive halving over configurations, then shares of popularity and content in what is served."""

import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final

from dawnlist.als.training import ALSConfig, Training, fingerprint
from dawnlist.components.tune.contenders import Contender, Continued
from dawnlist.components.tune.contest import Contest, Share
from dawnlist.components.tune.grid import NO_BLEND, NO_CONTENT, Blend, Content, checked_metric
from dawnlist.components.tune.halving import ladder
from dawnlist.components.tune.sample import Sample
from dawnlist.components.tune.trials import Archive, Trial
from dawnlist.lake.lake import Lake
from dawnlist.machine.memory import require
from dawnlist.model.factor_model import FactorModel, Factors
from dawnlist.model.hybrid import Hybrid
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems

BLENDED: Final = 3
"""So many of the best shares of popularity are tried with content."""


def search(
    lake: Lake,
    splits: Splits,
    configs: Sequence[ALSConfig],
    metric: str,
    k: int,
    device: str = "cpu",
    progress: Callable[[Trial], None] = lambda trial: None,
    spark: str = "local[*]",
    blends: Sequence[Blend] = (NO_BLEND,),
    contents: Sequence[Content] = (NO_CONTENT,),
    share: Share | None = None,
    table: tuple[str, ...] = (),
) -> list[Trial]:
    """Search configurations (of one number of iterations) by their fits before the validation cut, scored on it.

    Returns a trial for each configuration, best first: its hyper-parameters with the best of `blends` and `contents`,
    its metrics of the last rung it was in, e.g. `ndcg@20`, `rung`, `sweeps`, `users` (judged), `dropped`, `fit_seconds`
    (of all its sweeps), `seconds` (with judging) and `curve`, the same of each of its rungs. With content also
    `newcomers`, the deciding metric of users left with one to three items. What is found is kept in the lake as it is
    made, and the table of all trials so far in `table`. With a share only that part of one rung is done, without
    content, and nothing returned. ValueError for an unknown metric or without configurations, MemoryError when the
    factors of all don't fit.
    """
    checked_metric(metric)
    if not configs:
        raise ValueError("the grid is empty: give at least one value for each hyper-parameter")
    hybrid = Hybrid.of(splits, "tune")
    sample = Sample.of(splits, hybrid, k, device)
    archive = Archive(lake, _work(splits, hybrid.fitted, k), device)
    training = Training(hybrid.fitted, device, spark)
    racing = [Contender(config, Continued(training, config)) for config in configs]
    if not len(sample.users):  # nobody to judge by: the first configuration, the user's own, stands
        return [one.config.as_dict() for one in racing]
    if device == "cpu":
        _require(hybrid.fitted, configs[share.shard :: share.shards] if share else configs)
    running, rungs = Contest(sample, archive, metric, progress, table), ladder(len(racing), configs[0].iterations)
    if share:
        running.part(racing, rungs, share, blends)
        return []
    if not splits.content.shape[1] or list(contents) == [NO_CONTENT]:
        return _trials(running.blend(running.halve(racing, rungs), blends, 1), racing, f"{metric}@{k}")
    blended = running.blend(running.halve(racing, rungs), blends, BLENDED)
    ranked = running.hybrids(blended[:BLENDED], contents)
    return _trials([*ranked, *blended], racing, f"{metric}@{k}")


def _work(splits: Splits, user_items: UserItems, k: int) -> str:
    truth = splits.truth("validation")
    judged = hashlib.sha256(truth.indptr.tobytes() + truth.indices.tobytes()).hexdigest()
    words = [splits.stock.digest] if splits.stock else []
    return fingerprint(user_items, "tune", k, version("dawnlist"), judged, *words)


def _require(user_items: UserItems, configs: Sequence[ALSConfig]) -> None:
    """All trials of the first rung are held at once: factors, and the confidence of each pair from both sides."""
    vectors, pairs = sum(user_items.weight.shape), user_items.weight.nnz
    needed = sum(4 * vectors * config.factors + 8 * pairs for config in configs)
    require(needed, f"the factors of {len(configs)} trials at once")


def _trials(ranked: list[Contender], others: list[Contender], metric: str) -> list[Trial]:
    """One trial a configuration: those that were ranked, then by how far they came and how good they were there."""
    found: dict[int, Contender] = {}
    for one in ranked:
        found.setdefault(id(one.fitted), one)
    rest = [one for one in others if id(one.fitted) not in found]
    rest.sort(key=lambda one: (-one.rows[-1]["rung"], -one.rows[-1][metric]))
    return [_trial(one.rows, metric) for one in [*found.values(), *rest]]


def _trial(rows: list[Trial], metric: str) -> Trial:
    curve = [{name: row[name] for name in ("rung", "sweeps", "users", "fit_seconds", metric)} for row in rows]
    return {**rows[-1], "seconds": round(sum(row["seconds"] for row in rows), 3), "curve": curve}


def as_model(splits: Splits, factors: tuple[Factors, Factors], user_items: UserItems, config: ALSConfig) -> FactorModel:
    """The factors as a model of the users and items that were seen in the fit."""
    return FactorModel.of_known((splits.user_ids, splits.item_ids), factors, user_items.weight, config.as_dict(), {})
