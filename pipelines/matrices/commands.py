"""The commands train, evaluate and tune: models of any matrix, without a lake or a pipeline."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dawnlist.pipelines.lake.query_commands import leave_pandas_out
from dawnlist.pipelines.option_parsing import refuse_unknown_format
from dawnlist.pipelines.options import DEFAULT_HOME, FormatOption, HomeOption

MatrixOption = Annotated[
    Path,
    typer.Option(help="Users by items, a .npz of scipy.sparse.save_npz (csr, csc or coo); an entry is the weight "
                      "of what a user did with an item."),
]  # fmt: skip
IterationsOption = Annotated[int, typer.Option(help="Sweeps over users and items.")]
SeedOption = Annotated[
    int, typer.Option(help="Of the random start; the same seed gives the same model on a CPU.")
]
SolverOption = Annotated[
    str, typer.Option(help="`ials`, our own; `implicit`, the library; `spark`, on this machine.")
]
DeviceOption = Annotated[str, typer.Option(help="`cpu` or `gpu`.")]


def train(
    matrix: MatrixOption,
    out: Annotated[Path, typer.Option(help="The model's folder; it must be new or empty.")],
    factors: Annotated[int, typer.Option(help="Length of a vector.")] = 64,
    regularization: Annotated[float, typer.Option(help="lambda: higher means smoother.")] = 0.1,
    alpha: Annotated[float, typer.Option(help="What one unit of weight adds to a pair's confidence.")] = 10.0,
    alpha0: Annotated[float, typer.Option(help="The confidence of a pair that was never seen.")] = 1.0,
    nu: Annotated[float, typer.Option(help="How regularization grows with what a user or item did: 0 not at all, "
                                           "1 in proportion.")] = 0.0,
    popularity_share: Annotated[float, typer.Option(help="Share of popularity in the scores.")] = 0.0,
    iterations: IterationsOption = 12,
    seed: SeedOption = 7,
    solver: SolverOption = "ials",
    device: DeviceOption = "cpu",
    format_: FormatOption = "table",
) -> None:  # fmt: skip
    """Train a model of a matrix file; ids are the numbers of its rows and columns.

    Example: `dawnlist train --matrix train.npz --factors 256 --alpha 20 --out model`
    """
    refuse_unknown_format(format_)
    leave_pandas_out()
    from dawnlist.model import matrices
    from dawnlist.model.config import ALSConfig
    from dawnlist.pipelines.matrices import matrix_models
    from dawnlist.pipelines.terminal import err

    config = ALSConfig(
        factors, regularization, alpha, iterations=iterations, seed=seed, solver=solver, alpha0=alpha0, nu=nu,
        popularity_share=popularity_share,
    )  # fmt: skip
    with matrix_models.stage_model_folder(out) as folder:
        pairs = matrices.read_matrix(matrix)
        with err.status("fitting"):
            report = matrix_models.fit_matrix_model(pairs, config, device, folder)
    if format_ == "json":
        typer.echo(json.dumps({"model": str(out), **report}, indent=1))
        return
    typer.echo(
        f"{report['users']:,} users, {report['items']:,} items, {report['pairs']:,} pairs: {report['sweeps']} sweeps "
        f"of {report['seconds_a_sweep']:.3f} s\nmodel: {out}\n"
        f"next: dawnlist evaluate --model {out} --train {matrix} --holdout test.npz"
    )


def evaluate(
    model: Annotated[Path, typer.Option(help="The folder that `dawnlist train` wrote.")],
    train: Annotated[
        Path, typer.Option(help="The matrix before the holdout: its items are in no list.")
    ],
    holdout: Annotated[
        Path, typer.Option(help="The matrix of what came after: whose items are to be found.")
    ],
    k: Annotated[str, typer.Option("--k", "-k", help="Lengths of lists, e.g. `20,100`.")] = "20",
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Judge popularity and item-kNN beside it.")
    ] = False,
) -> None:
    """Judge a model on a holdout: recall, NDCG and all other metrics, over the full catalogue, as JSON.

    Over every user of whom the holdout has an item that train has not. What is in both counts for nothing: it is
    left out of the lists and of what is to be found, and `repeat_share` says how much that is.

    Example: `dawnlist evaluate --model model --train train.npz --holdout test.npz -k 20,50`
    """
    leave_pandas_out()
    from dawnlist.model import matrices
    from dawnlist.pipelines.matrices import matrix_models

    lengths = parse_list_lengths(k)
    before = matrices.read_matrix(train)
    after = matrices.read_matching_matrix(holdout, (train, before))
    found = matrix_models.evaluate_matrix_model(
        matrix_models.load_matrix_model(model, before), before, after, lengths, baselines
    )
    typer.echo(json.dumps(found, indent=1))


def tune(
    matrix: MatrixOption,
    grid: Annotated[list[str], typer.Option(help="Values to try, e.g. `factors=64,128 nu=0,1`; also several times. "
                                                 "Of factors, regularization, alpha, alpha0, nu, popularity_share.")],
    validation: Annotated[Path | None, typer.Option(help="The matrix to choose on; default: one random item of each "
                                                         "user who has two, for a matrix has no times.")] = None,
    metric: Annotated[str, typer.Option(help="What is compared: ndcg, recall or map.")] = "ndcg",
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Length of a list.")] = 20,
    iterations: IterationsOption = 12,
    seed: Annotated[int, typer.Option(help="Of the random start and of what is held out.")] = 7,
    solver: SolverOption = "ials",
    device: DeviceOption = "cpu",
    format_: FormatOption = "table",
    home: HomeOption = DEFAULT_HOME,
) -> None:  # fmt: skip
    """Search hyper-parameters on a matrix file by successive halving; a search that was cut off goes on.

    Example: `dawnlist tune --matrix train.npz --grid "factors=64,128 regularization=0.01,0.1 alpha=1,10 nu=0,1"`
    """
    refuse_unknown_format(format_)
    leave_pandas_out()
    from dawnlist.components.tune.grid import Grid
    from dawnlist.model import matrices
    from dawnlist.pipelines.matrices import matrix_models
    from dawnlist.pipelines.terminal import err

    values: dict[str, Any] = matrix_models.parse_grid_values(grid)
    tried = Grid(**values, iterations=iterations, seed=seed, solver=solver)
    pairs = matrices.read_matrix(matrix)
    parts = (
        (pairs, matrices.read_matching_matrix(validation, (matrix, pairs)))
        if validation
        else matrices.hold_out_pairs(pairs, seed)
    )
    with err.status("fitting") as status:
        report = matrix_models.search_matrix_grid(
            home, matrices.build_splits_from_matrices(*parts), tried, metric, k, device,
            lambda trial: status.update(f"{trial['sweeps']} sweeps, {metric}@{k} {trial[f'{metric}@{k}']:.4f}"),
        )  # fmt: skip
    if format_ == "json":
        typer.echo(json.dumps(report, indent=1))
    else:
        _show_trials(report, matrix)


def _show_trials(report: dict[str, Any], matrix: Path) -> None:
    from rich.table import Table

    from dawnlist.components.notify import score_tables
    from dawnlist.components.notify.facts import Facts
    from dawnlist.pipelines.terminal import out

    found = score_tables.build_trials_table(
        Facts.of("", "", "", [{"step": "tune", "report": report}])
    )
    assert found is not None
    table = Table(*found.head, box=None, pad_edge=False)
    for row in found.rows:
        table.add_row(*row)
    out.print(
        f"{report['metric']}@{report['k']} of {report['users']:,} users, best first",
        table,
        "",
        sep="\n",
    )
    best = report["trials"][0]
    names = (
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
    words = " ".join(f"--{name.replace('_', '-')} {best[name]}" for name in names)
    out.print(f"next: dawnlist train --matrix {matrix} {words} --out model", soft_wrap=True)


def parse_list_lengths(text: str) -> list[int]:
    """Lengths of lists, ascending; ValueError for what is none."""
    parts = text.replace(" ", "").split(",")
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise ValueError(f"-k is {text!r}: give lengths of 1 or more with commas, e.g. 20,100")
    return sorted({int(part) for part in parts})
