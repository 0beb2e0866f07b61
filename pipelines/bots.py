"""The commands about bots: what every rule says of a user, and the verdicts on a file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.options import SettingsFile

app = typer.Typer(no_args_is_help=True, help="Look at what the bot filter says of users, files and access logs.")
TERMINAL_ROWS = 100


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
    from pipelines import explore

    if by not in ("user", "agent"):
        raise ValueError(f"--by is {by!r}: give user or agent")
    chosen = explore.output_format(format_, output)
    explore.leave_pandas_out()
    from components.filter_bots.decision import agents, suspects
    from components.settings import Settings
    from pipelines.answers import show
    from pipelines.judging import judged

    rules = Settings.load(settings)
    with judged(file, rules, assets) as found:
        rows = suspects(found.connection) if by == "user" else agents(found.connection, rules.bots)
        if limit is None:
            limit = TERMINAL_ROWS if chosen == "table" else 0
        if chosen == "table":
            show(rows.to_reader(), limit)
        else:
            explore.write(rows.slice(0, limit or None).to_reader(), chosen, output)
        _tell(found.report, found.said)


def _tell(report: dict[str, Any], said: str) -> None:
    """What became of the file, on stderr, so that it is in nobody's table."""
    from pipelines.terminal import err

    lines = [said]
    for rule in report["rules"]:
        if rule["events"] or rule["mode"] != "on":
            lines.append(f"{rule['rule']} ({rule['mode']}): {rule['users']:,} users, {rule['events']:,} events")
    lines.append(
        f"dropped: {report['dropped_events']:,} of {report['events']:,} events ({report['share']:.1%}), "
        f"{report['dropped_users']:,} of {report['users']:,} users"
    )
    for line in lines:
        err.print(line, markup=False, soft_wrap=True)
