"""Landing objects as views: columns c0, c1, ... in the source's order, and a key for each row."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pyarrow.parquet as pq

from dawnlist.lake.lake import Lake
from dawnlist.rows.sql_dialects import IbisConnection

OBJECT_KEY_STRIDE = 1 << 40
"""The distance between the keys of two objects: more than any landing object has rows.

A row's key is the number of its object (from 0) times the stride plus its row number (from 1).
"""


@dataclass(frozen=True)
class LandedObject:
    """One landing object and the view that shows its rows in an engine."""

    name: str
    """The name of the object in the lake, such as landing/interactions/.../run-1.parquet."""
    view: str
    """The name of the view. It has the columns c0, c1, ... as the source wrote them, and `key`."""
    columns: list[str]
    """The source's own names of c0, c1, ..., in that order."""
    rows: int
    """The number of rows."""
    hints: dict[str, Any]
    """What the source's layout says about itself; see SourceSettings.fill_from_hints."""
    is_cut_by_event_time: bool = False
    """Whether rows without a plausible time came along, as they do with every window of a file."""

    @classmethod
    def from_footer(
        cls,
        lake: Lake,
        name: str,
        view: str,
    ) -> "LandedObject":
        """Read columns, number of rows and hints from the footer of the Parquet object."""
        path = lake.path(*name.split("/"))
        with pq.ParquetFile(path, filesystem=lake.filesystem) as file:
            schema = file.schema_arrow
            metadata = schema.metadata or {}
            hints = json.loads(metadata.get(b"layout", b"{}"))
            is_cut_by_event_time = metadata.get(b"cut") == b"event_time"
            rows = int(file.metadata.num_rows)
            return cls(name, view, schema.names, rows, hints, is_cut_by_event_time)

    @property
    def view_columns(self) -> list[str]:
        """The names c0, c1, ...: columns go by number, since DuckDB ignores the case of names."""
        return [f"c{index}" for index in range(len(self.columns))]

    def select_as_text(self, connection: IbisConnection) -> Any:
        """Select key, c0, c1, ... from the view, all but the key as text."""
        raw = connection.table(self.view)
        texts = {column: raw[column].cast("string") for column in self.view_columns}
        return raw.select("key", **texts)


def copy_to_local(
    lake: Lake,
    name: str,
    copy: Path,
) -> str:
    """Return a local path of an object. Only an object of a remote lake is copied, to `copy`."""
    path = lake.path(*name.split("/"))
    if isinstance(lake.filesystem, pafs.LocalFileSystem):
        return path
    pafs.copy_files(path, str(copy), source_filesystem=lake.filesystem)
    return str(copy)
