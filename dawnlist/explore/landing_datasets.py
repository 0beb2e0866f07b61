"""The landing objects of a lake as Arrow datasets."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa

from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import StoredObject

if TYPE_CHECKING:  # it imports pandas where that is installed
    import pyarrow.dataset as pads

OBJECT_NAME_COLUMN = "landing_object"
"""The column that is added to each dataset: the path of the landing object in the lake."""
_SCHEMA_THREADS = 8


def list_landing_objects(lake: Lake, table: str) -> list[StoredObject]:
    """List the Parquet objects below `landing/{table}`, sorted by name."""
    parquet_objects = []
    for stored in lake.walk("landing", table):
        if stored.name.endswith(".parquet"):
            parquet_objects.append(stored)
    return sorted(parquet_objects, key=lambda stored: stored.name)


def open_landing_datasets(lake: Lake, table: str) -> "list[pads.FileSystemDataset]":
    """Open the landing objects of a table: one dataset for all objects with the same schema.

    The column landing_object is added. It holds the object's name, as interactions.source and
    quarantine.source_object do.

    Raises:
        ValueError: A landing object can't be read.
    """
    names_by_schema: dict[pa.Schema, list[str]] = {}
    names = [stored.name for stored in list_landing_objects(lake, table)]
    with ThreadPoolExecutor(_SCHEMA_THREADS) as pool:
        schemas = pool.map(lambda name: _read_schema(lake, name), names)
        for name, schema in zip(names, schemas, strict=True):
            names_by_schema.setdefault(schema, []).append(name)
    return [_open_dataset(lake, schema, group) for schema, group in names_by_schema.items()]


def _read_schema(lake: Lake, name: str) -> pa.Schema:
    import pyarrow.dataset as pads

    try:
        schema = pads.ParquetFileFormat().inspect(lake.path(name), lake.filesystem)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"landing object {name} can't be read: {error}") from None
    return schema.remove_metadata()


def _open_dataset(lake: Lake, schema: pa.Schema, names: list[str]) -> "pads.FileSystemDataset":
    import pyarrow.dataset as pads

    name_field = pads.field(OBJECT_NAME_COLUMN)
    return pads.FileSystemDataset.from_paths(
        [lake.path(name) for name in names],
        schema=schema.append(pa.field(OBJECT_NAME_COLUMN, pa.string())),
        format=pads.ParquetFileFormat(),
        filesystem=lake.filesystem,
        partitions=[name_field == name for name in names],
    )
