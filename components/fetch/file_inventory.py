"""Find out which files of a source hold interactions, items and users."""

import re
from collections.abc import Sequence

from dawnlist.components.fetch.layouts import (
    FORMATS_BY_SUFFIX,
    Layout,
    SourceInventory,
    TableFiles,
    build_usual_layout,
)
from dawnlist.components.fetch.mapping_files import read_mapping_file
from dawnlist.components.fetch.public_layouts import recognise_public_layout
from dawnlist.components.fetch.source_files import SourceFile, list_source_files
from dawnlist.settings import SourceSettings

MAPPING_SUFFIXES = (".yaml", ".yml")
_DAY_FOLDER = re.compile(r"(?:\w+=)?\d{4}-\d{2}-\d{2}/")


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
        name = settings.interactions
        raise FileNotFoundError(
            f"source {url!r} holds no interactions: looked for files named by day such as "
            f"{name}/2026-01-31.csv or event_date=2026-01-31/x.parquet, for {name}.csv, .tsv, "
            ".jsonl or .parquet, for the files of MovieLens and of Amazon reviews; "
            "name others in a mapping file (docs/SOURCES.md)"
        )
    if inventory.interactions[0].day:
        _refuse_undated_files(inventory, files, settings.interactions)
    return inventory


def _refuse_undated_files(
    inventory: SourceInventory,
    files: Sequence[SourceFile],
    name: str,
) -> None:
    """Refuse a readable file that lies next to files named by day and is not named that way.

    Otherwise the file would silently be left out.

    Raises:
        ValueError: There is such a file.
    """
    first_file = inventory.interactions[0]
    folder = f"{name}/" if first_file.name.startswith(f"{name}/") else ""
    used_files = (*inventory.interactions, *inventory.items, *inventory.users)
    used_names = {file.name for file in used_files}
    for file in files:
        is_readable = file.ending in FORMATS_BY_SUFFIX and file.name.startswith(folder)
        if not is_readable or file.name in used_names:
            continue
        if "/" not in file.name.removeprefix(folder):
            raise ValueError(
                f"{file.label!r} lies beside files named by day and is not: "
                "name it by its day or take it out"
            )
        if _DAY_FOLDER.match(file.name, len(folder)):
            raise ValueError(
                f"{file.label!r} lies in a folder of a day, beside files named by day in another "
                f"way such as {first_file.label!r}: name all in one way or take it out"
            )


def _accept_single_file(file: SourceFile) -> SourceInventory:
    if file.ending not in FORMATS_BY_SUFFIX:
        raise ValueError(
            f"source {file.label!r} is of a kind that can't be read: give .csv, .tsv, .jsonl, "
            ".parquet or .dat, also with .gz or .zst, or say in a mapping file how it is written "
            "(docs/SOURCES.md)"
        )
    layout = Layout(TableFiles((file.name,)))
    return SourceInventory(layout, [file], [], [])
