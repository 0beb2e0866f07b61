"""What fetch landed, as an engine shows it: the columns by place, and a key for each row."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pyarrow.parquet as pq

from dawnlist.lake.lake import Lake
from dawnlist.rows.sql_dialects import IbisConnection

OBJECT_KEY_STRIDE = 1 << 40
"""More rows than any landing object has: a row's key is its object's number times this plus its row number."""


@dataclass(frozen=True)
class LandedObject:
    """One landing object in an engine."""

    name: str
    """Of the object in the lake."""
    view: str
    """Its rows as they came: columns c0, c1, ... and the row's key."""
    columns: list[str]
    """What the source calls c0, c1, ..."""
    rows: int
    hints: dict[str, Any]
    """What the source's layout says of itself, see SourceSettings.completed."""

    @classmethod
    def of(cls, lake: Lake, name: str, view: str) -> "LandedObject":
        """What the object's footer says."""
        with pq.ParquetFile(lake.path(*name.split("/")), filesystem=lake.filesystem) as file:
            hints = json.loads((file.schema_arrow.metadata or {}).get(b"layout", b"{}"))
            return cls(name, view, file.schema_arrow.names, int(file.metadata.num_rows), hints)

    @property
    def places(self) -> list[str]:
        """c0, c1, ...: columns go by place, since DuckDB takes 'Event' and 'event' for one name."""
        return [f"c{place}" for place in range(len(self.columns))]

    def cells(self, connection: IbisConnection) -> Any:
        """key, c0, c1, ... of the view, as text."""
        raw = connection.table(self.view)
        return raw.select("key", **{place: raw[place].cast("string") for place in self.places})


def copy_to_local(lake: Lake, name: str, copy: Path) -> str:
    """The path of an object on this machine: its own, or that of the copy that is made of a remote lake's."""
    path = lake.path(*name.split("/"))
    if isinstance(lake.filesystem, pafs.LocalFileSystem):
        return path
    pafs.copy_files(path, str(copy), source_filesystem=lake.filesystem)
    return str(copy)


def quote_sql_text(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
