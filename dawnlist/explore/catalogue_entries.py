"""Describe what the lake holds: one entry of the catalogue for each table and landing folder.

What is said about a table or a landing folder is not always exact:

    exact     rows, bytes, files and partitions; of tables (from their log) and of landing objects
              that are read whole, also nulls and ranges
    estimated distinct values, and the examples, which are the most frequent values
    sampled   landing objects of more rows than `column_profiles.SAMPLE_ROWS`: everything about
              their columns. Tables: the inferred types, distinct values and examples are those of
              the newest day, or of the first rows
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from dawnlist.cuts import format_iso
from dawnlist.explore.column_profiles import (
    SAMPLE_ROWS,
    ColumnProfile,
    holds_address,
    profile_columns,
    to_catalogue_value,
)
from dawnlist.explore.landing_datasets import list_landing_objects
from dawnlist.explore.schema_changes import widen_type
from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import StoredObject
from dawnlist.settings import SourceSettings

if TYPE_CHECKING:  # it imports pandas where that is installed
    import pyarrow.dataset as pads

CatalogueEntry = dict[str, Any]
"""rows, bytes, files, partitions, columns and sampled.

A table also has its version; a landing folder has its objects, newest and newest_columns.
"""


def describe_landing(
    lake: Lake,
    name: str,
    last: CatalogueEntry | None,
    settings: SourceSettings,
    unreadable: list[str],
) -> CatalogueEntry | None:
    """Describe a landing folder; None when no object in it can be read.

    Objects that are in the `last` entry are not read again. The names of objects that can't be read
    are added to `unreadable`.
    """
    objects = []
    last_objects = _index_objects(last)
    for stored in list_landing_objects(lake, name):
        entry = last_objects.get((stored.name, stored.size))
        if entry is None:
            entry = _describe_object(lake, stored, settings)
        if entry is None:
            unreadable.append(stored.name)
        else:
            objects.append(entry)
    if not objects:
        return None
    return _summarise_objects(objects)


def _summarise_objects(objects: list[CatalogueEntry]) -> CatalogueEntry:
    row_counts = [entry["rows"] for entry in objects]
    # an object without rows, of a night without traffic, says nothing about columns
    with_rows = [entry for entry in objects if entry["rows"]] or objects
    newest = max(with_rows, key=_get_age_key)
    windows = sorted(set(map(_get_window_text, objects)))
    return {
        "rows": sum(row_counts),
        "bytes": sum(entry["bytes"] for entry in objects),
        "files": len(objects),
        "partitions": _describe_partitions("window", windows),
        "sampled": max(row_counts) > SAMPLE_ROWS,
        "newest": newest["name"],
        "newest_columns": newest["columns"],
        "columns": _merge_columns(with_rows, newest),
        "objects": objects,
    }


def _index_objects(last: CatalogueEntry | None) -> dict[tuple[str, int], CatalogueEntry]:
    """Index the objects of the last entry by name and size."""
    if not last:
        return {}
    return {(entry["name"], entry["bytes"]): entry for entry in last["objects"]}


def _describe_object(
    lake: Lake, stored: StoredObject, settings: SourceSettings
) -> CatalogueEntry | None:
    """Describe a landing object; None when it can't be read."""
    import pyarrow.dataset as pads

    path = lake.path(stored.name)
    private = _list_private_columns(settings)
    try:
        rows = pads.dataset(path, filesystem=lake.filesystem, format="parquet")
        row_count = rows.count_rows()
        _, columns = profile_columns(rows, rows.schema, private)
    except (pa.ArrowInvalid, duckdb.Error):
        # a broken upload; fetch writes the object again
        return None
    return {
        "name": stored.name,
        "bytes": stored.size,
        "modified": format_iso(stored.modified),
        "rows": row_count,
        "columns": columns,
    }


def _list_private_columns(settings: SourceSettings) -> list[str]:
    return [*settings.columns.get("ip", []), *settings.columns.get("email", [])]


def _get_window_text(entry: CatalogueEntry) -> str:
    """Take an object's window, '{start}_{end}', from its path."""
    return str(entry["name"].split("/")[-2])


def _get_age_key(entry: CatalogueEntry) -> tuple[str, str, str]:
    """Build the key that sorts objects by age: end and start of the window, then the upload."""
    start, _, end = _get_window_text(entry).partition("_")
    # a folder of one time is its own end
    return end or start, start, entry["modified"]


def _describe_partitions(column: str, values: list[str]) -> dict[str, Any]:
    return {"by": column, "count": len(values), "first": values[0], "last": values[-1]}


