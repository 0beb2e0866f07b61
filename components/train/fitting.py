"""Fit a model of one stage, and keep it in the lake under the fingerprint of its input."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dawnlist.als.engine import FitEngine
from dawnlist.als.training import ALSTrainer, fingerprint_inputs
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.model import popularity
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.hybrid import Hybrid
from dawnlist.model.splits import Splits, Stage
from dawnlist.model.user_items import UserItems
from dawnlist.records import challengers
from dawnlist.records.challengers import WarmStart


@dataclass(frozen=True)
class _FitPlan:
    """What a fit depends on, beside its configuration."""

    splits: Splits
    stage: Stage
    engine: FitEngine
    start: WarmStart | None
    """The model to start from; None starts from random factors."""
    sweeps: int

    @property
    def origin(self) -> dict[str, Any]:
        """Which stage of which day, and which code."""
        return {
            "as_of": format_iso(self.splits.end(self.stage)),
            "stage": self.stage,
            "code_version": version("dawnlist"),
        }

    @property
    def start_facts(self) -> dict[str, Any]:
        """What the fit starts from, and for how many sweeps it goes on."""
        start_name = self.start.name if self.start else None
        return {"start": start_name, "sweeps": self.sweeps}

    @property
    def lineage(self) -> dict[str, Any]:
        """What the model's file says of its origin."""
        lineage = self.origin | self.start_facts
        for name, value in self.splits.about.items():
            if name != "traffic":
                lineage[name] = value
        return lineage


def fit_stage(
    lake: Lake,
    splits: Splits,
    stage: Stage,
    config: dict[str, Any],
    engine: FitEngine,
    out: Path,
    start: WarmStart | None = None,
) -> dict[str, Any]:
    """Fit a model on all rows before the stage's cut, and write it to the folder `out`.

    From `start`, if that model can serve this configuration, the fit continues for a third of the
    sweeps. The same rows, configuration, start and code give the same name in the lake, so a retry
    or a rerun copies the model that was fitted.

    Args:
        config: With the engine, `als` or `popularity`, and its hyper-parameters.

    Returns:
        model (its name in the lake), reused (whether it was there already), users, items,
        interactions, config, start (the name of the model that it started from) and sweeps.

    Raises:
        ValueError: The model to start from has seen rows from the cut on.
    """
    user_items = splits.user_items(stage)
    plan = _plan_fit(splits, stage, config, engine, start)
    # The name depends on the ids, on which the holdout's fingerprint depends, but not on the
    # version of the interactions table, since two versions can have the same rows.
    stock_digests = []
    if splits.stock and config["engine"] == "als":
        stock_digests.append(splits.stock.digest)
    name = fingerprint_inputs(
        user_items,
        config,
        plan.origin,
        plan.start_facts,
        splits.holdout_fingerprint,
        engine.device,
        *stock_digests,
    )

    def write_model() -> None:
        _fit_model(plan, config, user_items).save(out)

    reused = lake.reuse_or_make(out, write_model, "models", name)
    model = FactorModel.load(out)
    return {
        "model": name,
        "reused": reused,
        "users": len(model.user_ids),
        "items": len(model.item_ids),
        "interactions": int(user_items.weight.nnz),
        "config": config,
        **plan.start_facts,
    }


def fit_challenger(
    lake: Lake,
    splits: Splits,
    config: dict[str, Any],
    engine: FitEngine,
    out: Path,
) -> dict[str, Any]:
    """Fit the challenger of the splits' day, see fit_stage, and record its name.

    It starts from the newest challenger that it may start from.
    """
    as_of, cut = splits.cuts.as_of, splits.end("train")
    start = challengers.find_warm_start(lake, as_of, cut, config)
    report = fit_stage(lake, splits, "train", config, engine, out, start)
    challengers.record_challenger(lake, as_of, report["model"], cut, config)
    return report


def _plan_fit(
    splits: Splits,
    stage: Stage,
    config: dict[str, Any],
    engine: FitEngine,
    start: WarmStart | None,
) -> _FitPlan:
    """Decide whether the fit starts from a model, and for how many sweeps it goes on."""
    if start is None or not challengers.can_warm_start(start.model.config, config):
        return _FitPlan(splits, stage, engine, None, config.get("iterations", 0))
    end = splits.end(stage)
    if start.seen_until > end:
        raise ValueError(
            f"model {start.name} has seen rows up to {format_iso(start.seen_until)}, and the "
            f"{stage} stage ends at {format_iso(end)}: it would be scored on rows that it has "
            "seen; start from an older model"
        )
    sweeps = challengers.count_warm_sweeps(config["iterations"])
    return _FitPlan(splits, stage, engine, start, sweeps)


def _fit_model(plan: _FitPlan, config: dict[str, Any], user_items: UserItems) -> FactorModel:
    if config["engine"] != "popularity":
        return _fit_als_model(plan, ALSConfig.from_dict(config))
    factors = popularity.fit_popularity(user_items, config["window"])
    ids = (plan.splits.user_ids, plan.splits.item_ids)
    return FactorModel.from_interactions(ids, factors, user_items.weight, config, plan.lineage)


def _fit_als_model(plan: _FitPlan, config: ALSConfig) -> FactorModel:
    """Fit the model as it is served. Its config also has what a fold-in needs."""
    splits = plan.splits
    hybrid = Hybrid.of(splits, plan.stage)
    met_splits = splits.drop_unmet_items()
    first_factors = None
    if plan.start is not None:
        first_factors = plan.start.factors(met_splits.user_ids, met_splits.item_ids, config)
    fit = ALSTrainer(hybrid.fitted, plan.engine).start_fit(config, first_factors)
    fit.advance(plan.sweeps)
    users, items = hybrid.factors(fit.factors, config)
    active_users = np.flatnonzero(np.diff(hybrid.user_items.weight.indptr))
    known_items = np.flatnonzero(hybrid.known_items)
    model_config = hybrid.build_model_config(config)
    # The lambda of a user is ridge_scale s^nu, where s sums over the fitted items, the first ones.
    model_config["ridge_scale"] = fit.ridge_scale
    model_config["fitted_items"] = splits.met_item_count
    return FactorModel(
        splits.user_ids.subset(active_users),
        splits.item_ids.subset(known_items),
        users[active_users],
        items[known_items],
        model_config,
        plan.lineage,
    )
