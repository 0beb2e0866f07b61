"""Fit, judge and search on matrix files: what the commands train, evaluate and tune do."""

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
from dawnlist.model.metrics import RankingScores, score_lists
from dawnlist.model.popularity import blend_popularity
from dawnlist.model.splits import Splits

MATRIX_GRID_PARAMETERS: Final = (
    "factors",
    "regularization",
    "alpha",
    "alpha0",
    "nu",
    "popularity_share",
)
MATRIX_NAMESPACE: Final = "matrices"
"""Of the lake that keeps trials, apart from any shop's."""


@contextmanager
def stage_model_folder(out: Path) -> Iterator[Path]:
    """A folder to fill that becomes `out` at the end, and goes when something fails. FileExistsError: it is used."""
    out = out.resolve()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{str(out)!r} is there already: give a new folder")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(out.parent)!r} does not exist: make it first")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as staged:
        folder = Path(staged) / "model"
        folder.mkdir()
        yield folder
        folder.replace(out)


def fit_matrix_model(
    matrix: csr_matrix, config: ALSConfig, device: str, folder: Path
) -> dict[str, Any]:
    """Write the model of a matrix to the folder; its size, and the seconds that it took."""
    user_items, (users, items) = matrices.build_user_items(matrix), matrix.shape
    fitting = ALSTrainer(user_items, device).start_fit(config)
    clock = perf_counter()
    fitting.advance(config.iterations)
    factors, seconds = fitting.factors, perf_counter() - clock
    factors = blend_popularity(
        factors, user_items, config.popularity_share, config.popularity_half_life
    )
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
    """All metrics at each length of list, over every user of whom the holdout has an item that train has not.

    A user whom the model does not know gets an empty list. Returns a JSON-able dict: `users`, `unknown_users` (of
    them), `items`, `repeat_share` (of the holdout's pairs those that are in train, too, and so are left out of the
    truth), `fitted_on_train`, `config`, `metrics` {metric@k: mean} and, when asked for, `baselines` {arm: the same}.
    """
    splits, history = (
        matrices.build_splits_from_matrices(train, holdout=holdout),
        matrices.build_user_items(train),
    )
    truth = splits.truth("holdout")
    users = np.flatnonzero(np.diff(truth.indptr))
    if not len(users):
        raise ValueError(
            "no user of the holdout has an item that train has not: there is nothing to judge by"
        )
    judged = EvaluatedUsers(splits, history, users, train[users], truth[users], max(ks))
    known = model.align(splits.user_ids, splits.item_ids).knows_user
    report = {
        "users": len(users),
        "unknown_users": int((~known[users]).sum()),
        "items": splits.shape[1],
        "repeat_share": round(splits.repeat_share("holdout"), 6),
        "fitted_on_train": model.lineage.get("matrix") == fingerprint_inputs(history),
        "config": model.config,
        "metrics": _average_metrics(build_model_arm(splits, model), judged, ks),
    }
    if baselines:
        arms = {
            "popularity": build_popularity_arm(history, "whole"),
            "item_knn": build_item_knn_arm(train),
        }
        report["baselines"] = {
            name: _average_metrics(arm, judged, ks) for name, arm in arms.items()
        }
    return report


def _average_metrics(
    arm: EvaluationArm, judged: EvaluatedUsers, ks: Sequence[int]
) -> dict[str, float]:
    """One ranking serves all lengths: the best 20 are the first of the best 100."""
    popularity = compute_item_popularity(judged.history.weight)
    parts: dict[int, list[RankingScores]] = {k: [] for k in ks}
    for block in judged.split_into_blocks():
        lists = arm(block)
        for k in ks:
            parts[k].append(score_lists(lists[:, :k], block.truth, popularity))
    return {
        name: value
        for k in ks
        for name, value in RankingScores.concatenate(parts[k]).means(k).items()
    }


def load_matrix_model(folder: Path, train: csr_matrix) -> FactorModel:
    """A model that `dawnlist train` wrote; ValueError for any other, and for one of other users and items."""
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
    """Hyper-parameter -> values to try, from texts such as `factors=64,128 nu=0,1`. ValueError for anything else."""
    found: dict[str, list[float]] = {}
    for word in " ".join(words).split():
        name, _, text = word.partition("=")
        if name in ("half_life", "popularity_half_life"):
            raise ValueError(
                f"--grid has {word!r}: a matrix has no times, so nothing in it can fade"
            )
        if name not in MATRIX_GRID_PARAMETERS or name in found:
            raise ValueError(
                f"--grid has {word!r}: give each of {', '.join(MATRIX_GRID_PARAMETERS)} once, e.g. factors=64,128"
            )
        try:
            found[name] = [float(part) for part in text.split(",")]
        except ValueError:
            raise ValueError(
                f"--grid has {word!r}: give numbers with commas, e.g. {name}=1,10"
            ) from None
        if not all(map(isfinite, found[name])):
            raise ValueError(f"--grid has {word!r}: give finite numbers")
    return found


def search_matrix_grid(
    home: Path,
    splits: Splits,
    grid: Grid,
    metric: str,
    k: int,
    device: str,
    progress: Callable[[Trial], None],
) -> dict[str, Any]:
    """The trials of a search, best first, see dawnlist.components.tune.search.search; they are kept below `home`."""
    if not len(splits.judged("validation")):
        raise ValueError(
            "no user of the validation has something new in it and a history: there is nothing to judge by"
        )
    lake = Lake.open(str(home / "lake"), MATRIX_NAMESPACE)
    trials = search_configs(
        lake, splits, grid.configs(), metric, k, device, progress, blends=grid.blends()
    )
    return {"metric": metric, "k": k, "users": len(splits.judged("validation")), "trials": trials}
