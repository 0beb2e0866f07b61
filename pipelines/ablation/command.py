"""The command `dawnlist ablate`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    HomeOption,
    LakeOption,
    NamespaceOption,
    SettingsOption,
)

if TYPE_CHECKING:
    from dawnlist.lake.lake import Lake
    from dawnlist.model.config import ALSConfig


def ablate(
    truth: Annotated[str, typer.Option(help="A simulated shop, `sqlite:///FILE`, `postgresql://…` or its folder: its "
                                            "humans are judged; default: the users whom every rule keeps.")] = "",
    as_of: Annotated[str, typer.Option(help="End of the last day to judge, e.g. 2026-01-31T03:00:00Z; default: the "
                                            "end of what the lake holds.")] = "",
    days: Annotated[int, typer.Option(min=1, max=60, help="Days to judge, each fitted anew, and pooled.")] = 5,
    window_days: Annotated[int, typer.Option(help="Days of history to learn from, as the daily run does.")] = 365,
    factors: Annotated[str, typer.Option(help="Vector lengths to compare, as of `dawnlist run`.")] = "",
    regularization: Annotated[str, typer.Option(help="Regularizations to compare.")] = "",
    alpha: Annotated[str, typer.Option(help="Confidence weights to compare.")] = "",
    half_life: Annotated[str, typer.Option(help="Half-lives to compare, in days.")] = "",
    iterations: Annotated[int | None, typer.Option(help="Sweeps of each fit.")] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Length of a list.")] = 20,
    format_: Annotated[str, typer.Option("--format", help="`table` for people, `json` for programs.")] = "table",
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    settings: SettingsOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:  # fmt: skip
    """What cleaning is worth: train with and without each bot rule, and judge on the same people.

    All arms share the hyper-parameters: the champion's, or, when any are given or there is none, the best on
    validation. What a change of those brings is shown beside. The table is kept for the drop report.

    Example: `dawnlist ablate --truth sqlite:///.dawnlist/shop.db --days 7`
    """
    option_parsing.refuse_unknown_format(format_)
    from dawnlist.pipelines.ablation import study as ablation
    from dawnlist.pipelines.ablation.simulated_truth import read_human_ids
    from dawnlist.pipelines.terminal import show_progress_bar
    from dawnlist.records import ablations
    from dawnlist.settings import Settings

    rules = Settings.load(settings)
    opened, table, held = option_parsing.open_filled_lake(lake, namespace, home)
    people = read_human_ids(truth) if truth else None
    study = ablation.AblationStudy(
        ablation.InteractionsVersion(opened, table.version()), rules, window_days, k, people
    )
    given: dict[str, Any] = {
        **option_parsing.parse_number_lists(
            factors=factors, regularization=regularization, alpha=alpha, half_life=half_life
        ),
        **({} if iterations is None else {"iterations": iterations}),
    }
    grid = build_daily_grid(given, rules.engines.train)
    with show_progress_bar("fitting") as advance:
        last = as_of or held[1].isoformat()
        report = ablation.run_ablation(
            study,
            ablation.list_last_days(last, days),
            grid,
            None if given else _read_champion_config(opened),
            advance,
        )
    ablations.save_ablation(opened, report["as_of"], report)
    if format_ == "json":
        typer.echo(json.dumps(report, indent=1))
    else:
        _show_ablation(report)


def build_daily_grid(
    given: "dict[str, Any] | None" = None, solver: str = "implicit"
) -> "list[ALSConfig]":
    """The grid of the daily pipeline, but for what is given."""
    from dawnlist.components.tune.grid import FIT_PARAMETERS, Grid
    from dawnlist.pipelines.daily import build_daily_pipeline
    from dawnlist.pipelines.placement import Placement

    inputs = build_daily_pipeline(Placement()).component_spec.inputs
    values = {
        name: (given or {}).get(name, inputs[name].default)
        for name in (*FIT_PARAMETERS, "iterations", "seed")
    }
    values |= {name: int(values[name]) for name in ("iterations", "seed")}
    return Grid(**values, solver=solver).configs()


def _read_champion_config(lake: "Lake") -> "ALSConfig | None":
    """The hyper-parameters of what is live, if ALS is."""
    from dawnlist.model.config import ALSConfig
    from dawnlist.records import registry

    live = registry.read_champion(lake)
    config = registry.load_model(lake, live).config if live else {}
    return ALSConfig.from_dict(config) if config.get("engine") == "als" else None


def _show_ablation(report: dict[str, Any]) -> None:
    from rich.table import Table

    from dawnlist.model.config import ALSConfig
    from dawnlist.pipelines.ablation.report import format_ablation_tables, format_hyper_parameters
    from dawnlist.pipelines.terminal import out

    config = format_hyper_parameters(ALSConfig.from_dict(report["config"]))
    out.print(
        f"{report['metric']} of {report['users']:,} users, {report['judged_on']}, on {report['days']} days up to "
        f"{report['as_of']} ({report['user_days']:,} lists an arm)\nhyper-parameters: {config} "
        f"({report['chosen']})\n",
        soft_wrap=True,
    )
    for head, rows in format_ablation_tables(report):
        table = Table(*head, box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        out.print(table, "")
    for sentence in report["said"]:
        out.print(sentence, soft_wrap=True)
