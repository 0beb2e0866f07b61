"""The command `dawnlist ablate`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    FormatOption,
    HomeOption,
    LakeOption,
    NamespaceOption,
    SettingsOption,
)

if TYPE_CHECKING:
    from dawnlist.lake.lake import Lake
    from dawnlist.model.config import ALSConfig


def ablate_command(
    truth: Annotated[
        str,
        typer.Option(
            help="A simulated shop, `sqlite:///FILE`, `postgresql://…` or its folder, whose humans "
            "are judged; default: judge the users whom every rule keeps."
        ),
    ] = "",
    as_of: Annotated[
        str,
        typer.Option(
            help="End of the last day to judge, e.g. 2026-01-31T03:00:00Z; default: the end of what "
            "the lake holds."
        ),
    ] = "",
    days: Annotated[
        int,
        typer.Option(
            min=1, max=60, help="Days to judge. Each is fitted anew; scores are averaged."
        ),
    ] = 5,
    window_days: Annotated[
        int, typer.Option(help="Days of history to learn from; the default is the daily run's.")
    ] = 365,
    factors: Annotated[str, typer.Option(help="Vector lengths to compare, e.g. `64,128`.")] = "",
    regularization: Annotated[str, typer.Option(help="Regularizations to compare.")] = "",
    alpha: Annotated[str, typer.Option(help="Confidence weights to compare.")] = "",
    half_life: Annotated[str, typer.Option(help="Half-lives to compare, in days.")] = "",
    iterations: Annotated[
        int | None, typer.Option(help="Sweeps over users and items in each fit.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Length of a list.")] = 20,
    format_: FormatOption = "table",
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    settings: SettingsOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Measure what cleaning brings: train with and without each bot rule.

    All of these models are judged on the same people. They share the hyper-parameters: the
    champion's or, if any are given or there is no champion, the best on the validation. The effect
    of other hyper-parameters is shown for comparison. The table is saved for the drop report.

    Example: `dawnlist ablate --truth sqlite:///.dawnlist/shop.db --days 7`
    """
    option_parsing.refuse_unknown_format(format_)
    from dawnlist.cuts import parse_as_of
    from dawnlist.pipelines.ablation.simulated_truth import read_human_ids
    from dawnlist.pipelines.ablation.study import (
        AblationStudy,
        InteractionsVersion,
        list_last_days,
        run_ablation,
    )
    from dawnlist.pipelines.terminal import show_progress_bar
    from dawnlist.records.ablations import save_ablation
    from dawnlist.settings import Settings

    shop_settings = Settings.load(settings)
    filled_lake = option_parsing.open_filled_lake(lake, namespace, home)
    humans = read_human_ids(truth) if truth else None
    interactions = InteractionsVersion(filled_lake.lake, filled_lake.interactions.version())
    study = AblationStudy(interactions, shop_settings, window_days, k, humans)
    parameters: dict[str, Any] = option_parsing.parse_number_lists(
        factors=factors, regularization=regularization, alpha=alpha, half_life=half_life
    )
    if iterations is not None:
        parameters["iterations"] = iterations
    grid = build_daily_grid(parameters, shop_settings.engines.train)
    last_day = parse_as_of(as_of) if as_of else filled_lake.covered_window[1]
    with show_progress_bar("fitting") as advance:
        champion = None if parameters else _read_champion_config(filled_lake.lake)
        report = run_ablation(study, list_last_days(last_day, days), grid, champion, advance)
    save_ablation(filled_lake.lake, last_day, report)
    if format_ == "json":
        typer.echo(json.dumps(report, indent=1))
    else:
        _show_ablation(report)


def build_daily_grid(
    parameters: "dict[str, Any] | None" = None, solver: str = "implicit"
) -> "list[ALSConfig]":
    """Build the grid of the daily pipeline.

    Args:
        parameters: Values that replace those of the daily pipeline, by hyper-parameter.
        solver: The engine that fits.
    """
    from dawnlist.components.tune.grid import Grid
    from dawnlist.records.run_parameters import parse_search

    return Grid.from_options(parse_search(parameters or {}), solver).configs()


def _read_champion_config(lake: "Lake") -> "ALSConfig | None":
    """Read the hyper-parameters of the champion; None without one, or if it is not an ALS model."""
    from dawnlist.model.config import ALSConfig
    from dawnlist.records import registry

    champion = registry.read_champion(lake)
    if not champion:
        return None
    config = registry.load_model(lake, champion).config
    if config.get("engine") != "als":
        return None
    return ALSConfig.from_dict(config)


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
