"""Time travel: how long older versions of a Delta table can be read, and what is removed then.

An older version needs its files, and the log up to it. `vacuum` in its full mode removes the files,
those of killed writers included.

The log is cut by this module, and the clean-up of delta-rs is off: if commits are rare, what
delta-rs would keep doesn't go back to the version that was current when the time began. The log
holds the smallest and largest values of each file, so it isn't kept longer than needed.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from dawnlist.lake.commits import build_commit_properties, commit_to_existing_table
from dawnlist.lake.damaged_objects import DamagedObjectError
from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import StoredObject
from dawnlist.lake.watermark import build_window_transactions, read_covered_window

if TYPE_CHECKING:
    from deltalake import DeltaTable

_LOG_ENTRY_PATTERN = re.compile(r"/_delta_log/(\d{20})\.(json$|checkpoint\.)")


@dataclass(frozen=True)
class _LogEntry:
    """A file of a table's log: a commit or a checkpoint."""

    version: int
    is_commit: bool
    name: str
    modified: datetime


def trim_history(
    lake: Lake, name: str, now: datetime, days: int, log_days: int, dry_run: bool = False
) -> dict[str, int]:
    """Remove files that no version of the last `days` needs, and old entries of the table's log.

    Ages are by the clock: they are about when somebody changed the table, not about its rows. The
    log is kept for `log_days`. Returns files, file_bytes and log_entries; a dry run only counts.
    """

    def attempt(table: "DeltaTable") -> dict[str, int]:
        if not dry_run:
            _set_retention(table, days, log_days)
        # a dry run removes nothing, so it may use a shorter time than the table's property says
        unused = table.vacuum(days * 24, dry_run=True, enforce_retention_duration=False, full=True)
        report = {"files": len(unused), "file_bytes": _sum_file_sizes(lake, name, unused)}
        # vacuum would commit even when there is nothing to remove
        if unused and not dry_run:
            table.vacuum(days * 24, dry_run=False, full=True)
        return report

    report = commit_to_existing_table(lake, name, attempt)
    if report is None:
        return {"files": 0, "file_bytes": 0, "log_entries": 0}
    log_objects = list(lake.walk("tables", name, "_delta_log"))
    old_entries = _find_old_entries(log_objects, now - timedelta(days=log_days))
    if not dry_run:
        _write_checkpoint(lake, name)
        for entry in old_entries:
            lake.delete(*entry.split("/"))
    return report | {"log_entries": len(old_entries)}


def _sum_file_sizes(lake: Lake, name: str, paths: list[str]) -> int:
    sizes = _read_object_sizes(lake, name)
    return sum(sizes.get(f"tables/{name}/{path}", 0) for path in paths)


def _set_retention(table: "DeltaTable", days: int, log_days: int) -> None:
    properties = {
        "delta.deletedFileRetentionDuration": f"interval {days} days",
        "delta.logRetentionDuration": f"interval {log_days} days",
        "delta.enableExpiredLogCleanup": "false",
    }
    differences = properties.items() - table.metadata().configuration.items()
    if differences:
        table.alter.set_table_properties(properties)


def _find_old_entries(log_objects: list[StoredObject], cutoff: datetime) -> list[str]:
    """Find the log entries that only versions before the current one of `cutoff` need.

    Returns their names, oldest version first.
    """
    entries = _parse_log_entries(log_objects)
    old_commits = [entry for entry in entries if entry.is_commit and entry.modified <= cutoff]
    current_version = max((entry.version for entry in old_commits), default=-1)
    first_needed = 0
    for entry in entries:
        if not entry.is_commit and entry.version <= current_version:
            first_needed = max(first_needed, entry.version)
    entries.sort(key=lambda entry: entry.version)
    return [entry.name for entry in entries if entry.version < first_needed]


def _parse_log_entries(log_objects: list[StoredObject]) -> list[_LogEntry]:
    entries = []
    for stored in log_objects:
        match = _LOG_ENTRY_PATTERN.search(stored.name)
        if match:
            is_commit = match[2] == "json"
            entries.append(_LogEntry(int(match[1]), is_commit, stored.name, stored.modified))
    return entries


def _write_checkpoint(lake: Lake, name: str) -> None:
    """Write the table's newest state as one file, so that the log before it can go one day."""
    table = lake.table(name)
    last_version = -1
    with suppress(DamagedObjectError):  # it only saves work, and delta-rs does without it, too
        path = ("tables", name, "_delta_log", "_last_checkpoint")
        last_checkpoint = lake.read_json(*path, types={"version": int})
        if last_checkpoint is not None:
            last_version = last_checkpoint["version"]
    if table is not None and table.version() > last_version:
        table.create_checkpoint()


def find_oldest_version(lake: Lake, name: str) -> int:
    """Find the oldest version that can be read: its log and all its files are there.

    Raises:
        FileNotFoundError: Not even the newest version can be read.
    """
    object_names = set(_read_object_sizes(lake, name))
    table = lake.table(name)
    if table is None or not _has_all_files(table, name, object_names):
        raise FileNotFoundError(
            f"the table {name} of {lake.uri} lacks files that its newest version needs: "
            "docs/OPERATIONS.md says how to go back to an older version, "
            "and what to do without one"
        )
    # the versions that can be read are the newest ones, without a gap
    low, high = 0, int(table.version())
    while low < high:
        middle = (low + high) // 2
        if _is_readable(lake, name, middle, object_names):
            high = middle
        else:
            low = middle + 1
    return high


def restore_version(lake: Lake, name: str, version: int) -> int:
    """Make the table what it was at `version`, in a new commit; returns the version of that commit.

    The covered window goes back too, so that fetch takes in again what was lost. The newest version
    may be damaged.

    Raises:
        ValueError: `version` can't be read.
        FileNotFoundError: There is no such table.
    """
    if not _is_readable(lake, name, version, set(_read_object_sizes(lake, name))):
        raise ValueError(
            f"version {version} of the table {name} of {lake.uri} can't be read: give a newer one"
        )

    def attempt(table: "DeltaTable") -> int:
        window = read_covered_window(lake.table(name, version))
        app_transactions = build_window_transactions(window) if window else {}
        properties = build_commit_properties(app_transactions)
        table.restore(version, commit_properties=properties)
        return int(table.version())

    restored_version = commit_to_existing_table(lake, name, attempt)
    if restored_version is None:
        raise FileNotFoundError(f"{lake.table_uri(name)} is no Delta table")
    return restored_version


def _read_object_sizes(lake: Lake, name: str) -> dict[str, int]:
    """Read the path in the lake and the bytes of each object of a table."""
    return {stored.name: stored.size for stored in lake.walk("tables", name)}


def _is_readable(lake: Lake, name: str, version: int, object_names: set[str]) -> bool:
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        table = lake.table(name, version)
    except (DeltaError, TableNotFoundError, DamagedObjectError):
        return False
    return table is not None and _has_all_files(table, name, object_names)


def _has_all_files(table: "DeltaTable", name: str, object_names: set[str]) -> bool:
    paths = pa.table(table.get_add_actions())["path"].to_pylist()
    return all(f"tables/{name}/{path}" in object_names for path in paths)
