"""Commit to the lake's Delta tables from several processes.

Of two commits made at the same time the second fails, reads the table again and retries.
"""

import errno
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from dawnlist.lake.lake import Lake

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable, WriterProperties
    from deltalake.transaction import AddAction

WRITER_APP_ID = "clean"
"""App id of each commit that adds or drops rows. Of two such commits made at the same time, Delta
lets the second one fail."""
_ATTEMPTS = 8
_PARTITION_COLUMNS = {
    "interactions": ["event_date"],
    "events": ["event_date"],
    "shown": ["event_date"],
    "dead_events": ["event_date"],
}
# the log goes back as far as the ledger, which is read from it
_TABLE_PROPERTIES: dict[str, dict[str, str | None]] = {
    "interactions": {"delta.logRetentionDuration": "interval 400 days"}
}

Result = TypeVar("Result")


@dataclass(frozen=True)
class DayFile:
    """A Parquet file with rows of one day. It lies in a table's folder and isn't committed yet."""

    name: str
    """The path of the file, relative to the table's folder."""
    day: str
    """The value of the partition column, which is not in the file itself."""
    rows: int
    """The number of rows in the file."""
    size: int
    """The size of the file in bytes."""
    nulls: dict[str, int]
    """The number of NULL values of each column."""

    def build_add_action(self, partition_column: str) -> "AddAction":
        """Build the entry for this file in the table's log."""
        from deltalake.transaction import AddAction

        statistics = json.dumps({"numRecords": self.rows, "nullCount": self.nulls})
        partition = {partition_column: self.day}
        now_milliseconds = int(time.time() * 1000)
        return AddAction(self.name, self.size, partition, now_milliseconds, True, statistics)


