"""Read mapping files: YAML documents that say which files a source has and how they are written."""

from pydantic import TypeAdapter, ValidationError

from dawnlist.components.fetch.file_listing import glob_files
from dawnlist.components.fetch.filesystems import explain_read_errors
from dawnlist.components.fetch.layouts import Layout, SourceInventory, TableFiles
from dawnlist.components.fetch.source_files import SourceFile
from dawnlist.settings import explain_validation_errors
from dawnlist.source_columns import INTERACTION_ALIASES, ITEM_ALIASES, USER_ALIASES
from dawnlist.values import describe_value
from dawnlist.yaml_documents import parse_yaml

_LAYOUT = TypeAdapter(Layout)


def read_mapping_file(file: SourceFile) -> SourceInventory:
    """Find the files that a mapping file names.

    Raises:
        ValueError: The mapping is not valid. The message names the key, the value and the rule.
        FileNotFoundError: The mapping file, or a file that it names, does not exist.
    """
    with explain_read_errors(file.label), file.filesystem.open_input_stream(file.path) as stream:
        layout = _parse_layout(file.label, stream.read())
    return SourceInventory(
        layout,
        _find_table_files(file.label, "interactions", layout.interactions),
        _find_table_files(file.label, "items", layout.items),
        _find_table_files(file.label, "users", layout.users),
    )


def _parse_layout(label: str, text: bytes) -> Layout:
    try:
        document = parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"mapping {label!r} is no YAML: {error}") from None
    try:
        layout = _LAYOUT.validate_python(document, strict=False)
    except ValidationError as error:
        problems = explain_validation_errors(error)
        raise ValueError(f"mapping {label!r}: {problems}") from None
    known = {*INTERACTION_ALIASES, *ITEM_ALIASES, *USER_ALIASES}
    for name in layout.columns:
        if name not in known:
            raise ValueError(
                f"mapping {label!r}: columns maps {describe_value(name)}, which is no column that "
                f"we read: use one of {', '.join(INTERACTION_ALIASES)}, or for items one of "
                f"{', '.join(ITEM_ALIASES)}"
            )
    return layout


def _find_table_files(
    label: str,
    name: str,
    table: TableFiles | None,
) -> list[SourceFile]:
    """Find the files of a table by the first of its patterns that matches any."""
    if table is None:
        return []
    folder = label.rpartition("/")[0] or "."
    for pattern in table.files:
        files = glob_files(pattern, folder)
        if files:
            return files
    raise FileNotFoundError(
        f"mapping {label!r}: {name}.files is {', '.join(table.files)!r}, "
        "and there is no such file: give patterns relative to the mapping file, or URIs"
    )
