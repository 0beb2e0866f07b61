"""The commands about bots: what every rule says of a user, and the verdicts on a file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dawnlist.pipelines import arguments
from dawnlist.pipelines.options import HOME, Home, LakeRoot, Namespace, SettingsFile

app = typer.Typer(no_args_is_help=True, help="Look at what the bot filter says of users, files and access logs.")


@app.command()
def explain(
    user: Annotated[str, typer.Argument(help="The user's id, as the source has it.")],
    as_of: Annotated[str, typer.Option(help="End of the days to judge, e.g. 2026-01-31T03:00:00Z; default: the end "
                                            "of what the lake holds.")] = "",
    window_days: Annotated[int, typer.Option(help="Days to judge, as the daily run does.")] = 365,
    format_: Annotated[str, typer.Option("--format", help="`table` for people, `json` for programs.")] = "table",
    lake: LakeRoot = "",
    namespace: Namespace = "default",
    settings: SettingsFile = "",
    home: Home = HOME,
) -> None:  # fmt: skip
    """What every rule says of a user, on what evidence, and what decided.

    It judges as the daily run does, and keeps the features of days that no run has measured yet.
    Example: `dawnlist bots explain 17850`
    """
    arguments.checked_format(format_)
    from dawnlist.components.filter_bots import explanation
    from dawnlist.cuts import parse_as_of, window
    from dawnlist.settings import Settings

    opened, table, held = arguments.held_lake(lake, namespace, home)
    days = window(parse_as_of(as_of) if as_of else held[1], window_days)
    found = explanation.explain(opened, table.version(), days, Settings.load(settings).bots, user)
    if format_ == "json":
        typer.echo(json.dumps(found, indent=1))
    else:
        from dawnlist.pipelines.bots.words import show_explanation

        show_explanation(found)


@app.command()
def judge(
    file: Annotated[str, typer.Argument(help="A table of events (CSV, JSON lines, Parquet, a folder, a mapping file), "
                                             "or a web server's access log in the combined format, also .gz.")],
    by: Annotated[str, typer.Option(help="A row for each verdict on a `user`, or for each user `agent`.")] = "user",
    assets: Annotated[bool, typer.Option("--assets", help="Of a log: judge requests for styles, scripts, images and "
                                                          "fonts, too.")] = False,
    format_: Annotated[str, typer.Option("--format", help="`table`, `csv`, `json` or `parquet`; default: what the "
                                                          "name of --output ends with, else table.")] = "",
    limit: Annotated[int | None, typer.Option(min=0, help="Rows at most, 0: all; default: 100 of a table, "
                                                          "else all.")] = None,
    output: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
    settings: SettingsFile = "",
) -> None:  # fmt: skip
    """Judge a file of events or an access log by the bot rules of the settings.

    In a log a user is an address with an agent, an item is a path. Example: `dawnlist bots judge access.log.gz`
    """
    from dawnlist.pipelines.lake import explore

    if by not in ("user", "agent"):
        raise ValueError(f"--by is {by!r}: give user or agent")
    chosen = explore.output_format(format_, output)
    explore.leave_pandas_out()
    from dawnlist.components.filter_bots.decision import agents, suspects
    from dawnlist.pipelines.answers import show
    from dawnlist.pipelines.bots.judging import judged
    from dawnlist.pipelines.bots.words import show_counts
    from dawnlist.settings import Settings

    rules = Settings.load(settings)
    with judged(file, rules, assets) as found:
        rows = suspects(found.connection) if by == "user" else agents(found.connection, rules.bots)
        if limit is None:
            limit = explore.TERMINAL_ROWS if chosen == "table" else 0
        if chosen == "table":
            show(rows.to_reader(), limit)
        else:
            explore.write(rows.slice(0, limit or None).to_reader(), chosen, output)
        show_counts(found.report, found.said)
