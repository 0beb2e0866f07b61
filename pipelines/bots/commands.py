"""The commands about bots: what every rule says of a user, and the verdicts on a file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    HomeOption,
    LakeOption,
    NamespaceOption,
    SettingsOption,
)

bots_app = typer.Typer(
    no_args_is_help=True, help="Look at what the bot filter says of users, files and access logs."
)


@bots_app.command()
def explain(
    user: Annotated[str, typer.Argument(help="The user's id, as the source has it.")],
    as_of: Annotated[str, typer.Option(help="End of the days to judge, e.g. 2026-01-31T03:00:00Z; default: the end "
                                            "of what the lake holds.")] = "",
    window_days: Annotated[int, typer.Option(help="Days to judge, as the daily run does.")] = 365,
    format_: Annotated[str, typer.Option("--format", help="`table` for people, `json` for programs.")] = "table",
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    settings: SettingsOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:  # fmt: skip
    """What every rule says of a user, on what evidence, and what decided.

    It judges as the daily run does, and keeps the features of days that no run has measured yet.
    Example: `dawnlist bots explain 17850`
    """
    option_parsing.refuse_unknown_format(format_)
    from dawnlist.components.filter_bots import explanation
    from dawnlist.cuts import compute_window, parse_as_of
    from dawnlist.settings import Settings

    opened, table, held = option_parsing.open_filled_lake(lake, namespace, home)
    days = compute_window(parse_as_of(as_of) if as_of else held[1], window_days)
    found = explanation.explain_user(
        opened, table.version(), days, Settings.load(settings).bots, user
    )
    if format_ == "json":
        typer.echo(json.dumps(found, indent=1))
    else:
        from dawnlist.pipelines.bots.output import show_explanation

        show_explanation(found)


@bots_app.command()
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
    settings: SettingsOption = "",
) -> None:  # fmt: skip
    """Judge a file of events or an access log by the bot rules of the settings.

    In a log a user is an address with an agent, an item is a path. Example: `dawnlist bots judge access.log.gz`
    """
    from dawnlist.pipelines.lake import query_commands

    if by not in ("user", "agent"):
        raise ValueError(f"--by is {by!r}: give user or agent")
    chosen = query_commands.choose_output_format(format_, output)
    query_commands.leave_pandas_out()
    from dawnlist.components.filter_bots.decision import list_suspects, list_user_agents
    from dawnlist.pipelines.bots.file_judging import judge_file
    from dawnlist.pipelines.bots.output import show_drop_counts
    from dawnlist.pipelines.query_output import show_rows
    from dawnlist.settings import Settings

    rules = Settings.load(settings)
    with judge_file(file, rules, assets) as found:
        rows = (
            list_suspects(found.connection)
            if by == "user"
            else list_user_agents(found.connection, rules.bots)
        )
        if limit is None:
            limit = query_commands.TERMINAL_ROWS if chosen == "table" else 0
        if chosen == "table":
            show_rows(rows.to_reader(), limit)
        else:
            query_commands.write_answer(rows.slice(0, limit or None).to_reader(), chosen, output)
        show_drop_counts(found.report, found.summary)
