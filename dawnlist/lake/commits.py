"""Commits to the lake's Delta tables by several writers: the second of two fails, reads again and retries."""

import errno
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from dawnlist.lake.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import AddAction

WRITER_APP_ID = "clean"
"""App id of each commit that adds rows or drops them: of two made at the same time the second fails."""
_ATTEMPTS = 8
_PARTITION_COLUMNS = {"interactions": ["event_date"]}
_TABLE_PROPERTIES: dict[str, dict[str, str | None]] = {
    "interactions": {
        "delta.logRetentionDuration": "interval 400 days"
    }  # as far back as the ledger goes
}

Result = TypeVar("Result")


@dataclass(frozen=True)
class DayFile:
    """A Parquet file of one day's rows that lies below a table's folder, and waits for its commit."""

    name: str
    """Relative to the table's folder."""
    day: str
    """The value of the partition's column, which is not in the file."""
    rows: int
    size: int
    """Bytes."""
    nulls: dict[str, int]
    """Column -> how many of its values are NULL."""

    def action(self, partition: str) -> "AddAction":
        """What the table's log says of it."""
        from deltalake.transaction import AddAction

        stats = json.dumps({"numRecords": self.rows, "nullCount": self.nulls})
        return AddAction(
            self.name, self.size, {partition: self.day}, int(time.time() * 1000), True, stats
        )


def commit_with_retries(
    lake: Lake, name: str, attempt: Callable[["DeltaTable | None"], Result]
) -> Result:
    """What `attempt` returns for the newest table, or for None before the first, once nobody commits in between."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    for number in range(1, _ATTEMPTS + 1):
        table = lake.table(name)
        try:
            return attempt(table)
        except (CommitFailedError, DeltaError, OSError) as error:
            if "No space left on device" in str(error):
                raise OSError(
                    errno.ENOSPC,
                    f"the disk of the lake {lake.uri} is full: nothing was committed to {name}, make room",
                ) from None
            if number == _ATTEMPTS or read_table_version(lake, name) == (
                None if table is None else table.version()
            ):
                raise
            time.sleep(
                random.uniform(0, 0.05 * 2**number)
            )  # or a writer of many small commits is always ahead
    raise AssertionError("unreachable")


def commit_to_existing_table(
    lake: Lake, name: str, attempt: Callable[["DeltaTable"], Result]
) -> Result | None:
    """The same for a table that is there; None without one."""
    return commit_with_retries(lake, name, lambda table: None if table is None else attempt(table))


def append_rows(
    lake: Lake,
    name: str,
    table: "DeltaTable | None",
    rows: Any,
    marks: dict[str, int],
    about: dict[str, str],
) -> None:
    """Append with `marks` as transactions and `about` as metadata of the commit; the first one makes the table."""
    from deltalake import WriterProperties, write_deltalake

    new = {
        "mode": "error",
        "partition_by": _PARTITION_COLUMNS.get(name),
        "configuration": _TABLE_PROPERTIES.get(name),
    }
    write_deltalake(
        lake.table_uri(name) if table is None else table,
        rows,
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
        commit_properties=build_commit_properties(marks, about),
        # a table that another run made meanwhile is an error: read again
        **(new if table is None else {"mode": "append"}),
    )


def add_files(
    lake: Lake,
    name: str,
    table: "DeltaTable | None",
    files: list[DayFile],
    schema: "pa.Schema",
    marks: dict[str, int],
    about: dict[str, str],
) -> None:
    """The same for rows that lie in the table's folder already; what a failed commit leaves there, vacuum drops."""
    from deltalake import Schema
    from deltalake.transaction import create_table_with_add_actions

    actions: list[Any] = [file.action(_PARTITION_COLUMNS[name][0]) for file in files]
    properties = build_commit_properties(marks, about)
    if table is not None:
        table.create_write_transaction(
            actions,
            "append",
            table.schema(),
            _PARTITION_COLUMNS[name],
            commit_properties=properties,
        )
        return
    create_table_with_add_actions(
        lake.table_uri(name), Schema.from_arrow(schema), actions, "error", _PARTITION_COLUMNS[name],
        configuration=_TABLE_PROPERTIES[name], commit_properties=properties,
    )  # fmt: skip


def count_rows_by_day(table: "DeltaTable") -> dict[date, int]:
    """Day -> rows of a table with a partition a day, as its log says."""
    import pyarrow as pa

    log = pa.table(table.get_add_actions(flatten=True))
    counts: Counter[date] = Counter()
    for day, rows in zip(
        log["partition.event_date"].to_pylist(), log["num_records"].to_pylist(), strict=True
    ):
        counts[day] += rows
    return dict(counts)


def build_commit_properties(
    marks: dict[str, int], about: dict[str, str] | None = None
) -> "CommitProperties":
    """What a commit that adds rows or drops them says: app transactions, the writer, and metadata."""
    from deltalake import CommitProperties, Transaction

    transactions = [
        Transaction(app, version) for app, version in {**marks, WRITER_APP_ID: 1}.items()
    ]
    return CommitProperties(app_transactions=transactions, custom_metadata=about)


def read_table_version(lake: Lake, name: str) -> int | None:
    """The newest version of a table, None when there is none."""
    table = lake.table(name)
    return None if table is None else int(table.version())
