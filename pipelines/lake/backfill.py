"""The command `dawnlist backfill`."""

import secrets
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import typer

from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    HomeOption,
    LakeOption,
    NamespaceOption,
    SettingsOption,
    SourceOption,
)


def backfill(
    first: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day, UTC.")
    ],
    last: Annotated[
        datetime,
        typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, which must be over."),
    ],
    source: SourceOption = "sqlite:///.dawnlist/shop.db",
    settings: SettingsOption = "",
    parallel: Annotated[
        int, typer.Option(min=1, max=16, help="Windows of up to a week that are filled at once.")
    ] = 2,
    every: Annotated[
        bool, typer.Option("--all", help="Fetch every day again, not only those that lack rows.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which days lack rows.")
    ] = False,
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Find days that the lake lacks, wholly or in part, and fill them from the source.

    Days are by the column that windows are cut on. It may run beside the daily pipeline; rows that are there already
    are recognised.

    Example: `dawnlist backfill --from 2025-01-01 --to 2025-03-31 --source postgresql://me@db/shop`
    """
    from dawnlist.lake.lake import Lake
    from dawnlist.pipelines.lake import backfill_windows
    from dawnlist.records.run_records import BACKFILL_PREFIX

    days = backfill_windows.list_days_between(first.date(), last.date())
    root = lake or str(home / "lake")
    found = (
        days if every else _find_missing_days(Lake.open(root, namespace), source, settings, days)
    )
    if not dry_run:
        place = backfill_windows.BackfillTarget(
            root, namespace, source, settings, f"{BACKFILL_PREFIX}{secrets.token_hex(4)}"
        )
        backfill_windows.run_backfill(place, days, found, parallel, _report_window)


def _find_missing_days(lake: Any, source: str, settings: str, days: list[date]) -> list[date]:
    from dawnlist.pipelines.lake import backfill_windows
    from dawnlist.settings import Settings

    found = backfill_windows.find_gaps(lake, source, Settings.load(settings), days)
    for stretch in backfill_windows.group_neighbouring_gaps(found):
        rows, taken = sum(gap.source for gap in stretch), sum(gap.lake or 0 for gap in stretch)
        unknown = all(gap.lake is None for gap in stretch)
        said = "not on record here" if unknown else f"{taken:,} of them taken in"
        _print_days(stretch[0].day, stretch[-1].day, f"{rows:,} rows in the source, {said}")
    if not found:
        typer.echo(f"nothing is missing from {days[0]} to {days[-1]}")
    return [gap.day for gap in found]


def _report_window(window: Any, report: dict[str, Any]) -> None:
    start, end = window
    repeats = report["duplicates"] + report["double_clicks"]
    said = (
        f"filled: {report['rows_in']:,} rows read = {report['inserted']:,} new + {report['known']:,} there already + "
        f"{repeats:,} repeated + {report['quarantined']:,} quarantined"
    )
    _print_days(start.date(), (end - timedelta(days=1)).date(), said)


def _print_days(first: date, last: date, what: str) -> None:
    typer.echo(f"{first} to {last}  {what}" if last > first else f"{first}{' ' * 15}{what}")
