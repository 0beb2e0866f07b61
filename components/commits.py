"""Commits to the lake's Delta tables by several writers: the second of two fails, reads again and retries."""

import errno
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from components.lake import Lake

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

WRITER = "clean"
"""App id of each commit that adds rows or drops them: of two made at the same time the second fails."""
_ATTEMPTS = 8
_PARTITIONS = {"interactions": ["event_date"]}
_PROPERTIES: dict[str, dict[str, str | None]] = {
    "interactions": {"delta.logRetentionDuration": "interval 400 days"}  # as far back as the ledger goes
}

Result = TypeVar("Result")


def committed(lake: Lake, name: str, attempt: Callable[["DeltaTable | None"], Result]) -> Result:
    """What `attempt` returns for the newest table, or for None before the first, once nobody commits in between."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    for number in range(1, _ATTEMPTS + 1):
        table = lake.table(name)
        try:
            return attempt(table)
        except (CommitFailedError, DeltaError, OSError) as error:
            if "No space left on device" in str(error):
                raise OSError(
                    errno.ENOSPC, f"the disk of the lake {lake.uri} is full: nothing was committed to {name}, make room"
                ) from None
            if number == _ATTEMPTS or version(lake, name) == (None if table is None else table.version()):
                raise
            time.sleep(random.uniform(0, 0.05 * 2**number))  # or a writer of many small commits is always ahead
    raise AssertionError("unreachable")


def retried(lake: Lake, name: str, attempt: Callable[["DeltaTable"], Result]) -> Result | None:
    """The same for a table that is there; None without one."""
    return committed(lake, name, lambda table: None if table is None else attempt(table))


def append(
    lake: Lake, name: str, table: "DeltaTable | None", rows: Any, marks: dict[str, int], about: dict[str, str]
) -> None:
    """Append with `marks` as transactions and `about` as metadata of the commit; the first one makes the table."""
    from deltalake import WriterProperties, write_deltalake

    new = {"mode": "error", "partition_by": _PARTITIONS.get(name), "configuration": _PROPERTIES.get(name)}
    write_deltalake(
        lake.table_uri(name) if table is None else table,
        rows,
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
        commit_properties=said(marks, about),
        # a table that another run made meanwhile is an error: read again
        **(new if table is None else {"mode": "append"}),
    )


def said(marks: dict[str, int], about: dict[str, str] | None = None) -> "CommitProperties":
    """What a commit that adds rows or drops them says: app transactions, the writer, and metadata."""
    from deltalake import CommitProperties, Transaction

    transactions = [Transaction(app, version) for app, version in {**marks, WRITER: 1}.items()]
    return CommitProperties(app_transactions=transactions, custom_metadata=about)


def version(lake: Lake, name: str) -> int | None:
    """The newest version of a table, None when there is none."""
    table = lake.table(name)
    return None if table is None else int(table.version())
