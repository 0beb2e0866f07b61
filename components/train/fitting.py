"""Fit a model of one stage and keep it in the lake under the fingerprint of its input."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from components import challengers, popularity
from components.challengers import Start
from components.cuts import iso
from components.lake import Lake
from components.model import FactorModel, Factors
from components.solver import ALSConfig, Training, fingerprint
from components.splits import Splits, Stage
from components.user_items import UserItems


def fit_stage(
    lake: Lake,
    splits: Splits,
    stage: Stage,
    config: dict[str, Any],
    device: str,
    out: Path,
    spark: str = "local[*]",
    start: Start | None = None,
) -> dict[str, Any]:
    """Write the model of `config` (engine `als` or `popularity`) fitted on all rows before the stage's cut to `out`.

    From `start` it goes on for a third of the sweeps, if it serves this configuration. ValueError when that has seen
    rows from the cut on. Returns its name in the lake, whether it was there already, its size, and what it started
    from. The same rows, configuration, start and code give the same name, so a retry or a rerun copies what was fitted.
    """
    user_items = splits.user_items(stage)
    start = start if start and challengers.serves(start.model.config, config) else None
    if start and start.seen > splits.end(stage):
        raise ValueError(
            f"model {start.name} has seen rows up to {iso(start.seen)}, and the {stage} stage ends at "
            f"{iso(splits.end(stage))}: it would be scored on rows that it has seen; start from an older model"
        )
    sweeps = challengers.sweeps(config["iterations"]) if start else config.get("iterations", 0)
    made = {"as_of": iso(splits.end(stage)), "stage": stage, "code_version": version("dawnlist")}
    began = {"start": start and start.name, "sweeps": sweeps}
    lineage = {**made, **began, **{name: value for name, value in splits.about.items() if name != "traffic"}}
    # not the table's version: another may hold the same rows; but the ids, which the holdout's name hangs on
    name = fingerprint(user_items, config, made, began, splits.holdout, device)

    def make() -> None:
        if config["engine"] == "popularity":
            factors = popularity.fit(user_items, config["window"])
        else:
            factors = _fitted(splits, user_items, ALSConfig.from_dict(config), sweeps, (device, spark), start)
        ids = (splits.user_ids, splits.item_ids)
        FactorModel.of_known(ids, factors, user_items.weight, config, lineage).save(out)

    reused = lake.finished(out, make, "models", name)
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
    lake: Lake, splits: Splits, config: dict[str, Any], device: str, out: Path, spark: str = "local[*]"
) -> dict[str, Any]:
    """The challenger of the splits' day, see fit_stage; it starts from the newest one that may be, and is named."""
    as_of, cut = splits.cuts.as_of, splits.end("train")
    report = fit_stage(lake, splits, "train", config, device, out, spark, challengers.start(lake, as_of, cut, config))
    challengers.record(lake, as_of, report["model"], cut, config)
    return report


def _fitted(
    splits: Splits,
    user_items: UserItems,
    config: ALSConfig,
    sweeps: int,
    where: tuple[str, str],
    start: Start | None,
) -> tuple[Factors, Factors]:
    """User and item factors as they are served."""
    first = start.factors(splits.user_ids, splits.item_ids, config) if start else None
    fitting = Training(user_items, *where).begin(config, first)
    fitting.advance(sweeps)
    return popularity.blended(fitting.factors, user_items, config.popularity_share, config.popularity_half_life)
