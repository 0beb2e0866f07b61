"""The commands `dawnlist lake …`: what lies in the lake, and its housekeeping."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    HomeOption,
    LakeOption,
    NamespaceOption,
    SettingsOption,
)

if TYPE_CHECKING:
    from dawnlist.lake.lake import Lake

lake_app = typer.Typer(no_args_is_help=True, help="What lies in the lake, and its housekeeping.")


def _build_days_option(least: int, what: str) -> Any:
    return typer.Option(min=least, help=f"{what} Default: the settings, keep.")


@lake_app.command()
def expire(
    keep_days: Annotated[int | None, _build_days_option(3, "Days of interactions to keep.")] = None,
    landing_days: Annotated[int | None, _build_days_option(1, "Days of landing objects.")] = None,
    quarantine_days: Annotated[int | None, _build_days_option(1, "Days of rejected rows.")] = None,
    runs_days: Annotated[
        int | None,
        _build_days_option(1, "Days of run records, reports, and models that went unpublished."),
    ] = None,
    time_travel_days: Annotated[
        int | None, _build_days_option(1, "Days that an older version of a table can be read.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    settings: SettingsOption = "",
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """The daily housekeeping: drop what is old, compact, and remove what only expired versions need.

    Ages count back from the end of what the lake holds, not from now. It may run beside the daily pipeline.

    Example: `dawnlist lake expire --keep-days 365`
    """
    from datetime import UTC, datetime

    from dawnlist.lake.lake import Lake
    from dawnlist.pipelines.lake.output import show_expiry
    from dawnlist.settings import KeepSettings, Settings
    from dawnlist.upkeep import housekeeping

    given = {
        "interactions_days": keep_days,
        "landing_days": landing_days,
        "quarantine_days": quarantine_days,
        "runs_days": runs_days,
        "time_travel_days": time_travel_days,
    }
    said = {name: days for name, days in given.items() if days is not None}
    keep = KeepSettings(**{**Settings.load(settings).keep.model_dump(), **said})
    opened = _require_tables(Lake.open(lake or str(home / "lake"), namespace))
    report = housekeeping.expire_lake(opened, keep, datetime.now(UTC), dry_run, _print_progress)
    show_expiry(opened.uri, report, dry_run)


@lake_app.command()
def compact(
    lake: LakeOption = "", namespace: NamespaceOption = "default", home: HomeOption = DEFAULT_HOME
) -> None:
    """Make one file of each day's small ones, row for row the same; `expire` does it too.

    Example: `dawnlist lake compact`
    """
    from dawnlist.lake.lake import Lake
    from dawnlist.upkeep import housekeeping

    opened = _require_tables(Lake.open(lake or str(home / "lake"), namespace))
    report = housekeeping.compact_lake(opened, _print_progress)
    for name, table in report.items():
        typer.echo(f"{name}: {table['files_before']:,} files, now {table['files_after']:,}")


@lake_app.command()
def status(
    lake: LakeOption = "", namespace: NamespaceOption = "default", home: HomeOption = DEFAULT_HOME
) -> None:
    """What lies in the lake: tables, the time that they hold, landing objects, the oldest version.

    Example: `dawnlist lake status`
    """
    from dawnlist.lake.lake import Lake
    from dawnlist.pipelines.lake.output import show_lake_status
    from dawnlist.upkeep import housekeeping

    opened = _require_tables(Lake.open(lake or str(home / "lake"), namespace))
    show_lake_status(opened.uri, housekeeping.summarise_lake(opened))


def _require_tables(lake: "Lake") -> "Lake":
    """The lake; FileNotFoundError when it has no tables, before anything is written there."""
    if not lake.names("tables"):
        what = "are no tables" if lake.names() else "is nothing"
        raise FileNotFoundError(
            f"there {what} in the lake {lake.uri}: check --lake and --namespace"
        )
    return lake


def _print_progress(line: str) -> None:
    typer.echo(line, err=True)
