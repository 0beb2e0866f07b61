"""Fit the two models that the gate compares: the challenger, and the live configuration."""

import tempfile
from pathlib import Path
from typing import Any

from dawnlist.als.engine import FitEngine
from dawnlist.components.train.fitting import fit_challenger, fit_stage
from dawnlist.lake.lake import Lake
from dawnlist.model.splits import Splits
from dawnlist.records import challengers
from dawnlist.records.live_config import read_published_config


def fit_arms(
    lake: Lake,
    splits: Splits,
    config: dict[str, Any],
    engine: FitEngine,
    out: Path,
) -> dict[str, Any]:
    """Fit the challenger and the incumbent on the rows before the holdout; the lake keeps both.

    Args:
        config: The challenger's configuration.
        out: The folder of the challenger's model.

    Returns:
        The report of fit_challenger, with `incumbent`, the report of fit_incumbent.
    """
    report = fit_challenger(lake, splits, config, engine, out)
    return {**report, "incumbent": fit_incumbent(lake, splits, engine, report)}


def fit_incumbent(
    lake: Lake, splits: Splits, engine: FitEngine, challenger: dict[str, Any]
) -> dict[str, Any] | None:
    """Fit the live configuration on the rows that the challenger was fitted on.

    Where the challenger has the live configuration, it is the same model, and nothing is fitted.

    Args:
        challenger: The report of fit_challenger.

    Returns:
        The report of fit_stage, or None when nothing is live.
    """
    config = read_published_config(lake, splits.about["incumbent"])
    if config is None:
        return None
    if config == challenger["config"]:
        return {**challenger, "reused": True}
    start = challengers.find_warm_start(lake, splits.cuts.as_of, splits.end("train"), config)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "incumbent"
        return fit_stage(lake, splits, "train", config, engine, out, start)


def name_models(report: dict[str, Any]) -> dict[str, Any]:
    """Return the labels of the challenger's artifact, from the report of fit_arms.

    They are the challenger's configuration, `name_in_lake`, and `incumbent_in_lake`, the name of
    the incumbent's model, which is empty when nothing is live.
    """
    incumbent = report["incumbent"] or {}
    return {
        **report["config"],
        "name_in_lake": report["model"],
        "incumbent_in_lake": incumbent.get("model", ""),
    }
