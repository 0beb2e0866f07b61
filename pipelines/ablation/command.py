"""The command `dawnlist ablate`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dawnlist.pipelines import arguments
from dawnlist.pipelines.options import HOME, Home, LakeRoot, Namespace, SettingsFile

if TYPE_CHECKING:
    from dawnlist.als.training import ALSConfig
    from dawnlist.lake.lake import Lake


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
    lake: LakeRoot = "",
    namespace: Namespace = "default",
    settings: SettingsFile = "",
    home: Home = HOME,
) -> None:  # fmt: skip
    """What cleaning is worth: train with and without each bot rule, and judge on the same people.

    All arms share the hyper-parameters: the champion's, or, when any are given or there is none, the best on
    validation. What a change of those brings is shown beside. The table is kept for the drop report.

    Example: `dawnlist ablate --truth sqlite:///.dawnlist/shop.db --days 7`
    """
    arguments.checked_format(format_)
    from dawnlist.pipelines.ablation import study as ablation
    from dawnlist.pipelines.ablation.truth import humans
    from dawnlist.pipelines.terminal import bar
    from dawnlist.records import ablations
    from dawnlist.settings import Settings

    rules = Settings.load(settings)
    opened, table, held = arguments.held_lake(lake, namespace, home)
    people = humans(truth) if truth else None
    study = ablation.Study(ablation.Table(opened, table.version()), rules, window_days, k, people)
    given: dict[str, Any] = {
        **arguments.grids(factors=factors, regularization=regularization, alpha=alpha, half_life=half_life),
        **({} if iterations is None else {"iterations": iterations}),
    }
    grid = daily_grid(given, rules.engines.train)
    with bar("fitting") as advance:
        last = as_of or held[1].isoformat()
        report = ablation.ablate(
            study, ablation.ending(last, days), grid, None if given else _champion(opened), advance
        )
    ablations.keep(opened, report["as_of"], report)
    if format_ == "json":
        typer.echo(json.dumps(report, indent=1))
    else:
        _show(report)


def daily_grid(given: "dict[str, Any] | None" = None, solver: str = "implicit") -> "list[ALSConfig]":
    """The grid of the daily pipeline, but for what is given."""
    from dawnlist.components.tune.grid import SEARCHED, Grid
    from dawnlist.pipelines.daily import daily_pipeline
    from dawnlist.pipelines.placement import Placement

    inputs = daily_pipeline(Placement()).component_spec.inputs
    values = {name: (given or {}).get(name, inputs[name].default) for name in (*SEARCHED, "iterations", "seed")}
    values |= {name: int(values[name]) for name in ("iterations", "seed")}
    return Grid(**values, solver=solver).configs()


def _champion(lake: "Lake") -> "ALSConfig | None":
    """The hyper-parameters of what is live, if ALS is."""
    from dawnlist.als.training import ALSConfig
    from dawnlist.records import registry

    live = registry.champion(lake)
    config = registry.load_model(lake, live).config if live else {}
    return ALSConfig.from_dict(config) if config.get("engine") == "als" else None


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table

    from dawnlist.als.training import ALSConfig
    from dawnlist.pipelines.ablation.report import shown, words
    from dawnlist.pipelines.terminal import out

    config = words(ALSConfig.from_dict(report["config"]))
    out.print(
        f"{report['metric']} of {report['users']:,} users, {report['judged_on']}, on {report['days']} days up to "
        f"{report['as_of']} ({report['user_days']:,} lists an arm)\nhyper-parameters: {config} "
        f"({report['chosen']})\n",
        soft_wrap=True,
    )
    for head, rows in shown(report):
        table = Table(*head, box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        out.print(table, "")
    for sentence in report["said"]:
        out.print(sentence, soft_wrap=True)
