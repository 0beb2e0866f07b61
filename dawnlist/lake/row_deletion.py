"""Delete rows of a table by a condition, and write the rest of their files as all other files are written.

delta-rs' own delete writes texts as string views, with which Arrow can't compare the texts of a
condition: after it no scan of ours could filter by an id.
"""

import io
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dawnlist.lake.commits import (
    build_rewrite_properties,
    commit_to_existing_table,
    read_table_files,
)
from dawnlist.lake.lake import Lake

if TYPE_CHECKING:  # it imports pandas, which is slow
    import pyarrow.dataset as pads
    from deltalake import DeltaTable

_PARTITION_PREFIX = "partition."


def delete_rows(lake: Lake, name: str, condition: "pads.Expression") -> int:
    """Delete the rows that fulfil a condition, in one commit, and return their number.

    Files without such rows stay as they are. A file is read whole, so it has to fit into memory.
    Rows for which the condition is null stay. When others commit meanwhile, all is done again with
    what is there then.

    Raises:
        ValueError: a partition's name has characters that the log encodes, as no table of ours does.
    """

    def attempt(table: "DeltaTable") -> int:
        log_entries = {entry["path"]: entry for entry in read_table_files(table)}
        rows = lake.scan(table)
        actions: list[Any] = []
        deleted = 0
        for fragment in rows.get_fragments():
            content = fragment.to_table(schema=rows.schema)
            kept = _select_other_rows(content, condition)
            if kept.num_rows == content.num_rows:
                continue
            deleted += content.num_rows - kept.num_rows
            log_entry = log_entries.get(fragment.path)
            if log_entry is None:
                raise ValueError(
                    f"the table {name} has a partition {fragment.path.rpartition('/')[0]!r} whose "
                    "name the log encodes: rows of such files can't be deleted here"
                )
            actions += _replace_file(lake, name, log_entry, kept)
        if actions:
            properties = build_rewrite_properties()
            partition_columns = table.metadata().partition_columns
            table.create_write_transaction(
                actions, "append", table.schema(), partition_columns, commit_properties=properties
            )
        return deleted

    return commit_to_existing_table(lake, name, attempt) or 0


def _select_other_rows(content: pa.Table, condition: "pads.Expression") -> pa.Table:
    """Return the rows that do not fulfil a condition."""
    import pyarrow.dataset as pads

    matches = pads.dataset(content).to_table(columns={"matches": condition})["matches"]
    return content.filter(pc.invert(pc.fill_null(matches, False)))


def _format_partition_value(value: Any) -> str | None:
    """Write a partition's value as the log does."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _replace_file(lake: Lake, name: str, log_entry: dict[str, Any], kept: pa.Table) -> list[Any]:
    """Write the rows that are left of a file, and return the actions that replace the file."""
    from deltalake.transaction import AddAction, RemoveAction

    partition: dict[str, str | None] = {}
    for key, value in log_entry.items():
        if key.startswith(_PARTITION_PREFIX):
            partition[key.removeprefix(_PARTITION_PREFIX)] = _format_partition_value(value)
    path = log_entry["path"]
    now_milliseconds = int(time.time() * 1000)
    actions: list[Any] = [
        RemoveAction(path, True, now_milliseconds, log_entry["size_bytes"], partition)
    ]
    if not kept.num_rows:
        return actions
    content = kept.drop_columns([column for column in partition if column in kept.column_names])
    buffer = io.BytesIO()
    pq.write_table(content, buffer, compression="zstd", compression_level=1)
    data = buffer.getvalue()
    folder, _, _ = path.rpartition("/")
    if "%" in folder:
        folder = (
            ""  # a file may lie anywhere, and the log's encoding of paths is not ours to repeat
        )
    new_path = f"{folder}/{secrets.token_hex(16)}.parquet".lstrip("/")
    lake.create(data, "tables", name, *new_path.split("/"))
    nulls = {column: content[column].null_count for column in content.column_names}
    statistics = json.dumps({"numRecords": content.num_rows, "nullCount": nulls})
    add = AddAction(new_path, len(data), partition, now_milliseconds, True, statistics)
    return [*actions, add]
