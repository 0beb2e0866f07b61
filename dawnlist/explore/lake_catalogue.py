"""The catalogue: what is in the lake, found by looking, and what changed since the last look.

`catalogue/{number}.json`, never written twice; the newest is the last by name. A crawl that finds what the last one
found writes none. What it costs grows with what is new: a landing object is read once, in the first crawl that meets
it, and a table again only at a new version.

    exact     rows, bytes, files, partitions; nulls and ranges of tables (their log) and of landing objects read whole
    about     distinct values, and the most frequent ones, the examples
    sampled   landing objects of more rows than `profiles.SAMPLE_ROWS`: all that is said of their columns; tables: the
              inferred types, distinct values and examples are those of the newest day, or the first so many rows
"""

import json
from datetime import UTC, datetime
from typing import Any

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
from dawnlist.explore.lake_sql import list_landing_objects
from dawnlist.explore.schema_changes import compare_columns, compare_tables, widen_type
from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import StoredObject
from dawnlist.rows.column_aliases import match_interaction_columns
from dawnlist.settings import SourceSettings

CatalogueEntry = dict[str, Any]
"""rows, bytes, files, partitions, columns, sampled; of a table its version, of landing its objects and the newest."""
LakeCatalogue = dict[str, Any]
"""number, crawled, tables (name -> Entry, landing objects as landing.{name}), changes, unreadable."""


def crawl_lake(lake: Lake, settings: SourceSettings) -> LakeCatalogue:
    """Look at the lake: what is there, and what changed since the catalogue that was kept last.

    One that differs has the next number, for `keep` to write. FileNotFoundError when the lake is empty.
    """
    last: LakeCatalogue = load_newest_catalogue(lake) or {"number": 0, "tables": {}}
    known, unreadable = last["tables"], list[str]()
    found: dict[str, CatalogueEntry] = {}
    for name in lake.names("tables"):
        if entry := _describe_table(lake, name, known.get(name), settings):
            found[name] = entry
    for name in lake.names("landing"):
        if entry := _describe_landing(
            lake, name, known.get(f"landing.{name}"), settings, unreadable
        ):
            found[f"landing.{name}"] = entry
    if not found:
        raise FileNotFoundError(
            f"there is nothing in the lake {lake.uri}: `dawnlist run --local` fills it"
        )
    if last["number"] and known == found and last["unreadable"] == unreadable:
        return {**last, "changes": []}
    made = {
        "number": last["number"] + 1,
        "crawled": format_iso(datetime.now(UTC).replace(microsecond=0)),
        "tables": found,
    }
    made |= {
        "changes": _compare_entries(known, found, settings) if known else [],
        "unreadable": unreadable,
    }
    return made


def save_catalogue(lake: Lake, catalogue: LakeCatalogue, settings: SourceSettings) -> bool:
    """Write a catalogue that is new; False when it is there.

    ValueError when the newest landing object of interactions lacks a column that every event needs: nothing is kept
    then, so that the next crawl compares with the last good one, and says it again.
    """
    if landed := catalogue["tables"].get("landing.interactions"):
        names = [column["name"] for column in landed["newest_columns"]]
        match_interaction_columns(names, settings, f"landing object {landed['newest']}")
    data = json.dumps(catalogue, indent=1, allow_nan=False).encode()
    return lake.create(data, "catalogue", f"{catalogue['number']:08}.json")


def load_newest_catalogue(lake: Lake) -> LakeCatalogue | None:
    """The last catalogue that was kept, or None."""
    names = lake.names("catalogue")
    return lake.read_json("catalogue", names[-1]) if names else None


def _compare_entries(
    was: dict[str, CatalogueEntry], now: dict[str, CatalogueEntry], settings: SourceSettings
) -> list[dict[str, Any]]:
    found = compare_tables(was, now)
    for name in now:
        if name in was and name.startswith("landing."):
            newest_columns = [
                _with_merged_type(column, was[name]) for column in was[name]["newest_columns"]
            ]
            found += compare_columns(name, newest_columns, now[name]["newest_columns"], settings)
        elif (
            name in was
        ):  # a table's types are declared: what its text looks like today is no change
            before, after = (
                [{**column, "inferred": None} for column in entry[name]["columns"]]
                for entry in (was, now)
            )
            found += compare_columns(name, before, after, settings)
    return found


def _with_merged_type(column: ColumnProfile, entry: CatalogueEntry) -> ColumnProfile:
    """A column of the newest object with the type that all objects together have, so that one odd day is told once."""
    merged = next(known for known in entry["columns"] if known["name"] == column["name"])
    return {**column, "inferred": merged["inferred"]}


def _list_private_columns(settings: SourceSettings) -> list[str]:
    return [*settings.columns.get("ip", []), *settings.columns.get("email", [])]


