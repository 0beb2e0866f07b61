"""Take one column when several of a source could hold the ids of people, of items, or the events."""

from typing import Any

from dawnlist.components.clean.engine import CleaningEngine
from dawnlist.components.clean.landed_objects import LandedObject
from dawnlist.rows.coercions import clean_text
from dawnlist.rows.column_aliases import find_listed_columns, normalise_name
from dawnlist.settings import SourceSettings

UNMIXED_COLUMNS = ("user_id", "item_id", "event_type")
"""Columns of which values of two kinds, such as user 5 and customer 5, must not be mixed."""


def choose_columns(
    engine: CleaningEngine,
    raw: Any,
    landed_object: LandedObject,
    matches: dict[str, list[int]],
    settings: SourceSettings,
) -> dict[str, list[int]]:
    """Keep the first column with a value of each of UNMIXED_COLUMNS, and print what is left out.

    All columns that the settings list are kept: of each row, the first value that is there counts.
    """
    chosen = dict(matches)
    for canonical in UNMIXED_COLUMNS:
        indices = matches.get(canonical, [])
        groups = _group_columns(landed_object, indices, settings.columns.get(canonical, []))
        if len(groups) > 1:
            counts = _count_values(engine, raw, indices)
            chosen[canonical] = _choose_group(groups, counts)
            _print_ignored_columns(landed_object, canonical, chosen[canonical], counts)
    return chosen


def _group_columns(
    landed_object: LandedObject, indices: list[int], listed_names: list[str]
) -> list[list[int]]:
    """Group columns that mean the same: those that the settings list, and those of one name."""
    listed = find_listed_columns(landed_object.columns, listed_names)
    groups: dict[str, list[int]] = {}
    for index in indices:
        name = normalise_name(landed_object.columns[index])
        group = "listed in the settings" if index in listed else name
        groups.setdefault(group, []).append(index)
    return list(groups.values())


def _count_values(engine: CleaningEngine, raw: Any, indices: list[int]) -> dict[int, int]:
    """Count the rows that have a value in each column."""
    sums = {f"c{index}": clean_text(raw[f"c{index}"]).count() for index in indices}
    [row] = engine.to_arrow(raw.agg(**sums)).to_pylist()
    return {index: row[f"c{index}"] for index in indices}


def _choose_group(groups: list[list[int]], counts: dict[int, int]) -> list[int]:
    """Choose the first columns that have a value in any row."""
    for group in groups:
        if any(counts[index] for index in group):
            return group
    return groups[0]


def _print_ignored_columns(
    landed_object: LandedObject, canonical: str, chosen: list[int], counts: dict[int, int]
) -> None:
    columns = landed_object.columns
    taken = ", ".join(columns[index] for index in chosen)
    for index, rows in counts.items():
        # The objects of a column are no rivals of the ids inside them.
        holds_chosen = any(columns[own].startswith(f"{columns[index]}.") for own in chosen)
        if rows and index not in chosen and not holds_chosen:
            print(
                f"{canonical} is taken from {taken} alone; {rows:,} rows have a value in "
                f"{columns[index]!r}: to use both, list both in the settings, source.columns: "
                f"{{{canonical}: [{taken}, {columns[index]}]}}"
            )
