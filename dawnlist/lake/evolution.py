"""Add columns to tables: those that a newer version of the code writes and the table lacks.

The columns are added in a commit of their own. Only columns that may be NULL are added, since the
rows that exist have no value for them. Any other difference between table and code is an error:
writers never merge schemas, so no write changes a table's schema by accident.
"""

from typing import TYPE_CHECKING

import pyarrow as pa

from dawnlist.lake.commits import commit_to_existing_table
from dawnlist.lake.lake import Lake

if TYPE_CHECKING:
    from deltalake import DeltaTable, Field

_REWRITE_ADVICE = (
    "a column that is there never changes; use the version of dawnlist that wrote it, "
    "or fill a new namespace"
)


def add_missing_columns(lake: Lake, name: str, schema: pa.Schema) -> list[str]:
    """Add the columns of `schema` that the table lacks. Nothing happens without a table.

    New columns come last, whatever their position in `schema`; an append finds columns by name.

    Returns the names of the added columns.

    Raises:
        ValueError: The table differs from `schema` in another way. The table is left as it is.
    """

    def attempt(table: "DeltaTable") -> list[str]:
        missing = _find_missing_fields(name, table, schema)
        if missing:
            table.alter.add_columns(missing)
        return [field.name for field in missing]

    return commit_to_existing_table(lake, name, attempt) or []


def _find_missing_fields(name: str, table: "DeltaTable", schema: pa.Schema) -> list["Field"]:
    """List the fields to add.

    Types are compared as Delta has them: Arrow has three string types where Delta has one.
    """
    from deltalake import Schema

    table_fields = {field.name: field for field in table.schema().fields}
    schema_fields = {field.name: field for field in Schema.from_arrow(schema).fields}
    _check_known_columns(name, table_fields, schema_fields)
    _check_equal_types(name, table_fields, schema_fields)
    missing = [field for column, field in schema_fields.items() if column not in table_fields]
    required = [field.name for field in missing if not field.nullable]
    if required:
        raise ValueError(
            f"the table {name} lacks {_format_columns(required)}, "
            f"which can't be NULL in its rows: {_REWRITE_ADVICE}"
        )
    return missing


def _check_known_columns(
    name: str, table_fields: dict[str, "Field"], schema_fields: dict[str, "Field"]
) -> None:
    unknown = [column for column in table_fields if column not in schema_fields]
    if unknown:
        raise ValueError(
            f"the table {name} has {_format_columns(unknown)}, which this version of dawnlist "
            "does not know: a newer one wrote it; use that version or a newer one, or restore "
            "the table to before it"
        )


def _check_equal_types(
    name: str, table_fields: dict[str, "Field"], schema_fields: dict[str, "Field"]
) -> None:
    differences = []
    for column, field in table_fields.items():
        table_type = _format_field_type(field)
        schema_type = _format_field_type(schema_fields[column])
        if table_type != schema_type:
            differences.append(f"{column} is {table_type}, not {schema_type}")
    if differences:
        raise ValueError(f"in the table {name} {'; '.join(differences)}: {_REWRITE_ADVICE}")


def _format_field_type(field: "Field") -> str:
    type_name = getattr(field.type, "type", None)
    if not isinstance(type_name, str) or type_name == "array":
        type_name = field.type.to_json()
    return type_name if field.nullable else f"{type_name} not null"


def _format_columns(columns: list[str]) -> str:
    noun = "columns" if len(columns) > 1 else "column"
    return f"the {noun} {', '.join(columns)}"
