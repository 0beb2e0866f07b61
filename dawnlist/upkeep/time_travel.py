"""Time travel: how long the older versions of a Delta table can be read, and what goes when that is over.

An older version needs its files and the log up to it. Files go by `vacuum`, in its full mode, which finds those of a
killed writer too. The log is cut here: what delta-rs would keep does not reach back to the version that was current
when the time began, if commits are rare, so its own clean-up is off. The log holds the smallest and largest values of
each file, so it is not kept longer than needed.
"""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from dawnlist.lake.commits import build_commit_properties, commit_to_existing_table
from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import StoredObject
from dawnlist.lake.watermark import build_window_transactions, read_covered_window

if TYPE_CHECKING:
    from deltalake import DeltaTable

_LOG_ENTRY = re.compile(r"/_delta_log/(\d{20})\.(json$|checkpoint\.)")


def trim_history(
    lake: Lake, name: str, now: datetime, days: int, log_days: int, dry_run: bool = False
) -> dict[str, int]:
    """Remove what no version of the last `days` needs: files, file_bytes, log_entries (kept for `log_days`).

    Ages are by the clock, since they are about when somebody changed the table, not about its rows.
    """

    def attempt(table: "DeltaTable") -> dict[str, int]:
        if not dry_run:
            _set_retention(table, days, log_days)
        # nothing is removed by a dry run, so it may ask for less than the table's property says
        stale = table.vacuum(days * 24, dry_run=True, enforce_retention_duration=False, full=True)
        found = {object_.name: object_ for object_ in lake.walk("tables", name)}
        sizes = (
            found[f"tables/{name}/{path}"].size
            for path in stale
            if f"tables/{name}/{path}" in found
        )
        report = {"files": len(stale), "file_bytes": sum(sizes)}
        if stale and not dry_run:  # it commits even when there is nothing to remove
            table.vacuum(days * 24, dry_run=False, full=True)
        return report

    report = commit_to_existing_table(lake, name, attempt)
    if report is None:
        return {"files": 0, "file_bytes": 0, "log_entries": 0}
    old = _find_stale_entries(
        list(lake.walk("tables", name, "_delta_log")), now - timedelta(days=log_days)
    )
    if not dry_run:
        _write_checkpoint(lake, name)
        for entry in old:
            lake.delete(*entry.split("/"))
    return report | {"log_entries": len(old)}


def _set_retention(table: "DeltaTable", days: int, log_days: int) -> None:
    wanted = {
        "delta.deletedFileRetentionDuration": f"interval {days} days",
        "delta.logRetentionDuration": f"interval {log_days} days",
        "delta.enableExpiredLogCleanup": "false",
    }
    if wanted.items() - table.metadata().configuration.items():
        table.alter.set_table_properties(wanted)


def _find_stale_entries(log: list[StoredObject], before: datetime) -> list[str]:
    """The part of the log that no version which was current at `before`, or came later, is read from; oldest first."""
    entries = [
        (int(found[1]), found[2], entry)
        for entry in log
        if (found := _LOG_ENTRY.search(entry.name))
    ]
    commits = [
        version for version, kind, entry in entries if kind == "json" and entry.modified <= before
    ]
    current = max(commits, default=-1)
    checkpoints = [version for version, kind, _ in entries if kind != "json" and version <= current]
    first = max(checkpoints, default=0)
    return [
        entry.name
        for version, _, entry in sorted(entries, key=lambda entry: entry[0])
        if version < first
    ]


def _write_checkpoint(lake: Lake, name: str) -> None:
    """The table's state as one file, at its newest version, so that the log before it can go one day."""
    table = lake.table(name)
    last = lake.read_json("tables", name, "_delta_log", "_last_checkpoint") or {"version": -1}
    if table is not None and table.version() > last["version"]:
        table.create_checkpoint()


def find_oldest_version(lake: Lake, name: str) -> int:
    """The oldest version of which the log and all files are there. FileNotFoundError when not even the newest is."""
    there = {found.name for found in lake.walk("tables", name)}
    table = lake.table(name)
    if table is None or not _has_all_files(table, name, there):
        raise FileNotFoundError(
            f"the table {name} of {lake.uri} lacks files that its newest version needs: docs/OPERATIONS.md says how "
            "to go back to an older version, and what to do without one"
        )
    low, high = 0, int(table.version())
    while low < high:  # readable versions are the newest ones, without a gap
        middle = (low + high) // 2
        low, high = (low, middle) if _is_readable(lake, name, middle, there) else (middle + 1, high)
    return high


def restore_version(lake: Lake, name: str, version: int) -> int:
    """Make the table what it was at `version`, in a commit after the newest; returns that commit's version.

    The time that it held goes back too, so that fetch takes in again what was lost. ValueError when `version` can't be
    read; the newest version may be damaged.
    """
    there = {found.name for found in lake.walk("tables", name)}
    if not _is_readable(lake, name, version, there):
        raise ValueError(
            f"version {version} of the table {name} of {lake.uri} can't be read: give a newer one"
        )

    def attempt(table: "DeltaTable") -> int:
        window = read_covered_window(lake.table(name, version))
        table.restore(
            version,
            commit_properties=build_commit_properties(
                build_window_transactions(window) if window else {}
            ),
        )
        return int(table.version())

    restored = commit_to_existing_table(lake, name, attempt)
    if restored is None:
        raise FileNotFoundError(f"{lake.table_uri(name)} is no Delta table")
    return restored


def _is_readable(lake: Lake, name: str, version: int, there: set[str]) -> bool:
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        table = lake.table(name, version)
    except (DeltaError, TableNotFoundError):
        return False
    return table is not None and _has_all_files(table, name, there)


def _has_all_files(table: "DeltaTable", name: str, there: set[str]) -> bool:
    paths = pa.table(table.get_add_actions())["path"].to_pylist()
    return all(f"tables/{name}/{path}" in there for path in paths)
