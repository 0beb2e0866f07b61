"""The commands `train`, `evaluate` and `tune` on matrix files, without a lake or a pipeline."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from dawnlist.pipelines.matrices import options
from dawnlist.pipelines.option_parsing import refuse_unknown_format
from dawnlist.pipelines.options import DEFAULT_HOME, FormatOption, HomeOption
from dawnlist.pipelines.pandas_block import block_pandas_import


def train_command(
    matrix: options.MatrixOption,
    out: options.ModelFolderOption,
    factors: options.FactorsOption = 64,
    regularization: options.RegularizationOption = 0.1,
    alpha: options.AlphaOption = 10.0,
    alpha0: options.Alpha0Option = 1.0,
    nu: options.NuOption = 0.0,
    popularity_share: options.PopularityShareOption = 0.0,
    iterations: options.IterationsOption = 12,
    seed: options.SeedOption = 7,
    solver: options.SolverOption = "ials",
    device: options.DeviceOption = "cpu",
    format_: FormatOption = "table",
) -> None:
    """Train a model on a matrix file. The ids are the numbers of its rows and columns.

    Example: `dawnlist train --matrix train.npz --factors 256 --alpha 20 --out model`
    """
    refuse_unknown_format(format_)
    block_pandas_import()
    from dawnlist.model.config import ALSConfig
    from dawnlist.model.matrices import read_matrix
    from dawnlist.pipelines.matrices.matrix_models import fit_matrix_model, stage_model_folder
    from dawnlist.pipelines.terminal import err

    config = ALSConfig(
        factors,
        regularization,
        alpha,
        iterations=iterations,
        seed=seed,
        solver=solver,
        alpha0=alpha0,
        nu=nu,
        popularity_share=popularity_share,
    )
    with stage_model_folder(out) as folder:
        pairs = read_matrix(matrix)
        with err.status("fitting"):
            report = fit_matrix_model(pairs, config, device, folder)
    if format_ == "json":
        typer.echo(json.dumps({"model": str(out), **report}, indent=1))
        return
    typer.echo(
        f"{report['users']:,} users, {report['items']:,} items, {report['pairs']:,} pairs: "
        f"{report['sweeps']} sweeps of {report['seconds_a_sweep']:.3f} s"
    )
    typer.echo(f"model: {out}")
    typer.echo(f"next: dawnlist evaluate --model {out} --train {matrix} --holdout test.npz")


def evaluate_command(
    model: Annotated[Path, typer.Option(help="The folder that `dawnlist train` wrote.")],
    train: options.TrainMatrixOption,
    holdout: options.HoldoutOption,
    k: Annotated[str, typer.Option("--k", "-k", help="Lengths of lists, e.g. `20,100`.")] = "20",
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Also evaluate popularity and item-kNN.")
    ] = False,
) -> None:
    """Evaluate a model on a holdout: recall, NDCG and all other metrics, over all items, as JSON.

    The users are those who have an item in the holdout that is not in train. Pairs that are in both
    matrices do not count: they are neither in the lists nor to be found. `repeat_share` says how
    many there are.

    Example: `dawnlist evaluate --model model --train train.npz --holdout test.npz -k 20,50`
    """
    block_pandas_import()
    from dawnlist.model import matrices
    from dawnlist.pipelines.matrices.matrix_models import evaluate_matrix_model, load_matrix_model

    lengths = parse_list_lengths(k)
    train_matrix = matrices.read_matrix(train)
    holdout_matrix = matrices.read_matching_matrix(holdout, (train, train_matrix))
    loaded_model = load_matrix_model(model, train_matrix)
    report = evaluate_matrix_model(loaded_model, train_matrix, holdout_matrix, lengths, baselines)
    typer.echo(json.dumps(report, indent=1))


def tune_command(
    matrix: options.MatrixOption,
    grid: options.GridOption,
    validation: options.ValidationOption = None,
    metric: Annotated[str, typer.Option(help="Metric to compare: ndcg, recall or map.")] = "ndcg",
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Length of a list.")] = 20,
    iterations: options.IterationsOption = 12,
    seed: Annotated[
        int, typer.Option(help="Seed of the random start and of the choice of held-out items.")
    ] = 7,
    solver: options.SolverOption = "ials",
    device: options.DeviceOption = "cpu",
    format_: FormatOption = "table",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Search hyper-parameters of a matrix by successive halving. An interrupted search resumes.

    Example: `dawnlist tune --matrix train.npz --grid "factors=64,128 regularization=0.01,0.1 alpha=1,10 nu=0,1"`
    """
    refuse_unknown_format(format_)
    block_pandas_import()
    from dawnlist.components.tune.grid import Grid
    from dawnlist.model import matrices
    from dawnlist.pipelines.matrices.matrix_models import parse_grid_values, search_matrix_grid
    from dawnlist.pipelines.terminal import err

    values: dict[str, Any] = parse_grid_values(grid)
    search_grid = Grid(**values, iterations=iterations, seed=seed, solver=solver)
    pairs = matrices.read_matrix(matrix)
    if validation:
        train_pairs = pairs
        validation_pairs = matrices.read_matching_matrix(validation, (matrix, pairs))
    else:
        train_pairs, validation_pairs = matrices.hold_out_pairs(pairs, seed)
    splits = matrices.build_splits_from_matrices(train_pairs, validation_pairs)
    metric_name = f"{metric}@{k}"
    with err.status("fitting") as status:

        def show_trial(trial: dict[str, Any]) -> None:
            score = f"{metric_name} {trial[metric_name]:.4f}"
            status.update(f"{trial['sweeps']} sweeps, {score}")

        report = search_matrix_grid(home, splits, search_grid, metric, k, device, show_trial)
    if format_ == "json":
        typer.echo(json.dumps(report, indent=1))
    else:
        _show_trials(report, matrix)


TRAIN_OPTIONS = (
    "factors",
    "regularization",
    "alpha",
    "alpha0",
    "nu",
    "popularity_share",
    "iterations",
    "seed",
    "solver",
)
"""The values of a trial that `dawnlist train` takes as options."""


def _show_trials(report: dict[str, Any], matrix: Path) -> None:
    """Print the trials, and the command that trains a model with the best one."""
    from rich.table import Table

    from dawnlist.components.notify import score_tables
    from dawnlist.components.notify.facts import Facts
    from dawnlist.pipelines.terminal import out

    facts = Facts.of(datetime.now(UTC), "", "", [{"step": "tune", "report": report}])
    trials = score_tables.build_trials_table(facts)
    assert trials is not None
    table = Table(*trials.head, box=None, pad_edge=False)
    for row in trials.rows:
        table.add_row(*row)
    title = f"{report['metric']}@{report['k']} of {report['users']:,} users, best first"
    out.print(title, table, "", sep="\n")
    best = report["trials"][0]
    train_options = []
    for name in TRAIN_OPTIONS:
        train_options.append(f"--{name.replace('_', '-')} {best[name]}")
    command = f"dawnlist train --matrix {matrix} {' '.join(train_options)} --out model"
    out.print(f"next: {command}", soft_wrap=True)


def parse_list_lengths(text: str) -> list[int]:
    """Parse lengths of lists with commas between them, and return them in ascending order.

    Raises:
        ValueError: A length is not a whole number of 1 or more.
    """
    lengths = set()
    for length in text.replace(" ", "").split(","):
        is_number = length.isascii() and length.isdigit()
        if not is_number or int(length) == 0:
            raise ValueError(f"-k is {text!r}: give lengths of 1 or more with commas, e.g. 20,100")
        lengths.add(int(length))
    return sorted(lengths)
