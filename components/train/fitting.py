"""Fit a model of one stage and keep it in the lake under the fingerprint of its input."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from components import popularity, solver
from components.cuts import iso
from components.lake import Lake
from components.model import FactorModel
from components.solver import ALSConfig, fingerprint
from components.splits import Splits, Stage


def fit_stage(
    lake: Lake,
    splits: Splits,
    stage: Stage,
    config: dict[str, Any],
    device: str,
    out: Path,
    spark: str = "local[*]",
) -> dict[str, Any]:
    """Write the model of `config` (engine `als` or `popularity`) fitted on all rows before the stage's cut to `out`.

    Returns its name in the lake, whether it was there already, and its size. The same rows, configuration and code
    give the same name, so a retry or a rerun copies what was fitted.
    """
    user_items = splits.user_items(stage)
    made = {"as_of": iso(splits.end(stage)), "stage": stage, "code_version": version("dawnlist")}
    lineage = {**made, **splits.about}
    name = fingerprint(user_items, config, made, device)  # not the table's version: another may hold the same rows

    def make() -> None:
        if config["engine"] == "popularity":
            factors = popularity.fit(user_items, config["window"])
        else:
            factors = solver.fit(user_items, ALSConfig.from_dict(config), device, spark)
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
    }
