"""The command `dawnlist backfill`."""

import secrets
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import typer

from dawnlist.pipelines.options import HOME, Home, LakeRoot, Namespace, SettingsFile, SourceUrl


def backfill(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day, UTC.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, which must be over.")],
    source: SourceUrl = "sqlite:///.dawnlist/shop.db",
    settings: SettingsFile = "",
    parallel: Annotated[int, typer.Option(min=1, max=16, help="Windows of up to a week that are filled at once.")] = 2,
    every: Annotated[bool, typer.Option("--all", help="Fetch every day again, not only those that lack rows.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which days lack rows.")] = False,
    lake: LakeRoot = "",
    namespace: Namespace = "default",
    home: Home = HOME,
) -> None:
    """Find days that the lake lacks, wholly or in part, and fill them from the source.

    Days are by the column that windows are cut on. It may run beside the daily pipeline; rows that are there already
    are recognised.

    Example: `dawnlist backfill --from 2025-01-01 --to 2025-03-31 --source postgresql://me@db/shop`
    """
    from dawnlist.lake.lake import Lake
    from dawnlist.pipelines.lake import refill
    from dawnlist.records.runs import BACKFILL

    days = refill.days_between(first.date(), last.date())
    root = lake or str(home / "lake")
    found = days if every else _lacking(Lake.open(root, namespace), source, settings, days)
    if not dry_run:
        place = refill.Place(root, namespace, source, settings, f"{BACKFILL}{secrets.token_hex(4)}")
        refill.backfill(place, days, found, parallel, _say)


def _lacking(lake: Any, source: str, settings: str, days: list[date]) -> list[date]:
    from dawnlist.pipelines.lake import refill
    from dawnlist.settings import Settings

    found = refill.gaps(lake, source, Settings.load(settings), days)
    for stretch in refill.stretches(found):
        rows, taken = sum(gap.source for gap in stretch), sum(gap.lake or 0 for gap in stretch)
        unknown = all(gap.lake is None for gap in stretch)
        said = "not on record here" if unknown else f"{taken:,} of them taken in"
        _tell(stretch[0].day, stretch[-1].day, f"{rows:,} rows in the source, {said}")
    if not found:
        typer.echo(f"nothing is missing from {days[0]} to {days[-1]}")
    return [gap.day for gap in found]


def _say(window: Any, report: dict[str, Any]) -> None:
    start, end = window
    repeats = report["duplicates"] + report["double_clicks"]
    said = (
        f"filled: {report['rows_in']:,} rows read = {report['inserted']:,} new + {report['known']:,} there already + "
        f"{repeats:,} repeated + {report['quarantined']:,} quarantined"
    )
    _tell(start.date(), (end - timedelta(days=1)).date(), said)


def _tell(first: date, last: date, what: str) -> None:
    typer.echo(f"{first} to {last}  {what}" if last > first else f"{first}{' ' * 15}{what}")
