"""The commands `dawnlist bots …`, which explain the verdict on a user and judge files."""

import json
from typing import Annotated

import typer

from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.id_arguments import IdCommand
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    FormatOption,
    HomeOption,
    LakeOption,
    NamespaceOption,
    OutputOption,
    RowFormatOption,
    RowLimitOption,
    SettingsOption,
)

bots_app = typer.Typer(
    no_args_is_help=True,
    help="Show what the bot filter decides about users, files and access logs.",
)


@bots_app.command("explain", cls=IdCommand)
def explain_command(
    user: Annotated[str, typer.Argument(help="The user's id, as the source has it.")],
    as_of: Annotated[
        str,
        typer.Option(
            help="End of the days to judge, e.g. 2026-01-31T03:00:00Z; default: the end of what "
            "the lake holds."
        ),
    ] = "",
    window_days: Annotated[
        int, typer.Option(help="Days to judge; the default is that of the daily run.")
    ] = 365,
    format_: FormatOption = "table",
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    settings: SettingsOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Show what every rule finds about a user, on which evidence, and which rule decides.

    The command judges as the daily run does. It also saves the features of days that no run has
    measured yet.

    Example: `dawnlist bots explain 17850`
    """
    option_parsing.refuse_unknown_format(format_)
    from dawnlist.components.filter_bots.explanation import explain_user
    from dawnlist.cuts import compute_window, parse_as_of
    from dawnlist.settings import Settings

    filled_lake = option_parsing.open_filled_lake(lake, namespace, home)
    end = parse_as_of(as_of) if as_of else filled_lake.covered_window[1]
    days = compute_window(end, window_days)
    rules = Settings.load(settings).bots
    version = filled_lake.interactions.version()
    explanation = explain_user(filled_lake.lake, version, days, rules, user)
    if format_ == "json":
        typer.echo(json.dumps(explanation, indent=1))
    else:
        from dawnlist.pipelines.bots.output import show_explanation

        show_explanation(explanation)


@bots_app.command("judge")
def judge_command(
    file: Annotated[
        str,
        typer.Argument(
            help="A table of events (CSV, JSON lines, Parquet, a folder, a mapping file), or a web "
            "server's access log, in the combined format or as lines of JSON, also as .gz."
        ),
    ],
    by: Annotated[
        str,
        typer.Option(help="Print a row for each verdict on a `user`, or for each user `agent`."),
    ] = "user",
    assets: Annotated[
        bool,
        typer.Option(
            "--assets",
            help="In a log, also judge requests for styles, scripts, images and fonts.",
        ),
    ] = False,
    format_: RowFormatOption = "",
    limit: RowLimitOption = None,
    output: OutputOption = None,
    settings: SettingsOption = "",
) -> None:
    """Judge a file of events or an access log by the bot rules of the settings.

    In a log, a user is an address with a user agent, and an item is a path.

    Example: `dawnlist bots judge access.log.gz`
    """
    from dawnlist.pipelines import output_files
    from dawnlist.pipelines.pandas_block import block_pandas_import

    if by not in ("user", "agent"):
        raise ValueError(f"--by is {by!r}: give user or agent")
    row_format = output_files.choose_row_format(format_, output)
    limit = output_files.choose_row_limit(limit, row_format)
    block_pandas_import()
    from dawnlist.components.filter_bots.decision import list_suspects, list_user_agents
    from dawnlist.components.filter_bots.mute_rules import explain_mute_rules
    from dawnlist.pipelines.bots.file_judging import judge_file
    from dawnlist.pipelines.bots.output import show_drop_counts, show_mute_rules
    from dawnlist.pipelines.query_tables import show_rows
    from dawnlist.settings import Settings

    shop_settings = Settings.load(settings)
    with judge_file(file, shop_settings, assets) as judged:
        if by == "user":
            rows = list_suspects(judged.connection)
        else:
            rows = list_user_agents(judged.connection, shop_settings.bots)
        if row_format == "table":
            show_rows(rows.to_reader(), limit)
        else:
            first_rows = rows.slice(0, limit or None)
            output_files.write_rows(first_rows.to_reader(), row_format, output)
        show_drop_counts(judged.report, judged.summary)
        show_mute_rules(explain_mute_rules(judged.connection, shop_settings.bots))
