"""Write the lists of the active version to files, a part for each block of users.

A part is named after the version's token and its number, and it is there as a whole or not at all. So
an export that was interrupted continues where it ended when it is started again.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from dawnlist.lake.lake import Lake
from dawnlist.pipelines.export.list_export import ListBlock, ListExport

ListFormat = Literal["parquet", "csv", "jsonl"]
LIST_FORMATS: Final = ("parquet", "csv", "jsonl")


@dataclass(frozen=True)
class ExportedPart:
    """A file of an export."""

    name: str
    users: int
    rows: int
    unnamed_users: int
    """Users of the store whose ids the lake does not have."""
    is_new: bool
    """Whether it was written now; another one was there before."""


def read_user_ids(lake: Lake) -> pa.Array:
    """Read the ids of all users that the lake's interactions have, each once.

    Raises:
        FileNotFoundError: the lake has no interactions.
    """
    rows = lake.rows("interactions")
    if rows is None:
        raise FileNotFoundError(
            "the lake holds no interactions, so the users of the lists have no names: "
            "check --lake, --home and --namespace"
        )
    seen = pa.array([], pa.string())
    for batch in rows.to_batches(columns=["user_id"]):
        ids = pc.unique(batch["user_id"].cast(pa.string()))
        new_ids = ids.filter(pc.invert(pc.is_in(ids, value_set=seen)))
        if len(new_ids):
            seen = pa.concat_arrays([seen, new_ids])
    return seen


def read_segment_user_ids(lake: Lake, sql: str) -> pa.Array:
    """Read the ids of the users that a query over the lake returns, each once.

    Raises:
        ValueError: the query is wrong, or its answer has other columns than `user_id`.
        FileNotFoundError: the lake is empty.
    """
    from dawnlist.explore.lake_sql import query_lake

    rows = query_lake(lake, sql)
    if rows.column_names != ["user_id"]:
        raise ValueError(
            f"--users returns the columns {', '.join(rows.column_names)}: "
            "select one column user_id, as in SELECT DISTINCT user_id FROM interactions"
        )
    user_ids = pc.unique(rows["user_id"].cast(pa.string()).combine_chunks())
    return user_ids.filter(pc.is_valid(user_ids))


def name_segment(sql: str) -> str:
    """Return what the names of a segment's files have besides the version: a hash of its query."""
    if not sql:
        return ""
    return f"-{hashlib.sha256(sql.encode()).hexdigest()[:8]}"


def write_lists(
    export: ListExport, folder: str, list_format: ListFormat, segment: str = ""
) -> Iterator[ExportedPart]:
    """Write all parts that are not there yet, and yield each part.

    Args:
        export: Reads the lists.
        folder: A path, or a gs:// or s3:// address.
        list_format: How rows are written.
        segment: What the names of the files have besides the version, see `name_segment`.

    Raises:
        ValueError: the version is damaged.
        OSError: the folder can't be written.
    """
    filesystem, path = _open_folder(folder)
    for number in range(export.blocks):
        name = f"lists-{export.meta['token']}{segment}-{number:05}.{list_format}"
        target = f"{path}/{name}"
        if filesystem.get_file_info(target).type == pafs.FileType.File:
            yield ExportedPart(name, 0, 0, 0, is_new=False)
            continue
        block = export.read_block(number)
        _write_whole(filesystem, target, encode_block(block, list_format))
        yield ExportedPart(name, block.users, block.rows.num_rows, block.unnamed_users, is_new=True)


def _open_folder(folder: str) -> tuple[pafs.FileSystem, str]:
    """Open a folder, which is created if it is a path."""
    if "://" not in folder:
        Path(folder).expanduser().mkdir(parents=True, exist_ok=True)
        folder = Path(folder).expanduser().resolve().as_uri()
    filesystem, path = pafs.FileSystem.from_uri(folder)
    return filesystem, path.rstrip("/")


def _write_whole(filesystem: pafs.FileSystem, target: str, content: bytes) -> None:
    """Write a file under another name first; on object stores it appears whole in any case."""
    with filesystem.open_output_stream(f"{target}.part") as stream:
        stream.write(content)
    filesystem.move(f"{target}.part", target)


def encode_block(block: ListBlock, list_format: ListFormat) -> bytes:
    """Write the rows of a block as Parquet, CSV with a header, or a JSON object a line."""
    buffer = io.BytesIO()
    if list_format == "parquet":
        pq.write_table(block.rows, buffer, compression="zstd")
    elif list_format == "csv":
        pyarrow.csv.write_csv(block.rows, buffer)
    else:
        for row in block.rows.to_pylist():
            buffer.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return buffer.getvalue()
