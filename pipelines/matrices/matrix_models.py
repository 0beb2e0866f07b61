"""Fit, evaluate and tune models on matrix files, as the commands train, evaluate and tune do."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from dawnlist.als.engine import FitEngine
from dawnlist.als.training import ALSTrainer, fingerprint_inputs
from dawnlist.components.evaluate.arms import (
    EvaluatedUsers,
    EvaluationArm,
    build_item_knn_arm,
    build_model_arm,
    build_popularity_arm,
    compute_item_popularity,
)
from dawnlist.components.tune.grid import Grid
from dawnlist.components.tune.search import search_configs
from dawnlist.components.tune.trials import Trial
from dawnlist.lake.lake import Lake
from dawnlist.model import matrices
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.hybrid import blend_fitted_popularity
from dawnlist.model.metrics import RankingScores, score_lists
from dawnlist.model.splits import Splits
from dawnlist.pipelines.output_files import require_output_folder

MATRIX_GRID_PARAMETERS: Final = (
    "factors",
    "regularization",
    "alpha",
    "alpha0",
    "nu",
    "popularity_share",
)
"""The hyper-parameters that can be searched. Others need times, which a matrix has not."""
MATRIX_NAMESPACE: Final = "matrices"
"""The namespace of the lake that holds the trials, apart from those of any shop."""


@contextmanager
def stage_model_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to fill, and rename it to `out` at the end. On an error it is deleted.

    Raises:
        FileExistsError: `out` exists and is not an empty folder.
        FileNotFoundError: The folder of `out` does not exist.
    """
    out = out.resolve()
    if out.exists() and not _is_empty_folder(out):
        raise FileExistsError(f"{str(out)!r} is there already: give a new folder")
    require_output_folder(out)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as staged:
        folder = Path(staged) / "model"
        folder.mkdir()
        yield folder
        folder.replace(out)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def fit_matrix_model(
    matrix: csr_matrix, config: ALSConfig, device: str, folder: Path
) -> dict[str, Any]:
    """Fit a model on a matrix, and write it to the folder.

    Returns:
        A dict with the size of the matrix (`users`, `items`, `pairs`), the `sweeps`, the `seconds`
        of all sweeps, `seconds_a_sweep`, and the `config`.
    """
    user_items = matrices.build_user_items(matrix)
    users, items = matrix.shape
    fit = ALSTrainer(user_items, FitEngine(device)).start_fit(config)
    clock = perf_counter()
    fit.advance(config.iterations)
    seconds = perf_counter() - clock
    factors = blend_fitted_popularity(fit.factors, user_items, config)
    lineage = {
        "matrix": fingerprint_inputs(user_items),
        "shape": [users, items],
        "code_version": version("dawnlist"),
    }
    ids = (matrices.number_ids(users), matrices.number_ids(items))
    FactorModel.from_interactions(ids, factors, matrix, config.as_dict(), lineage).save(folder)
    return {
        "users": users,
        "items": items,
        "pairs": int(matrix.nnz),
        "sweeps": config.iterations,
        "seconds": round(seconds, 3),
        "seconds_a_sweep": round(seconds / config.iterations, 4),
        "config": config.as_dict(),
    }


def evaluate_matrix_model(
    model: FactorModel, train: csr_matrix, holdout: csr_matrix, ks: Sequence[int], baselines: bool
) -> dict[str, Any]:
    """Compute all metrics for each length of list.

    The users are those who have an item in the holdout that is not in train. A user whom the model
    does not know gets an empty list.

    Args:
        model: The model.
        train: The matrix of users by items before the holdout.
        holdout: The matrix after it, of the same shape.
        ks: Lengths of lists.
        baselines: Whether to evaluate popularity and item-kNN too.

    Returns:
        A dict for JSON with `users`, `unknown_users` (how many of them the model does not know),
        `items`, `repeat_share` (the share of the holdout's pairs that are also in train and do not
        count), `fitted_on_train`, `config`, `metrics` {metric@k: mean} and, if requested,
        `baselines` {name: metrics}.

    Raises:
        ValueError: There is no such user.
    """
    splits = matrices.build_splits_from_matrices(train, holdout=holdout)
    history = matrices.build_user_items(train)
    truth = splits.truth("holdout")
    users = np.flatnonzero(np.diff(truth.indptr))
    if not len(users):
        raise ValueError(
            "no user of the holdout has an item that is not in train: there is nothing to evaluate"
        )
    evaluated = EvaluatedUsers(splits, history, users, train[users], truth[users], max(ks))
    knows_user = model.align(splits.user_ids, splits.item_ids).knows_user
    report = {
        "users": len(users),
        "unknown_users": int((~knows_user[users]).sum()),
        "items": splits.shape[1],
        "repeat_share": round(splits.repeat_share("holdout"), 6),
        "fitted_on_train": model.lineage.get("matrix") == fingerprint_inputs(history),
        "config": model.config,
        "metrics": _average_metrics(build_model_arm(splits, model), evaluated, ks),
    }
    if baselines:
        popularity_arm = build_popularity_arm(history, "whole")
        report["baselines"] = {
            "popularity": _average_metrics(popularity_arm, evaluated, ks),
            "item_knn": _average_metrics(build_item_knn_arm(train), evaluated, ks),
        }
    return report


