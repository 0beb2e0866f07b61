"""The lists of the active version as the table `lists` of `dawnlist query`."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

from dawnlist.lake.lake import Lake
from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.export.list_export import LIST_SCHEMA, ListExport
from dawnlist.pipelines.export.list_files import read_user_ids
from dawnlist.store.client import connect_store

LISTS_TABLE: Final = "lists"
WHOLE_LISTS: Final = 10_000
"""The longest list that is read; no version has lists of so many items."""
_LISTS_PATTERN: Final = re.compile(r'(\bfrom\b|\bjoin\b|,)\s*"?lists\b', re.IGNORECASE)


def names_lists(sql: str) -> bool:
    """Say whether a statement reads the table of lists."""
    return _LISTS_PATTERN.search(sql) is not None


@contextlib.contextmanager
def open_list_tables(
    sql: str, lake: Lake, namespace: str, redis: str, home: Path
) -> Iterator[dict[str, pa.RecordBatchReader]]:
    """Open the lists if a statement reads them; else there is no table, and no store is asked.

    Raises:
        NothingPublishedError: no version is active.
        FileNotFoundError: there is no store in `home` yet, or the lake has no interactions.
    """
    if not names_lists(sql):
        yield {}
        return
    user_ids = read_user_ids(lake)
    with option_parsing.reach_store(redis, home) as url, connect_store(url) as client:
        export = ListExport(client, namespace, user_ids, WHOLE_LISTS)
        yield {LISTS_TABLE: pa.RecordBatchReader.from_batches(LIST_SCHEMA, iterate_rows(export))}


def iterate_rows(export: ListExport) -> Iterator[pa.RecordBatch]:
    """Iterate over the lists of all users, block by block."""
    for number in range(export.blocks):
        yield from export.read_block(number).rows.to_batches()
