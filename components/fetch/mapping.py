"""Mapping files: a YAML document that says which files a source has and how they are written."""

import yaml
from pydantic import TypeAdapter, ValidationError

from dawnlist.components.fetch.layouts import Found, Layout, Table
from dawnlist.components.fetch.stored import Stored, gathered, reading
from dawnlist.settings import explained

_LAYOUT = TypeAdapter(Layout)


def mapped(file: Stored) -> Found:
    """The files that a mapping file names. ValueError or FileNotFoundError in one line: place, value and rule."""
    with reading(file.shown), file.filesystem.open_input_stream(file.path) as stream:
        layout = _layout(file.shown, stream.read())
    folder = file.shown.rpartition("/")[0] or "."
    interactions, items, users = (
        _files(file.shown, name, getattr(layout, name), folder) for name in ("interactions", "items", "users")
    )
    return Found(layout, interactions, items, users)


def _layout(shown: str, text: bytes) -> Layout:
    try:
        return _LAYOUT.validate_python(yaml.safe_load(text), strict=False)
    except yaml.YAMLError as error:
        raise ValueError(f"mapping {shown!r} is no YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise ValueError(f"mapping {shown!r}: {'; '.join(map(explained, error.errors()))}") from None


def _files(shown: str, name: str, table: Table | None, folder: str) -> list[Stored]:
    if table is None:
        return []
    found: list[Stored] = next(filter(None, (gathered(pattern, folder) for pattern in table.files)), [])
    if not found:
        raise FileNotFoundError(
            f"mapping {shown!r}: {name}.files is {', '.join(table.files)!r}, and there is no such file: "
            "give patterns relative to the mapping file, or URIs"
        )
    return found