def _average_metrics(
    arm: EvaluationArm, evaluated: EvaluatedUsers, ks: Sequence[int]
) -> dict[str, float]:
    """Average the metrics of an arm over the users, for each length of list."""
    popularity = compute_item_popularity(evaluated.history.weight)
    scores: dict[int, list[RankingScores]] = {k: [] for k in ks}
    for block in evaluated.split_into_blocks():
        # One ranking serves all lengths: the best 20 items are the first of the best 100.
        lists = arm(block)
        for k in ks:
            scores[k].append(score_lists(lists[:, :k], block.truth, popularity))
    means: dict[str, float] = {}
    for k in ks:
        means |= RankingScores.concatenate(scores[k]).means(k)
    return means


def load_matrix_model(folder: Path, train: csr_matrix) -> FactorModel:
    """Load a model that `dawnlist train` wrote.

    Raises:
        ValueError: It is another kind of model, or its shape is not that of the matrix.
    """
    model = FactorModel.load(folder)
    shape = model.lineage.get("shape")
    if shape is None:
        raise ValueError(
            f"{folder} is a model of a shop, not of a matrix: give one that `dawnlist train` wrote"
        )
    if shape != list(train.shape):
        raise ValueError(
            f"{folder} is a model of {shape[0]:,} users and {shape[1]:,} items, the matrix has {train.shape[0]:,} and "
            f"{train.shape[1]:,}: give the matrix that it was trained on, or one of its shape"
        )
    return model


def parse_grid_values(words: Sequence[str]) -> dict[str, list[float]]:
    """Parse texts such as `factors=64,128 nu=0,1` to the values of each hyper-parameter.

    Raises:
        ValueError: A name is unknown or given twice, or a value is not a finite number.
    """
    grid: dict[str, list[float]] = {}
    for word in " ".join(words).split():
        name, _, text = word.partition("=")
        if name in ("half_life", "popularity_half_life"):
            raise ValueError(
                f"--grid has {word!r}: a matrix has no times, so nothing in it can fade"
            )
        if name not in MATRIX_GRID_PARAMETERS or name in grid:
            raise ValueError(
                f"--grid has {word!r}: give each of {', '.join(MATRIX_GRID_PARAMETERS)} once, e.g. factors=64,128"
            )
        try:
            grid[name] = [float(number) for number in text.split(",")]
        except ValueError:
            raise ValueError(
                f"--grid has {word!r}: give numbers with commas, e.g. {name}=1,10"
            ) from None
        if not all(map(isfinite, grid[name])):
            raise ValueError(f"--grid has {word!r}: give finite numbers")
    return grid


def search_matrix_grid(
    home: Path,
    splits: Splits,
    grid: Grid,
    metric: str,
    k: int,
    device: str,
    progress: Callable[[Trial], None],
) -> dict[str, Any]:
    """Search the grid, and save the trials below `home`, so that an interrupted search can resume.

    Args:
        home: The folder for the lake of the trials.
        splits: The pairs to train on and to validate on.
        grid: The values to try.
        metric: The metric to compare.
        k: The length of a list.
        device: "cpu" or "gpu".
        progress: Called with each finished trial.

    Returns:
        A dict with `metric`, `k`, `users` (how many were evaluated) and `trials`, the best first
        (see dawnlist.components.tune.search.search_configs).

    Raises:
        ValueError: No user can be evaluated.
    """
    user_count = len(splits.judged("validation"))
    if not user_count:
        raise ValueError(
            "no user has both a history and a new item in the validation: there is nothing to evaluate"
        )
    lake = Lake.open(str(home / "lake"), MATRIX_NAMESPACE)
    trials = search_configs(
        lake, splits, grid.configs(), metric, k, FitEngine(device), progress, blends=grid.blends()
    )
    return {"metric": metric, "k": k, "users": user_count, "trials": trials}
