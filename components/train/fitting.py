"""Fit a model of one stage and keep it in the lake under the fingerprint of its input."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dawnlist.als.training import ALSTrainer, fingerprint_inputs
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.model import popularity
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.hybrid import Hybrid
from dawnlist.model.splits import Splits, Stage
from dawnlist.records import challengers
from dawnlist.records.challengers import WarmStart


def fit_stage(
    lake: Lake,
    splits: Splits,
    stage: Stage,
    config: dict[str, Any],
    device: str,
    out: Path,
    spark: str = "local[*]",
    start: WarmStart | None = None,
) -> dict[str, Any]:
    """Write the model of `config` (engine `als` or `popularity`) fitted on all rows before the stage's cut to `out`.

    From `start` it goes on for a third of the sweeps, if it serves this configuration. ValueError when that has seen
    rows from the cut on. Returns its name in the lake, whether it was there already, its size, and what it started
    from. The same rows, configuration, start and code give the same name, so a retry or a rerun copies what was fitted.
    """
    user_items = splits.user_items(stage)
    start = start if start and challengers.can_warm_start(start.model.config, config) else None
    if start and start.seen_until > splits.end(stage):
        raise ValueError(
            f"model {start.name} has seen rows up to {format_iso(start.seen_until)}, and the {stage} stage ends at "
            f"{format_iso(splits.end(stage))}: it would be scored on rows that it has seen; start from an older model"
        )
    sweeps = (
        challengers.count_warm_sweeps(config["iterations"])
        if start
        else config.get("iterations", 0)
    )
    made = {
        "as_of": format_iso(splits.end(stage)),
        "stage": stage,
        "code_version": version("dawnlist"),
    }
    began = {"start": start and start.name, "sweeps": sweeps}
    lineage = {
        **made,
        **began,
        **{name: value for name, value in splits.about.items() if name != "traffic"},
    }
    # not the table's version: another may hold the same rows; but the ids, which the holdout's name hangs on
    words = [splits.stock.digest] if splits.stock and config["engine"] == "als" else []
    name = fingerprint_inputs(
        user_items, config, made, began, splits.holdout_fingerprint, device, *words
    )

    def make() -> None:
        if config["engine"] == "popularity":
            factors, ids = (
                popularity.fit_popularity(user_items, config["window"]),
                (splits.user_ids, splits.item_ids),
            )
            FactorModel.from_interactions(ids, factors, user_items.weight, config, lineage).save(
                out
            )
        else:
            _fit_als_model(
                splits, stage, ALSConfig.from_dict(config), sweeps, (device, spark), start, lineage
            ).save(out)

    reused = lake.reuse_or_make(out, make, "models", name)
    model = FactorModel.load(out)
    return {
        "model": name,
        "reused": reused,
        "users": len(model.user_ids),
        "items": len(model.item_ids),
        "interactions": int(user_items.weight.nnz),
        "config": config,
        **began,
    }


def fit_challenger(
    lake: Lake,
    splits: Splits,
    config: dict[str, Any],
    device: str,
    out: Path,
    spark: str = "local[*]",
) -> dict[str, Any]:
    """The challenger of the splits' day, see fit_stage; it starts from the newest one that may be, and is named."""
    as_of, cut = splits.cuts.as_of, splits.end("train")
    report = fit_stage(
        lake,
        splits,
        "train",
        config,
        device,
        out,
        spark,
        challengers.find_warm_start(lake, as_of, cut, config),
    )
    challengers.record_challenger(lake, as_of, report["model"], cut, config)
    return report


def _fit_als_model(
    splits: Splits,
    stage: Stage,
    config: ALSConfig,
    sweeps: int,
    where: tuple[str, str],
    start: WarmStart | None,
    lineage: dict[str, Any],
) -> FactorModel:
    """The model as it is served; its config says what a fold-in needs beside the hyper-parameters."""
    hybrid, known = Hybrid.of(splits, stage), splits.drop_unmet_items()
    first = start.factors(known.user_ids, known.item_ids, config) if start else None
    fitting = ALSTrainer(hybrid.fitted, *where).start_fit(config, first)
    fitting.advance(sweeps)
    users, items = hybrid.factors(fitting.factors, config)
    met = np.flatnonzero(np.diff(hybrid.user_items.weight.indptr))
    shown = np.flatnonzero(hybrid.known_items)
    # lambda of a user is ridge_scale s^nu; s goes over the fitted items, which come first
    told = {"ridge_scale": fitting.ridge_scale, "fitted_items": splits.met_item_count}
    ids = (splits.user_ids.subset(met), splits.item_ids.subset(shown))
    return FactorModel(*ids, users[met], items[shown], {**config.as_dict(), **told}, lineage)