def _describe_landing(
    lake: Lake,
    name: str,
    last: CatalogueEntry | None,
    settings: SourceSettings,
    unreadable: list[str],
) -> CatalogueEntry | None:
    """What lies in a landing folder; objects that the last crawl met are not read again."""
    known = {(entry["name"], entry["bytes"]): entry for entry in last["objects"]} if last else {}
    objects = []
    for found in list_landing_objects(lake, name):
        entry = known.get((found.name, found.size)) or _describe_object(lake, found, settings)
        objects.append(entry) if entry else unreadable.append(found.name)
    if not objects:
        return None
    # an object without rows, of a night without traffic, says nothing about columns
    telling = [entry for entry in objects if entry["rows"]] or objects
    latest = max(telling, key=lambda entry: (_parse_window(entry)[::-1], entry["modified"]))
    windows = sorted({entry["name"].split("/")[-2] for entry in objects})
    return {
        "rows": sum(entry["rows"] for entry in objects),
        "bytes": sum(entry["bytes"] for entry in objects),
        "files": len(objects),
        "partitions": {
            "by": "window",
            "count": len(windows),
            "first": windows[0],
            "last": windows[-1],
        },
        "sampled": any(entry["rows"] > SAMPLE_ROWS for entry in objects),
        "newest": latest["name"],
        "newest_columns": latest["columns"],
        "columns": _merge_columns(telling, latest),
        "objects": objects,
    }


def _describe_object(
    lake: Lake, found: StoredObject, settings: SourceSettings
) -> CatalogueEntry | None:
    import pyarrow.dataset as pads

    try:
        rows = pads.dataset(lake.path(found.name), filesystem=lake.filesystem, format="parquet")
        total = rows.count_rows()
        _, columns = profile_columns(rows, rows.schema, _list_private_columns(settings))
    except (pa.ArrowInvalid, duckdb.Error):  # what a broken upload left: fetch writes it again
        return None
    about = {"name": found.name, "bytes": found.size, "modified": format_iso(found.modified)}
    return {**about, "rows": total, "columns": columns}


def _parse_window(entry: CatalogueEntry) -> tuple[str, str]:
    """Start and end of an object's window, as its folder says; a folder of one time is its own end."""
    start, _, end = entry["name"].split("/")[-2].partition("_")
    return start, end or start


def _merge_columns(objects: list[CatalogueEntry], latest: CatalogueEntry) -> list[ColumnProfile]:
    """The columns of all objects, the newest one's first."""
    merged = {column["name"]: dict(column) for column in latest["columns"]}
    for entry in objects:
        if entry is not latest:
            for column in entry["columns"]:
                have = merged.setdefault(
                    column["name"], {**column, "distinct": None, "nulls": None}
                )
                merged[column["name"]] = (
                    have if have["nulls"] is None else _merge_column(have, column)
                )
    return list(merged.values())


def _merge_column(have: ColumnProfile, column: ColumnProfile) -> ColumnProfile:
    ends = {
        end: [told["min" if end is min else "max"] for told in (have, column)] for end in (min, max)
    }
    masked = have["masked"] or column["masked"]

    def reach(end: Any) -> Any:
        values = [value for value in ends[end] if value is not None]
        return (
            None
            if masked or len({isinstance(value, str) for value in values}) != 1
            else end(values)
        )

    return {
        **have,
        "inferred": widen_type(have["inferred"], column["inferred"]),
        "nulls": have["nulls"] + column["nulls"],
        "min": reach(min),
        "max": reach(max),
        "examples": [] if masked else have["examples"],
        "masked": masked,
    }


def _describe_table(
    lake: Lake, name: str, last: CatalogueEntry | None, settings: SourceSettings
) -> CatalogueEntry | None:
    """What a Delta table holds: its log says most of it, and one day's rows the rest."""
    table = lake.table(name)
    if table is None:
        return None
    if last and last["version"] == table.version():
        return last
    log = pa.table(table.get_add_actions(flatten=True))
    by = table.metadata().partition_columns
    days = sorted(str(day) for day in set(log[f"partition.{by[0]}"].to_pylist())) if by else []
    rows, sample = lake.scan(table), None
    if days:
        import pyarrow.dataset as pads

        sample = rows.scanner(filter=pads.field(by[0]).cast(pa.string()) == days[-1])
    _, columns = profile_columns(sample or rows, rows.schema, _list_private_columns(settings))
    total = sum(log["num_records"].to_pylist())
    return {
        "version": table.version(),
        "rows": total,
        "bytes": sum(log["size_bytes"].to_pylist()),
        "files": log.num_rows,
        "partitions": {"by": by[0], "count": len(days), "first": days[0], "last": days[-1]}
        if days
        else None,
        "sampled": bool(days) or total > SAMPLE_ROWS,
        "columns": [_apply_log_statistics(column, log, by) for column in columns],
    }


def _apply_log_statistics(column: ColumnProfile, log: pa.Table, by: list[str]) -> ColumnProfile:
    """The column with the nulls and the range that the table's log has of all its rows, where it has them."""
    name = column["name"]
    if name in by:
        values = [to_catalogue_value(value) for value in log[f"partition.{name}"].to_pylist()]
        return {
            **column,
            "nulls": 0,
            "min": min(values, default=None),
            "max": max(values, default=None),
        }
    if f"null_count.{name}" in log.column_names:
        counts = log[f"null_count.{name}"].to_pylist()
        column = {**column, "nulls": None if None in counts else sum(counts)}
    if f"min.{name}" in log.column_names and not column["masked"]:
        ends = [
            [value for value in log[f"{end}.{name}"].to_pylist() if value is not None]
            for end in ("min", "max")
        ]
        low, high = (
            to_catalogue_value(end(values)) if values else None
            for end, values in zip((min, max), ends, strict=True)
        )
        masked = holds_address(low) or holds_address(high)
        column = {**column, "masked": masked, "examples": [] if masked else column["examples"]}
        column |= {"min": None if masked else low, "max": None if masked else high}
    return column
