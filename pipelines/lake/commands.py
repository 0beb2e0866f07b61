"""The commands `dawnlist lake …`, which show and clean up the lake."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dawnlist.pipelines.option_parsing import open_lake, refuse_unknown_format
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
    from dawnlist.settings import KeepSettings

lake_app = typer.Typer(no_args_is_help=True, help="Show what is in the lake, and clean it up.")


def _build_days_option(least: int, description: str) -> Any:
    return typer.Option(
        min=least, help=f"{description} Default: the section `keep` of the settings."
    )


@lake_app.command("expire")
def expire_command(
    keep_days: Annotated[int | None, _build_days_option(3, "Days of interactions to keep.")] = None,
    landing_days: Annotated[
        int | None, _build_days_option(1, "Days of landing objects to keep.")
    ] = None,
    quarantine_days: Annotated[
        int | None, _build_days_option(1, "Days of rejected rows to keep.")
    ] = None,
    runs_days: Annotated[
        int | None,
        _build_days_option(1, "Days of run records, reports and unpublished models to keep."),
    ] = None,
    time_travel_days: Annotated[
        int | None, _build_days_option(1, "Days for which an older version of a table can be read.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be dropped.")
    ] = False,
    settings: SettingsOption = "",
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
    format_: FormatOption = "table",
) -> None:
    """Do the daily housekeeping: drop old rows and objects, compact, and remove expired versions.

    Ages count back from the end of what the lake holds, not from now. The command may run beside
    the daily pipeline.

    Example: `dawnlist lake expire --keep-days 365`
    """
    from dawnlist.settings import KeepSettings, Settings

    options = {
        "interactions_days": keep_days,
        "landing_days": landing_days,
        "quarantine_days": quarantine_days,
        "runs_days": runs_days,
        "time_travel_days": time_travel_days,
    }
    values = Settings.load(settings).keep.model_dump()
    for name, days in options.items():
        if days is not None:
            values[name] = days
    refuse_unknown_format(format_)
    expire_lake_and_show(open_lake(lake, namespace, home), KeepSettings(**values), dry_run, format_)


def expire_lake_and_show(
    lake: "Lake", keep: "KeepSettings", dry_run: bool = False, format_: str = "table"
) -> None:
    """Do the daily housekeeping of a lake, and print what was dropped.

    Raises:
        FileNotFoundError: The lake has no tables.
    """
    from datetime import UTC, datetime

    from dawnlist.pipelines.lake.output import show_expiry
    from dawnlist.upkeep import housekeeping

    opened = _require_tables(lake)
    report = housekeeping.expire_lake(opened, keep, datetime.now(UTC), dry_run, _print_progress)
    if format_ == "json":
        typer.echo(json.dumps(report, indent=1, default=str))
    else:
        show_expiry(opened.uri, report, dry_run)


@lake_app.command("compact")
def compact_command(
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
    format_: FormatOption = "table",
) -> None:
    """Merge the small files of each day into one. The rows stay the same; `expire` compacts too.

    Example: `dawnlist lake compact`
    """
    from dawnlist.upkeep import housekeeping

    refuse_unknown_format(format_)
    opened = _require_tables(open_lake(lake, namespace, home))
    report = housekeeping.compact_lake(opened, _print_progress)
    if format_ == "json":
        typer.echo(json.dumps(report, indent=1))
        return
    for name, table in report.items():
        typer.echo(f"{name}: {table['files_before']:,} files, now {table['files_after']:,}")


@lake_app.command("status")
def lake_status_command(
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
    format_: FormatOption = "table",
) -> None:
    """Show what is in the lake: tables, the time that they cover, landing objects, oldest versions.

    Example: `dawnlist lake status`
    """
    from dawnlist.pipelines.lake.output import show_lake_status
    from dawnlist.upkeep import housekeeping

    refuse_unknown_format(format_)
    opened = _require_tables(open_lake(lake, namespace, home))
    summary = housekeeping.summarise_lake(opened)
    if format_ == "json":
        typer.echo(json.dumps(summary, indent=1))
    else:
        show_lake_status(opened.uri, summary)


def _require_tables(lake: "Lake") -> "Lake":
    """Return a lake that has tables. Housekeeping would otherwise write into a mistyped folder.

    Raises:
        FileNotFoundError: The lake has no tables.
    """
    if lake.names("tables"):
        return lake
    problem = "there are no tables" if lake.names() else "there is nothing"
    raise FileNotFoundError(f"{problem} in the lake {lake.uri}: check --lake and --namespace")


def _print_progress(line: str) -> None:
    typer.echo(line, err=True)
