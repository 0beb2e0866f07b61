"""Compaction: the small files of a day become one, row for row the same.

It names no writer: rows do not change, so clean may append beside it, and neither has to read again.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dawnlist.lake.commits import commit_to_existing_table
from dawnlist.lake.lake import Lake

if TYPE_CHECKING:
    from deltalake import DeltaTable

MAX_SMALL_FILES = 4
"""A day of more small files than this is compacted; fewer are not worth writing its rows again."""
TARGET_FILE_BYTES = 128 << 20
"""Bytes that a file should have; one that is larger stays as it is."""
_PARTITION_PREFIX = "partition."


def compact_table(lake: Lake, name: str, dry_run: bool = False) -> dict[str, int]:
    """Write the crowded partitions of a table anew, all in one commit: partitions, files_before, files_after.

    With nothing to do there is no commit. `dry_run` only counts: files_after is what it would come to.
    """

    def attempt(table: "DeltaTable") -> dict[str, int]:
        groups = _count_small_files(table)
        report = {"partitions": len(groups), "files_before": len(table.file_uris())}
        if dry_run:
            return report | {
                "files_after": report["files_before"] - sum(groups.values()) + len(groups)
            }
        if groups:
            _compact_partitions(table, groups)
        return report | {"files_after": len(table.file_uris())}

    return commit_to_existing_table(lake, name, attempt) or {
        "partitions": 0,
        "files_before": 0,
        "files_after": 0,
    }


def _count_small_files(table: "DeltaTable") -> dict[Any, int]:
    """Partition (None in a table without) -> its small files, where there are many."""
    files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    small = Counter(
        file.get(_PARTITION_PREFIX + _read_partition_column(table))
        for file in files
        if file["size_bytes"] < TARGET_FILE_BYTES
    )
    return {partition: count for partition, count in small.items() if count > MAX_SMALL_FILES}


def _compact_partitions(table: "DeltaTable", partitions: Iterable[Any]) -> None:
    from deltalake import WriterProperties

    key = _read_partition_column(table)
    table.optimize.compact(
        partition_filters=[(key, "in", [str(partition) for partition in partitions])]
        if key
        else None,
        target_size=TARGET_FILE_BYTES,
        max_concurrent_tasks=2,  # of days: each is held in memory while it is written
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
    )


def _read_partition_column(table: "DeltaTable") -> str:
    """The column that the table is partitioned by, if any: this lake's tables have one at most."""
    return "".join(table.metadata().partition_columns)
