"""Commits to the lake's Delta tables by several writers: the second of two fails, reads again and retries."""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from components.lake import Lake

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

WRITER = "clean"
"""App id of each commit that adds rows or drops them: of two made at the same time the second fails."""
_ATTEMPTS = 8

Result = TypeVar("Result")


def retried(lake: Lake, name: str, attempt: Callable[["DeltaTable"], Result]) -> Result | None:
    """What `attempt` returns for the newest table, once nobody commits in between; None when there is no table."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    for number in range(1, _ATTEMPTS + 1):
        table = lake.table(name)
        if table is None:
            return None
        try:
            return attempt(table)
        except (CommitFailedError, DeltaError):
            newest = lake.table(name)
            moved = newest is not None and newest.version() != table.version()
            if number == _ATTEMPTS or not moved:
                raise
            time.sleep(random.uniform(0, 0.05 * 2**number))  # or a writer of many small commits is always ahead
    raise AssertionError("unreachable")


def said(marks: dict[str, int]) -> "CommitProperties":
    """What a commit that adds rows or drops them says: app transactions and the writer."""
    from deltalake import CommitProperties, Transaction

    transactions = [Transaction(app, version) for app, version in {**marks, WRITER: 1}.items()]
    return CommitProperties(app_transactions=transactions)
