"""Mapping files: a YAML document that says which files a source has and how they are written."""

import yaml
from pydantic import TypeAdapter, ValidationError

from dawnlist.components.fetch.layouts import Layout, SourceInventory, TableFiles
from dawnlist.components.fetch.source_files import SourceFile, explain_read_errors, glob_files
from dawnlist.settings import explain_validation_error

_LAYOUT = TypeAdapter(Layout)


def read_mapping_file(file: SourceFile) -> SourceInventory:
    """The files that a mapping file names. ValueError or FileNotFoundError in one line: place, value and rule."""
    with explain_read_errors(file.label), file.filesystem.open_input_stream(file.path) as stream:
        layout = _parse_layout(file.label, stream.read())
    folder = file.label.rpartition("/")[0] or "."
    interactions, items, users = (
        _find_table_files(file.label, name, getattr(layout, name), folder)
        for name in ("interactions", "items", "users")
    )
    return SourceInventory(layout, interactions, items, users)


def _parse_layout(shown: str, text: bytes) -> Layout:
    try:
        return _LAYOUT.validate_python(yaml.safe_load(text), strict=False)
    except yaml.YAMLError as error:
        raise ValueError(f"mapping {shown!r} is no YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise ValueError(
            f"mapping {shown!r}: {'; '.join(map(explain_validation_error, error.errors()))}"
        ) from None


def _find_table_files(
    shown: str, name: str, table: TableFiles | None, folder: str
) -> list[SourceFile]:
    if table is None:
        return []
    found: list[SourceFile] = next(
        filter(None, (glob_files(pattern, folder) for pattern in table.files)), []
    )
    if not found:
        raise FileNotFoundError(
            f"mapping {shown!r}: {name}.files is {', '.join(table.files)!r}, and there is no such file: "
            "give patterns relative to the mapping file, or URIs"
        )
    return found