def commit_with_retries(
    lake: Lake, name: str, attempt: Callable[["DeltaTable | None"], Result]
) -> Result:
    """Commit to a table, and try again when somebody else has committed in the meantime.

    `attempt` gets the table at its newest version, or None when there is no such table yet. When it
    fails because of another commit it is called again with the new version, up to 8 times in all.

    Returns what `attempt` returned.

    Raises:
        OSError: The disk of the lake is full.
        DamagedObjectError: A commit of the table's log is damaged.
        Exception: The error of `attempt`, when nobody else has committed or no attempt is left.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    lake.check_log(name)
    for number in range(1, _ATTEMPTS + 1):
        table = lake.table(name)
        try:
            return attempt(table)
        except (CommitFailedError, DeltaError, OSError) as error:
            if "No space left on device" in str(error):
                raise _build_disk_full_error(lake, name) from None
            if number == _ATTEMPTS or _is_newest_version(lake, name, table):
                raise
            # without a random pause a writer of many small commits would always win
            time.sleep(random.uniform(0, 0.05 * 2**number))
    raise AssertionError("unreachable")


def _build_disk_full_error(lake: Lake, name: str) -> OSError:
    return OSError(
        errno.ENOSPC,
        f"the disk of the lake {lake.uri} is full: nothing was committed to {name}, make room",
    )


def _is_newest_version(lake: Lake, name: str, table: "DeltaTable | None") -> bool:
    version = None if table is None else table.version()
    return read_table_version(lake, name) == version


def commit_to_existing_table(
    lake: Lake, name: str, attempt: Callable[["DeltaTable"], Result]
) -> Result | None:
    """Commit to a table as `commit_with_retries` does. Return None when there is no such table."""

    def attempt_if_exists(table: "DeltaTable | None") -> Result | None:
        return None if table is None else attempt(table)

    return commit_with_retries(lake, name, attempt_if_exists)


def append_rows(
    lake: Lake,
    name: str,
    table: "DeltaTable | None",
    rows: Any,
    app_transactions: dict[str, int],
    metadata: dict[str, str],
) -> None:
    """Append rows to a table in one commit; create the table when `table` is None.

    `app_transactions` (app id -> version) and `metadata` become part of the commit.
    """
    from deltalake import write_deltalake

    properties = build_commit_properties(app_transactions, metadata)
    if table is not None:
        write_deltalake(
            table,
            rows,
            mode="append",
            writer_properties=build_writer_properties(),
            commit_properties=properties,
        )
        return
    # mode "error": if another run has created the table meanwhile, the caller has to read it
    write_deltalake(
        lake.table_uri(name),
        rows,
        mode="error",
        partition_by=_PARTITION_COLUMNS.get(name),
        configuration=_TABLE_PROPERTIES.get(name),
        writer_properties=build_writer_properties(),
        commit_properties=properties,
    )


def add_files(
    lake: Lake,
    name: str,
    table: "DeltaTable | None",
    files: list[DayFile],
    schema: pa.Schema,
    app_transactions: dict[str, int],
    metadata: dict[str, str],
) -> None:
    """Commit files that lie in the table's folder already; create the table when `table` is None.

    When the commit fails the files stay in the folder, until vacuum removes them.
    """
    from deltalake import Schema
    from deltalake.transaction import create_table_with_add_actions

    partition_columns = _PARTITION_COLUMNS[name]
    actions: list[Any] = [file.build_add_action(partition_columns[0]) for file in files]
    properties = build_commit_properties(app_transactions, metadata)
    if table is not None:
        table.create_write_transaction(
            actions,
            "append",
            table.schema(),
            partition_columns,
            commit_properties=properties,
        )
        return
    create_table_with_add_actions(
        lake.table_uri(name),
        Schema.from_arrow(schema),
        actions,
        "error",
        partition_columns,
        configuration=_TABLE_PROPERTIES.get(name),
        commit_properties=properties,
    )


def read_table_files(table: "DeltaTable") -> list[dict[str, Any]]:
    """Read what the table's log says about each of its files, one dictionary a file.

    The keys are those of delta-rs: path, size_bytes, num_records, partition.{column} and others.
    """
    files: list[dict[str, Any]] = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return files


def count_rows_by_day(table: "DeltaTable") -> dict[date, int]:
    """Count the rows of each day of a table that is partitioned by event_date, from its log."""
    log = pa.table(table.get_add_actions(flatten=True))
    days = log["partition.event_date"].to_pylist()
    row_counts = log["num_records"].to_pylist()
    rows_by_day: Counter[date] = Counter()
    for day, rows in zip(days, row_counts, strict=True):
        rows_by_day[day] += rows
    return dict(rows_by_day)


def build_commit_properties(
    app_transactions: dict[str, int], metadata: dict[str, str] | None = None
) -> "CommitProperties":
    """Build the properties of a commit that adds or drops rows.

    The app id of writers is added to `app_transactions` (app id -> version).
    """
    from deltalake import CommitProperties, Transaction

    versions = {**app_transactions, WRITER_APP_ID: 1}
    transactions = [Transaction(app_id, version) for app_id, version in versions.items()]
    return CommitProperties(app_transactions=transactions, custom_metadata=metadata)


def build_rewrite_properties() -> "CommitProperties":
    """Build the properties of a commit that replaces files; it fails if others have committed meanwhile.

    delta-rs would commit it after a compaction of the same files, since that changes no data: their
    rows would be in the table twice, and deleted rows would be back.
    """
    from deltalake import CommitProperties, Transaction

    transactions = [Transaction(WRITER_APP_ID, 1)]
    return CommitProperties(app_transactions=transactions, max_commit_retries=0)


def build_writer_properties() -> "WriterProperties":
    """Build the properties of the Parquet files that are written to tables."""
    from deltalake import WriterProperties

    return WriterProperties(compression="ZSTD", compression_level=1)


def read_table_version(lake: Lake, name: str) -> int | None:
    """Read the newest version of a table; None when there is no such table."""
    table = lake.table(name)
    return None if table is None else int(table.version())