def _merge_columns(objects: list[CatalogueEntry], newest: CatalogueEntry) -> list[ColumnProfile]:
    """Merge the columns of all objects; those of the newest object come first."""
    merged = {column["name"]: dict(column) for column in newest["columns"]}
    for entry in objects:
        if entry is newest:
            continue
        for column in entry["columns"]:
            name = column["name"]
            if name not in merged:
                # some objects lack the column, so these counts would say nothing
                merged[name] = {**column, "distinct": None, "nulls": None}
            elif merged[name]["nulls"] is not None:
                merged[name] = _merge_column(merged[name], column)
    return list(merged.values())


def _merge_column(merged: ColumnProfile, column: ColumnProfile) -> ColumnProfile:
    masked = merged["masked"] or column["masked"]
    profile = {
        **merged,
        "inferred": widen_type(merged["inferred"], column["inferred"]),
        "nulls": merged["nulls"] + column["nulls"],
        "min": _merge_bound(min, merged["min"], column["min"]),
        "max": _merge_bound(max, merged["max"], column["max"]),
        "masked": masked,
    }
    if masked:
        profile |= {"min": None, "max": None, "examples": []}
    return profile


def _merge_bound(choose: Callable[[list[Any]], Any], first: Any, second: Any) -> Any:
    """Choose the smaller or larger bound; None when text and numbers can't be compared."""
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, str) != isinstance(second, str):
        return None
    return choose([first, second])


def describe_table(
    lake: Lake, name: str, last: CatalogueEntry | None, settings: SourceSettings
) -> CatalogueEntry | None:
    """Describe a Delta table; None when it was never written.

    The table's log says most of it, and the rows of one day the rest. The `last` entry is returned
    when the table still has its version.
    """
    table = lake.table(name)
    if table is None:
        return None
    if last and last["version"] == table.version():
        return last
    log = pa.table(table.get_add_actions(flatten=True))
    partition_columns = table.metadata().partition_columns
    partitions = _list_partitions(log, partition_columns)
    rows = lake.scan(table)
    sample = rows
    if partitions:
        sample = _scan_partition(rows, partition_columns[0], partitions[-1])
    _, columns = profile_columns(sample, rows.schema, _list_private_columns(settings))
    row_count = sum(log["num_records"].to_pylist())
    entry = {
        "version": table.version(),
        "rows": row_count,
        "bytes": sum(log["size_bytes"].to_pylist()),
        "files": log.num_rows,
        "partitions": None,
        "sampled": bool(partitions) or row_count > SAMPLE_ROWS,
        "columns": [_apply_log_statistics(column, log, partition_columns) for column in columns],
    }
    if partitions:
        entry["partitions"] = _describe_partitions(partition_columns[0], partitions)
    return entry


def _scan_partition(rows: "pads.Dataset", column: str, value: str) -> "pads.Scanner":
    import pyarrow.dataset as pads

    partition = pads.field(column).cast(pa.string())
    return rows.scanner(filter=partition == value)


def _list_partitions(log: pa.Table, partition_columns: list[str]) -> list[str]:
    """List the values of the first partition column as text, sorted; empty without one."""
    if not partition_columns:
        return []
    values = log[f"partition.{partition_columns[0]}"].to_pylist()
    return sorted(map(str, set(values)))


def _apply_log_statistics(
    column: ColumnProfile, log: pa.Table, partition_columns: list[str]
) -> ColumnProfile:
    """Replace nulls and range of a sampled column by those of all rows, where the log has them."""
    name = column["name"]
    profile = dict(column)
    if name in partition_columns:
        values = [to_catalogue_value(value) for value in log[f"partition.{name}"].to_pylist()]
        profile["nulls"] = 0
        profile["min"] = min(values, default=None)
        profile["max"] = max(values, default=None)
        return profile
    if f"null_count.{name}" in log.column_names:
        counts = log[f"null_count.{name}"].to_pylist()
        profile["nulls"] = None if None in counts else sum(counts)
    if f"min.{name}" in log.column_names and not column["masked"]:
        low = to_catalogue_value(min(_list_values(log, f"min.{name}"), default=None))
        high = to_catalogue_value(max(_list_values(log, f"max.{name}"), default=None))
        if holds_address(low) or holds_address(high):
            profile |= {"masked": True, "examples": [], "min": None, "max": None}
        else:
            profile |= {"min": low, "max": high}
    return profile


def _list_values(log: pa.Table, column: str) -> list[Any]:
    return [value for value in log[column].to_pylist() if value is not None]
