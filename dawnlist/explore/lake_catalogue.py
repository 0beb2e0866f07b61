"""The catalogue: what a crawl found in the lake, and what had changed since the last crawl.

A catalogue is `catalogue/{number}.json` and is never overwritten; the last by name is the newest. A
crawl that finds what the last one found writes none. Only what is new costs time: a landing object
is read once, by the first crawl that finds it, and a table is only read again at a new version.
"""

import json
from datetime import UTC, datetime
from typing import Any

from dawnlist.cuts import format_iso
from dawnlist.explore.catalogue_entries import CatalogueEntry, describe_landing, describe_table
from dawnlist.explore.column_profiles import ColumnProfile
from dawnlist.explore.schema_changes import SchemaChange, compare_columns, compare_tables
from dawnlist.lake.lake import Lake
from dawnlist.rows.column_aliases import match_interaction_columns
from dawnlist.settings import SourceSettings

LakeCatalogue = dict[str, Any]
"""number, crawled (ISO text), tables (name -> entry), changes, unreadable (names of objects).

The name of a landing folder's entry is landing.{name}.
"""


def crawl_lake(lake: Lake, settings: SourceSettings) -> LakeCatalogue:
    """Look at what is in the lake, and compare it with the newest catalogue.

    When there is a difference, the new catalogue has the next number; `save_catalogue` writes it.

    Raises:
        FileNotFoundError: The lake is empty.
    """
    last: LakeCatalogue = load_newest_catalogue(lake) or {"number": 0, "tables": {}}
    old_entries = last["tables"]
    unreadable: list[str] = []
    entries = _describe_lake(lake, old_entries, settings, unreadable)
    if not entries:
        raise FileNotFoundError(
            f"there is nothing in the lake {lake.uri}: `dawnlist run --local` fills it"
        )
    if last["number"] and old_entries == entries and last["unreadable"] == unreadable:
        return {**last, "changes": []}
    changes = []
    if old_entries:
        changes = _compare_entries(old_entries, entries, settings)
    return {
        "number": last["number"] + 1,
        "crawled": format_iso(datetime.now(UTC).replace(microsecond=0)),
        "tables": entries,
        "changes": changes,
        "unreadable": unreadable,
    }


def _describe_lake(
    lake: Lake,
    old_entries: dict[str, CatalogueEntry],
    settings: SourceSettings,
    unreadable: list[str],
) -> dict[str, CatalogueEntry]:
    entries: dict[str, CatalogueEntry] = {}
    for name in lake.names("tables"):
        entry = describe_table(lake, name, old_entries.get(name), settings)
        if entry is not None:
            entries[name] = entry
    for name in lake.names("landing"):
        entry_name = f"landing.{name}"
        last = old_entries.get(entry_name)
        entry = describe_landing(lake, name, last, settings, unreadable)
        if entry is not None:
            entries[entry_name] = entry
    return entries


def save_catalogue(lake: Lake, catalogue: LakeCatalogue, settings: SourceSettings) -> bool:
    """Write a new catalogue; returns False when there is one of its number already.

    Raises:
        ValueError: The newest landing object of interactions lacks a column that every event needs.
            Nothing is written, so that the next crawl compares with the last good catalogue and
            raises again.
    """
    landing = catalogue["tables"].get("landing.interactions")
    if landing:
        names = [column["name"] for column in landing["newest_columns"]]
        match_interaction_columns(names, settings, f"landing object {landing['newest']}")
    data = json.dumps(catalogue, indent=1, allow_nan=False).encode()
    return lake.create(data, "catalogue", f"{catalogue['number']:08}.json")


def load_newest_catalogue(lake: Lake) -> LakeCatalogue | None:
    """Read the newest catalogue; None when there is none."""
    names = lake.names("catalogue")
    return lake.read_json("catalogue", names[-1]) if names else None


def _compare_entries(
    old_entries: dict[str, CatalogueEntry],
    new_entries: dict[str, CatalogueEntry],
    settings: SourceSettings,
) -> list[SchemaChange]:
    changes = compare_tables(old_entries, new_entries)
    for name, new_entry in new_entries.items():
        old_entry = old_entries.get(name)
        if old_entry is None:
            continue
        if name.startswith("landing."):
            old_columns = _with_merged_types(old_entry)
            new_columns = new_entry["newest_columns"]
        else:
            old_columns = _without_inferred_types(old_entry)
            new_columns = _without_inferred_types(new_entry)
        changes += compare_columns(name, old_columns, new_columns, settings)
    return changes


def _with_merged_types(entry: CatalogueEntry) -> list[ColumnProfile]:
    """Give the newest object's columns the types of all objects: one odd day is reported once."""
    merged_types = {column["name"]: column["inferred"] for column in entry["columns"]}
    columns = []
    for column in entry["newest_columns"]:
        columns.append({**column, "inferred": merged_types[column["name"]]})
    return columns


def _without_inferred_types(entry: CatalogueEntry) -> list[ColumnProfile]:
    """Forget inferred types: a table's types are declared, whatever its text looks like today."""
    return [{**column, "inferred": None} for column in entry["columns"]]
