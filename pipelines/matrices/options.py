"""Command-line options of the commands on matrix files."""

from pathlib import Path
from typing import Annotated

import typer

MatrixOption = Annotated[
    Path,
    typer.Option(
        help="Users by items, a .npz file of scipy.sparse.save_npz, of any format and type. An entry is the "
        "weight of a user's interactions with an item; entries of one pair are added."
    ),
]
ModelFolderOption = Annotated[
    Path, typer.Option(help="Folder for the model; it must be new or empty.")
]
FactorsOption = Annotated[int, typer.Option(help="Length of a vector.")]
RegularizationOption = Annotated[
    float, typer.Option(help="Regularization (lambda); higher means smoother.")
]
AlphaOption = Annotated[
    float, typer.Option(help="What one unit of weight adds to a pair's confidence.")
]
Alpha0Option = Annotated[
    float, typer.Option(help="The confidence of a pair without an interaction.")
]
NuOption = Annotated[
    float,
    typer.Option(
        help="How regularization grows with the interactions of a user or item: 0 not at all, 1 in "
        "proportion."
    ),
]
PopularityShareOption = Annotated[float, typer.Option(help="Share of popularity in the scores.")]
IterationsOption = Annotated[int, typer.Option(help="Sweeps over users and items.")]
SeedOption = Annotated[
    int,
    typer.Option(help="Seed of the random start; the same seed gives the same model on a CPU."),
]
SolverOption = Annotated[
    str,
    typer.Option(
        help="`ials` is dawnlist's own; `implicit` the library; `spark` runs on this machine."
    ),
]
DeviceOption = Annotated[str, typer.Option(help="`cpu` or `gpu`.")]
TrainMatrixOption = Annotated[
    Path, typer.Option(help="The matrix before the holdout. Its items are in no list.")
]
HoldoutOption = Annotated[
    Path, typer.Option(help="The matrix after it, whose items the lists should find.")
]
GridOption = Annotated[
    list[str],
    typer.Option(
        help="Values to try, e.g. `factors=64,128 nu=0,1`; repeatable. The names are factors, "
        "regularization, alpha, alpha0, nu and popularity_share."
    ),
]
ValidationOption = Annotated[
    Path | None,
    typer.Option(
        help="The matrix to choose on; default: one random item of each user who has two or more, as "
        "a matrix has no times."
    ),
]
