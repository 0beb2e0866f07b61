"""The command `dawnlist backfill`."""

import secrets
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dawnlist.pipelines.option_parsing import choose_lake_uri, open_lake
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    HomeOption,
    LakeOption,
    NamespaceOption,
    SettingsOption,
    SourceOption,
)

if TYPE_CHECKING:
    from dawnlist.lake.lake import Lake
    from dawnlist.lake.watermark import TimeWindow
    from dawnlist.pipelines.lake.backfill_windows import Gap


def backfill_command(
    first: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day, in UTC.")
    ],
    last: Annotated[
        datetime,
        typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, which must be over."),
    ],
    source: SourceOption = "sqlite:///.dawnlist/shop.db",
    settings: SettingsOption = "",
    parallel: Annotated[
        int,
        typer.Option(min=1, max=16, help="Number of windows of up to a week to fill at a time."),
    ] = 2,
    every: Annotated[
        bool, typer.Option("--all", help="Fetch every day again, not only days with missing rows.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print which days have missing rows.")
    ] = False,
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Find days of which the lake lacks some or all rows, and fill them from the source.

    A row's day is that of the column that windows are cut on. The command may run beside the daily
    pipeline, because rows that are already in the lake are recognised.

    Example: `dawnlist backfill --from 2025-01-01 --to 2025-03-31 --source postgresql://me@db/shop`
    """
    from dawnlist.pipelines.lake import backfill_windows
    from dawnlist.records.run_records import BACKFILL_PREFIX

    days = backfill_windows.list_days_between(first.date(), last.date())
    if every:
        missing_days = days
    else:
        opened = open_lake(lake, namespace, home)
        missing_days = _find_missing_days(opened, source, settings, days)
    if dry_run:
        return
    run = f"{BACKFILL_PREFIX}{secrets.token_hex(4)}"
    lake_uri = choose_lake_uri(lake, home)
    target = backfill_windows.BackfillTarget(lake_uri, namespace, source, settings, run)
    backfill_windows.run_backfill(target, days, missing_days, parallel, _report_window)


def _find_missing_days(lake: "Lake", source: str, settings: str, days: list[date]) -> list[date]:
    """Find the days to fill, and print them with what they lack."""
    from dawnlist.pipelines.lake import backfill_windows
    from dawnlist.settings import Settings

    gaps = backfill_windows.find_gaps(lake, source, Settings.load(settings), days)
    for neighbours in backfill_windows.group_neighbouring_gaps(gaps):
        _print_days(neighbours[0].day, neighbours[-1].day, _describe_gaps(neighbours))
    if not gaps:
        typer.echo(f"nothing is missing from {days[0]} to {days[-1]}")
    return [gap.day for gap in gaps]


def _describe_gaps(gaps: "Sequence[Gap]") -> str:
    source_rows = sum(gap.source for gap in gaps)
    lake_rows = sum(gap.lake or 0 for gap in gaps)
    lake_state = f"{lake_rows:,} of them taken in"
    if all(gap.lake is None for gap in gaps):
        lake_state = "not on record here"
    return f"{source_rows:,} rows in the source, {lake_state}"


def _report_window(window: "TimeWindow", report: dict[str, Any]) -> None:
    start, end = window
    repeated = report["duplicates"] + report["double_clicks"]
    outcome = (
        f"filled: {report['rows_in']:,} rows read = {report['inserted']:,} new + "
        f"{report['known']:,} there already + {repeated:,} repeated + "
        f"{report['quarantined']:,} quarantined"
    )
    # The noon is of the same date in UTC and in the zone of the source's days.
    half_a_day = timedelta(hours=12)
    _print_days((start + half_a_day).date(), (end - half_a_day).date(), outcome)


def _print_days(first: date, last: date, text: str) -> None:
    days = f"{first} to {last}"
    if last == first:
        days = str(first)
    typer.echo(f"{days:<24}  {text}")
