"""Find out which files of a source hold interactions, items and users."""

from collections.abc import Sequence
from dataclasses import replace

from dawnlist.components.fetch.file_days import begins_with_day_folder, find_trailing_day
from dawnlist.components.fetch.file_listing import list_source_files
from dawnlist.components.fetch.layouts import (
    FORMATS_BY_SUFFIX,
    Layout,
    SourceInventory,
    TableFiles,
    build_usual_layout,
)
from dawnlist.components.fetch.mapping_files import read_mapping_file
from dawnlist.components.fetch.public_layouts import recognise_public_layout
from dawnlist.components.fetch.source_files import SourceFile
from dawnlist.settings import SourceSettings

MAPPING_SUFFIXES = (".yaml", ".yml")


def find_inventory(url: str, settings: SourceSettings) -> SourceInventory:
    """Find the files of a source: a folder, a single file, or what a mapping file names.

    Raises:
        FileNotFoundError: There are no interactions. The message says what was looked for.
        ValueError: A file, or the mapping file, can't be used.
    """
    is_folder, files = list_source_files(url)
    if not is_folder and url.lower().endswith(MAPPING_SUFFIXES):
        return read_mapping_file(files[0])
    inventory = recognise_public_layout(files)
    if inventory is not None:
        return inventory
    if is_folder:
        return _find_in_folder(url, files, settings)
    return _accept_single_file(files[0])


def _find_in_folder(
    url: str,
    files: Sequence[SourceFile],
    settings: SourceSettings,
) -> SourceInventory:
    inventory = SourceInventory.from_files(build_usual_layout(settings), files)
    if not inventory.interactions:
        inventory = _find_names_that_end_in_a_day(inventory, settings.interactions)
    if not inventory.interactions:
        raise FileNotFoundError(_explain_empty_folder(url, files, settings.interactions))
    if inventory.interactions[0].day:
        _refuse_undated_files(inventory, settings.interactions)
    return inventory


def _explain_empty_folder(url: str, files: Sequence[SourceFile], name: str) -> str:
    contents = "it has no file"
    if files:
        contents = f"it has {files[0].name!r}, which is named otherwise"
    return (
        f"source {url!r} holds no interactions ({contents}): looked for files named by day such as "
        f"{name}/2026-01-31.csv, event_date=2026-01-31/x.parquet, year=2026/month=01/day=31/x.csv "
        f"or events_20260131.csv, for {name}.csv, .tsv, .jsonl or .parquet, for the files of "
        "MovieLens and of Amazon reviews; name others in a mapping file (docs/SOURCES.md)"
    )


def _find_names_that_end_in_a_day(inventory: SourceInventory, name: str) -> SourceInventory:
    """Find files such as events_20260131.csv among those that have no other meaning.

    Raises:
        ValueError: There are names of two kinds, none of which begins with `name`.
    """
    groups: dict[str, list[SourceFile]] = {}
    for file in inventory.other_files:
        found = find_trailing_day(file.name)
        if found is not None:
            prefix, day = found
            groups.setdefault(prefix, []).append(replace(file, trailing_day=day))
    kinds = {prefix.rstrip("_-.= "): files for prefix, files in groups.items()}
    kind = name if name in kinds else next(iter(kinds), "")
    if len(kinds) > 1 and kind != name:
        examples = " and ".join(repr(files[0].name) for files in list(kinds.values())[:2])
        raise ValueError(
            f"there are daily files of two kinds, {examples}: name those of interactions in the "
            "settings, source.interactions, or in a mapping file (docs/SOURCES.md)"
        )
    interactions = kinds.get(kind, [])
    used = {file.name for file in interactions}
    others = [file for file in inventory.other_files if file.name not in used]
    return replace(inventory, interactions=interactions, other_files=others)


def _refuse_undated_files(inventory: SourceInventory, name: str) -> None:
    """Refuse a readable file that lies next to files named by day and is not named that way.

    Otherwise the file would silently be left out.

    Raises:
        ValueError: There is such a file.
    """
    first_file = inventory.interactions[0]
    folder = f"{name}/" if first_file.name.startswith(f"{name}/") else ""
    for file in inventory.other_files:
        if not file.name.startswith(folder):
            continue
        place = file.name.removeprefix(folder)
        is_other_kind = first_file.trailing_day is not None and find_trailing_day(file.name)
        if "/" not in place and not is_other_kind:
            raise ValueError(
                f"{file.label!r} lies beside files named by day and is not: "
                "name it by its day or take it out"
            )
        if begins_with_day_folder(place):
            raise ValueError(
                f"{file.label!r} lies in a folder of a day, beside files named by day in another "
                f"way such as {first_file.label!r}: name all in one way or take it out"
            )


def _accept_single_file(file: SourceFile) -> SourceInventory:
    if file.problem:
        raise ValueError(f"source {file.label!r} {file.problem}")
    if file.ending not in FORMATS_BY_SUFFIX:
        raise ValueError(
            f"source {file.label!r} is of a kind that can't be read: give .csv, .tsv, .jsonl, "
            ".parquet or .dat, also with .gz or .zst, or say in a mapping file how it is written "
            "(docs/SOURCES.md)"
        )
    layout = Layout(TableFiles((file.name,)))
    return SourceInventory(layout, [file], [], [])
