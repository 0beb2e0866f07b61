"""The command `dawnlist`.

Each command imports heavy packages only when it runs, so that --help answers quickly.
"""

import sys
from typing import Annotated

import typer

from dawnlist.pipelines import pipeline_commands, shop_commands
from dawnlist.pipelines.ablation.command import ablate_command
from dawnlist.pipelines.bots.commands import bots_app
from dawnlist.pipelines.check.command import check_command
from dawnlist.pipelines.deploy.command import deploy_command
from dawnlist.pipelines.events import commands as event_commands
from dawnlist.pipelines.export.commands import export_app
from dawnlist.pipelines.id_arguments import IdCommand
from dawnlist.pipelines.items.commands import items_app
from dawnlist.pipelines.kubeflow import commands as kubeflow_commands
from dawnlist.pipelines.kubeflow.housekeep_command import housekeep_command
from dawnlist.pipelines.lake import query_commands
from dawnlist.pipelines.lake.backfill import backfill_command
from dawnlist.pipelines.lake.commands import lake_app
from dawnlist.pipelines.matrices import commands as matrix_commands
from dawnlist.pipelines.party.commands import party_command
from dawnlist.pipelines.store import commands as store_commands

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Daily recommendations on Kubeflow Pipelines.\n\n"
    "Try it: run `dawnlist simulate`, then the command `dawnlist run --local …` that it prints, "
    "then `dawnlist recommend 1`.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"dawnlist {version('dawnlist')}")
        raise typer.Exit


@app.callback()
def set_common_options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version, and exit."
        ),
    ] = False,
) -> None:
    """Set the options that all commands share."""
    context.obj = debug


# --help lists the commands in this order.
app.command("simulate")(shop_commands.simulate_command)
app.command("check")(check_command)
app.command("run")(pipeline_commands.run_command)
app.command("compile")(pipeline_commands.compile_command)
app.command("deploy")(deploy_command)
app.command("submit")(kubeflow_commands.submit_command)
app.command("schedule")(kubeflow_commands.schedule_command)
app.command("unschedule")(kubeflow_commands.unschedule_command)
app.command("status")(kubeflow_commands.shop_status_command)
app.command("housekeep")(housekeep_command)
app.command("serve")(shop_commands.serve_command)
app.command("collect")(event_commands.collect_command)
app.add_typer(event_commands.events_app, name="events")
app.command("party")(party_command)
app.command("demo-shop")(event_commands.demo_shop_command)
app.command("recommend", cls=IdCommand)(shop_commands.recommend_command)
app.command("versions")(store_commands.versions_command)
app.command("rollback")(store_commands.rollback_command)
app.command("release")(store_commands.release_command)
app.command("diff")(store_commands.diff_command)
app.add_typer(items_app, name="items")
app.add_typer(export_app, name="export")
app.command("backfill")(backfill_command)
app.command("ablate")(ablate_command)
app.command("train")(matrix_commands.train_command)
app.command("evaluate")(matrix_commands.evaluate_command)
app.command("tune")(matrix_commands.tune_command)
app.add_typer(lake_app, name="lake")
app.add_typer(bots_app, name="bots")
app.command("crawl")(query_commands.crawl_command)
app.command("query")(query_commands.query_command)


def main() -> None:
    """Run the command line and exit.

    A failure prints one line on stderr and exits with a code other than 0. With --debug it also
    prints the traceback.
    """
    debug = "--debug" in sys.argv
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        _print_error(error)
        sys.exit(getattr(error, "exit_code", 1))


def _print_error(error: Exception) -> None:
    from dawnlist.urls import format_error

    # click's errors, such as a wrong option, bring their own message.
    format_usage = getattr(error, "format_message", None)
    if format_usage is None:
        message, hint = format_error(error), ""
    else:
        message, hint = format_error(format_usage()), " (see --help)"
    # The message is empty for a group without a command, which has already printed its help.
    if message:
        print(f"dawnlist: {message}{hint}", file=sys.stderr)


if __name__ == "__main__":
    main()
