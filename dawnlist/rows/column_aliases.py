"""Match a source's columns with the canonical ones, however the source spells them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dawnlist.settings import SourceSettings
from dawnlist.source_columns import INTERACTION_ALIASES

_REQUIRED_COLUMNS = ("user_id", "item_id", "event_time")


def normalise_name(name: str) -> str:
    """Remove what sources disagree on: case, underscores, dots, hyphens and blanks."""
    return re.sub(r"[\s_.\-]+", "", name).lower()


@dataclass(frozen=True)
class ColumnPath:
    """A value inside the objects of a column, which the settings name by a path such as user.id."""

    name: str
    """The path as the settings write it. Fetch lands the values as a column of this name."""
    index: int
    """The position of the column that holds the objects."""
    keys: tuple[str, ...]
    """The keys inside the object, one below the other."""


def find_paths(names: Sequence[str], shop_names: dict[str, list[str]]) -> list[ColumnPath]:
    """Find the columns whose objects hold what the settings name by a path.

    A name that a column has, letter by letter, is no path. `shop_names` maps canonical columns to
    names that the settings give.
    """
    positions = {normalise_name(name): index for index, name in reversed(list(enumerate(names)))}
    listed_names = [name for listed in shop_names.values() for name in listed]
    paths = []
    for listed_name in dict.fromkeys(listed_names):
        if listed_name in names:
            continue
        segments = listed_name.split(".")
        # The longest name counts: a column may be called a.b itself.
        for count in range(len(segments) - 1, 0, -1):
            index = positions.get(normalise_name(".".join(segments[:count])))
            if index is not None:
                paths.append(ColumnPath(listed_name, index, tuple(segments[count:])))
                break
    return paths


def find_listed_columns(names: Sequence[str], listed_names: Sequence[str]) -> list[int]:
    """Find the positions of columns that the settings list, in the order of the list.

    A column that has a listed name letter by letter goes before those that are only spelled alike.
    """
    positions: list[int] = []
    for listed_name in listed_names:
        exact = [index for index, name in enumerate(names) if name == listed_name]
        alike = [
            index
            for index, name in enumerate(names)
            if normalise_name(name) == normalise_name(listed_name)
        ]
        positions.extend(exact or alike)
    return list(dict.fromkeys(positions))


def match_columns(
    names: Sequence[str],
    aliases: dict[str, tuple[str, ...]],
    shop_names: dict[str, list[str]],
) -> dict[str, list[int]]:
    """Find the source's columns that hold each canonical column.

    Several positions mean that a column was renamed at some time: of each row, the first value that
    is there counts.

    Args:
        names: The source's column names.
        aliases: Canonical column -> names that sources use for it.
        shop_names: Canonical column -> names that the shop's settings give; these come first. An
            empty list says that there is no such column.

    Returns canonical column -> positions in `names`. Columns that the source lacks are left out.
    """
    positions_by_name: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        positions_by_name.setdefault(normalise_name(name), []).append(position)
    matches: dict[str, list[int]] = {}
    for canonical, alias_names in aliases.items():
        if shop_names.get(canonical) == []:
            continue
        positions = find_listed_columns(names, shop_names.get(canonical, []))
        for name in dict.fromkeys(map(normalise_name, (canonical, *alias_names))):
            positions += positions_by_name.get(name, [])
        if positions:
            matches[canonical] = list(dict.fromkeys(positions))
    return matches


def match_interaction_columns(
    names: Sequence[str], settings: SourceSettings, label: str
) -> dict[str, list[int]]:
    """Find the columns of interactions as `match_columns` does; messages name the source `label`.

    Raises:
        ValueError: A column that every event needs is missing.
    """
    matches = match_columns(names, INTERACTION_ALIASES, settings.columns)
    missing = [canonical for canonical in _REQUIRED_COLUMNS if canonical not in matches]
    has_event = "event_type" in matches or "rating" in matches
    needs_event = not has_event and not settings.default_event
    if needs_event:
        missing.append("event_type")
    if missing:
        message = describe_missing_columns(missing, names, label)
        if needs_event:
            message += "; or set source.default_event, e.g. to purchase"
        raise ValueError(message)
    return matches


def describe_missing_columns(
    canonical_names: Sequence[str], names: Iterable[str], label: str
) -> str:
    """Say that a source has no columns for canonical ones, and what to do about it."""
    quoted_names = ", ".join(repr(name) for name in names) or "nothing"
    assignments = ", ".join(f"{canonical}: [its name]" for canonical in canonical_names)
    return (
        f"{label} has no column for {' and none for '.join(canonical_names)} among {quoted_names}: "
        f"name it in the settings, source.columns: {{{assignments}}}, or the path to it "
        "inside a column of objects, such as properties.id"
    )
