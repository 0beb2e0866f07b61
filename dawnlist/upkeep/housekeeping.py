"""Housekeeping of a lake, once a day: drop old data, compact small files, remove unused files."""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any

from dawnlist.cuts import format_iso
from dawnlist.events.event_table import DEAD_EVENTS_TABLE, EVENTS_TABLE, SHOWN_TABLE
from dawnlist.lake.commits import read_table_files
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import BACKFILL_LEASE, HOUSEKEEPING_LEASE, TABLES_LEASE, hold_lease
from dawnlist.lake.watermark import read_covered_window
from dawnlist.settings import KeepSettings
from dawnlist.upkeep import compaction, time_travel
from dawnlist.upkeep.expiry import Expiry

HousekeepingReport = dict[str, Any]
"""What was done; `expire_lake` and `summarise_lake` name the keys."""
WaitCallback = Callable[[str], None] | None
"""Called with a sentence about the holder when a lease is not free."""

_SETTLING_TIME = timedelta(days=1)
"""By the clock; longer than any run takes."""


def expire_lake(
    lake: Lake,
    keep: KeepSettings,
    now: datetime,
    dry_run: bool = False,
    on_wait: WaitCallback = None,
) -> HousekeepingReport:
    """Drop what is older than `keep` says, compact tables, and remove files of old versions.

    Repeating it is harmless. It waits for a backfill to end, since a backfill needs old days beside
    the days that it fills.

    Args:
        lake: The lake to tidy.
        keep: How many days to keep what.
        now: The time by the clock, UTC. Ages of versions count back from it. Ages of everything
            else count back from the end of what the lake holds, or from `now` if that is earlier:
            a run for a future day must not make everything old.
        dry_run: Whether to count only.
        on_wait: Called with a sentence about the holder when a lease is not free.

    Returns:
        moment: The end of what the lake holds, as ISO text; None, and nothing else is returned,
            when the lake holds nothing.
        interactions, features, quarantine, collected, landing, runs, reports, models, trials, searches, gates:
            See the methods of `Expiry`.
        tables: Name -> see `compaction.compact_table` and `time_travel.trim_history`.

    Raises:
        TimeoutError: Another housekeeping or a backfill holds its lease for too long.
    """
    window = read_covered_window(lake.table("interactions"))
    if window is None:
        return {"moment": None}
    covered_end = min(window[1], now)
    expiry = Expiry(lake, covered_end, now - _SETTLING_TIME, dry_run)
    report: HousekeepingReport = {"moment": format_iso(covered_end)}
    with _lease_unless_dry_run(lake, HOUSEKEEPING_LEASE, dry_run, on_wait):
        report |= _expire_tables(expiry, keep, on_wait)
        report |= _expire_objects(expiry, keep)
        report["tables"] = _tidy_tables(lake, keep, now, dry_run)
        report["models"] = expiry.expire_models(keep.runs_days)
    return report


def _expire_tables(expiry: Expiry, keep: KeepSettings, on_wait: WaitCallback) -> HousekeepingReport:
    lake, dry_run = expiry.lake, expiry.dry_run
    # in this order: a backfill takes the lease of the tables while it holds its own
    with (
        _lease_unless_dry_run(lake, BACKFILL_LEASE, dry_run, on_wait),
        _lease_unless_dry_run(lake, TABLES_LEASE, dry_run, on_wait),
    ):
        return {
            "interactions": expiry.expire_interactions(keep.interactions_days),
            "features": expiry.expire_features(keep.interactions_days),
            "quarantine": expiry.expire_quarantine(keep.quarantine_days),
            "collected": expiry.expire_collected(
                {
                    EVENTS_TABLE: keep.events_days,
                    SHOWN_TABLE: keep.shown_days,
                    DEAD_EVENTS_TABLE: keep.dead_events_days,
                }
            ),
        }


def _expire_objects(expiry: Expiry, keep: KeepSettings) -> HousekeepingReport:
    return {
        "landing": expiry.expire_landing(keep.landing_days),
        "runs": expiry.expire_runs(keep.runs_days),
        "reports": expiry.expire_reports(keep.runs_days),
        "trials": expiry.expire_trials(keep.runs_days),
        "searches": expiry.expire_searches(keep.runs_days),
        "gates": expiry.gates(keep.runs_days),
    }


def _tidy_tables(
    lake: Lake, keep: KeepSettings, now: datetime, dry_run: bool
) -> dict[str, dict[str, int]]:
    reports = {}
    for name in lake.names("tables"):
        reports[name] = _tidy_table(lake, name, keep, now, dry_run)
    return reports


def _tidy_table(
    lake: Lake, name: str, keep: KeepSettings, now: datetime, dry_run: bool
) -> dict[str, int]:
    days = keep.time_travel_days
    log_days = days
    if name == "interactions":
        # its commits are the ledger too, for as long as their rows are kept
        log_days += keep.interactions_days
    compacted = compaction.compact_table(lake, name, dry_run)
    return compacted | time_travel.trim_history(lake, name, now, days, log_days, dry_run)


def compact_lake(lake: Lake, on_wait: WaitCallback = None) -> dict[str, dict[str, int]]:
    """Compact all tables. Returns the report of `compaction.compact_table` for each of them."""
    with _lease_unless_dry_run(lake, HOUSEKEEPING_LEASE, False, on_wait):
        return {name: compaction.compact_table(lake, name) for name in lake.names("tables")}


def _lease_unless_dry_run(
    lake: Lake, name: str, dry_run: bool, on_wait: WaitCallback
) -> AbstractContextManager[Any]:
    if dry_run:
        return nullcontext()
    run = f"housekeeping-{secrets.token_hex(4)}"
    return hold_lease(lake, name, run, on_wait=on_wait)


def summarise_lake(lake: Lake) -> HousekeepingReport:
    """Count what a lake holds: tables, held and landing.

    tables: name -> rows, files, bytes, version, oldest (version that can be read), first and last
    (day, or None). A folder without a log, which a failed first commit leaves, is no table.
    held: start and end of the covered window as ISO texts, or None. landing: objects and bytes.
    """
    window = read_covered_window(lake.table("interactions"))
    window_texts = None
    if window is not None:
        window_texts = [format_iso(moment) for moment in window]
    landing = {"objects": 0, "bytes": 0}
    for stored in lake.walk("landing"):
        landing["objects"] += 1
        landing["bytes"] += stored.size
    tables = {}
    for name in lake.names("tables"):
        summary = _summarise_table(lake, name)
        if summary is not None:
            tables[name] = summary
    return {
        "tables": tables,
        "held": window_texts,
        "landing": landing,
    }


def _summarise_table(lake: Lake, name: str) -> dict[str, Any] | None:
    table = lake.table(name)
    if table is None:
        return None
    lake.check_log(name)
    files = read_table_files(table)
    days = [file["partition.event_date"] for file in files if "partition.event_date" in file]
    first_day, last_day = None, None
    if days:
        first_day, last_day = min(days).isoformat(), max(days).isoformat()
    return {
        "rows": sum(file["num_records"] for file in files),
        "files": len(files),
        "bytes": sum(file["size_bytes"] for file in files),
        "version": int(table.version()),
        "oldest": time_travel.find_oldest_version(lake, name),
        "first": first_day,
        "last": last_day,
    }
