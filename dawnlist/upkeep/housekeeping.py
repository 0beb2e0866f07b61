"""Housekeeping of a lake, once a day: drop what is old, compact what is small, remove what nobody can read any more."""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import BACKFILL_LEASE, TABLES_LEASE, hold_lease
from dawnlist.lake.watermark import read_covered_window
from dawnlist.settings import KeepSettings
from dawnlist.upkeep import compaction, time_travel
from dawnlist.upkeep.expiry import Expiry

HousekeepingReport = dict[str, Any]
WaitCallback = Callable[[str], None] | None
"""Who is told that it has to wait, and for whom."""

_SETTLING_TIME = timedelta(days=1)
"""By the clock: longer than any run takes."""


def expire_lake(
    lake: Lake,
    keep: KeepSettings,
    now: datetime,
    dry_run: bool = False,
    on_wait: WaitCallback = None,
) -> HousekeepingReport:
    """Drop what is older than `keep` says, compact, and remove files and log entries that only older versions need.

    Ages count back from the end of what the lake holds, or from `now`, the clock, if that is earlier: a run for a day
    to come makes nothing old. Versions count back from `now`. Waits for a backfill, which needs days that are old
    beside those it fills. Returns moment (ISO text; None: the lake holds nothing, and nothing was done), interactions,
    features, quarantine, landing, runs, reports, models, trials, searches, gates (see Expiry) and tables (name -> see
    compaction.compact and time_travel.trim). Repeating it is harmless. TimeoutError when another housekeeping, or a
    backfill, does not end.
    """
    window = read_covered_window(lake.table("interactions"))
    if window is None:
        return {"moment": None}
    expiry = Expiry(lake, min(window[1], now), now - _SETTLING_TIME, dry_run)
    with _lease_unless_dry_run(lake, "housekeeping", dry_run, on_wait):
        # in this order: a backfill takes the lease of the tables while it holds its own
        with (
            _lease_unless_dry_run(lake, BACKFILL_LEASE, dry_run, on_wait),
            _lease_unless_dry_run(lake, TABLES_LEASE, dry_run, on_wait),
        ):
            report: HousekeepingReport = {
                "moment": format_iso(expiry.moment),
                "interactions": expiry.expire_interactions(keep.interactions_days),
                "features": expiry.expire_features(keep.interactions_days),
                "quarantine": expiry.expire_quarantine(keep.quarantine_days),
            }
        report |= {
            "landing": expiry.expire_landing(keep.landing_days),
            "runs": expiry.expire_runs(keep.runs_days),
            "reports": expiry.expire_reports(keep.runs_days),
            "trials": expiry.expire_trials(keep.runs_days),
            "searches": expiry.expire_searches(keep.runs_days),
            "gates": expiry.gates(keep.runs_days),
        }
        tables = {
            name: _tidy_table(lake, name, keep, now, dry_run) for name in lake.names("tables")
        }
        return report | {"tables": tables, "models": expiry.expire_models(keep.runs_days)}


def _tidy_table(
    lake: Lake, name: str, keep: KeepSettings, now: datetime, dry_run: bool
) -> dict[str, int]:
    days = keep.time_travel_days
    # the commits of interactions are its ledger too, for as long as their rows are kept
    log_days = days + (keep.interactions_days if name == "interactions" else 0)
    compacted = compaction.compact_table(lake, name, dry_run)
    return compacted | time_travel.trim_history(lake, name, now, days, log_days, dry_run)


def compact_lake(lake: Lake, on_wait: WaitCallback = None) -> dict[str, dict[str, int]]:
    """Compact all tables: name -> see compaction.compact."""
    with _lease_unless_dry_run(lake, "housekeeping", False, on_wait):
        return {name: compaction.compact_table(lake, name) for name in lake.names("tables")}


def _lease_unless_dry_run(
    lake: Lake, name: str, dry_run: bool, on_wait: WaitCallback
) -> AbstractContextManager[Any]:
    return (
        nullcontext()
        if dry_run
        else hold_lease(lake, name, f"housekeeping-{secrets.token_hex(4)}", on_wait=on_wait)
    )


def summarise_lake(lake: Lake) -> HousekeepingReport:
    """What lies in a lake: tables, held and landing.

    tables: name -> rows, files, bytes, version, oldest (version that can be read), first and last (day, or None);
    without those that have no log, such as when the first commit failed.
    held: the time that the interactions table holds, as ISO texts, or None. landing: objects and bytes.
    """
    window = read_covered_window(lake.table("interactions"))
    landing = [found.size for found in lake.walk("landing")]
    return {
        "tables": {
            name: about for name in lake.names("tables") if (about := _summarise_table(lake, name))
        },
        "held": window and [format_iso(moment) for moment in window],
        "landing": {"objects": len(landing), "bytes": sum(landing)},
    }


def _summarise_table(lake: Lake, name: str) -> dict[str, Any] | None:
    table = lake.table(name)
    if table is None:
        return None
    files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    days = [file["partition.event_date"] for file in files if "partition.event_date" in file]
    return {
        "rows": sum(file["num_records"] for file in files),
        "files": len(files),
        "bytes": sum(file["size_bytes"] for file in files),
        "version": int(table.version()),
        "oldest": time_travel.find_oldest_version(lake, name),
        "first": min(days).isoformat() if days else None,
        "last": max(days).isoformat() if days else None,
    }
