"""Compaction: merge the small files of a day into one, with the same rows.

The commit has no app id of writers, since no rows change. So clean can append at the same time, and
neither of the two has to retry.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dawnlist.lake.commits import (
    build_writer_properties,
    commit_to_existing_table,
    read_table_files,
)
from dawnlist.lake.lake import Lake

if TYPE_CHECKING:
    from deltalake import DeltaTable

MAX_SMALL_FILES = 4
"""A day with more small files than this is compacted. With fewer it isn't worth the work."""
TARGET_FILE_BYTES = 128 << 20
"""How many bytes a file should have. Larger files stay as they are."""


def compact_table(lake: Lake, name: str, dry_run: bool = False) -> dict[str, int]:
    """Compact the partitions of a table that have many small files, in one commit.

    Nothing is committed when there is nothing to do, or in a dry run. Returns the number of
    partitions, of files_before and of files_after; in a dry run files_after is an estimate.
    """

    def attempt(table: "DeltaTable") -> dict[str, int]:
        small_files = _count_small_files(table)
        files_before = len(table.file_uris())
        files_after = files_before
        if dry_run:
            files_after += len(small_files) - sum(small_files.values())
        elif small_files:
            _compact_partitions(table, small_files)
            files_after = len(table.file_uris())
        return _build_report(len(small_files), files_before, files_after)

    report = commit_to_existing_table(lake, name, attempt)
    return _build_report(0, 0, 0) if report is None else report


def _build_report(partitions: int, files_before: int, files_after: int) -> dict[str, int]:
    return {"partitions": partitions, "files_before": files_before, "files_after": files_after}


def _count_small_files(table: "DeltaTable") -> dict[Any, int]:
    """Count the small files of each partition that has many.

    The key is the partition's value; it is None in a table without partitions.
    """
    key = f"partition.{_read_partition_column(table)}"
    small_files: Counter[Any] = Counter()
    for file in read_table_files(table):
        if file["size_bytes"] < TARGET_FILE_BYTES:
            small_files[file.get(key)] += 1
    return {value: count for value, count in small_files.items() if count > MAX_SMALL_FILES}


def _compact_partitions(table: "DeltaTable", partitions: Iterable[Any]) -> None:
    column = _read_partition_column(table)
    filters = None
    if column:
        filters = [(column, "in", [str(value) for value in partitions])]
    table.optimize.compact(
        partition_filters=filters,
        target_size=TARGET_FILE_BYTES,
        # each task holds a whole day in memory while it writes it
        max_concurrent_tasks=2,
        writer_properties=build_writer_properties(),
    )


def _read_partition_column(table: "DeltaTable") -> str:
    """Read the partition column; empty without one. This lake's tables have one at most."""
    return "".join(table.metadata().partition_columns)
