"""Schema evolution: a table gets the columns that a newer version of the code added, in a commit of their own.

Only columns that may be NULL are added, as rows that are there already have no value for them. Everything else that
differs is an error, so that no write changes a table's schema by the way: writers never merge schemas.
"""

from typing import TYPE_CHECKING

import pyarrow as pa

from dawnlist.lake.commits import commit_to_existing_table
from dawnlist.lake.lake import Lake

if TYPE_CHECKING:
    from deltalake import DeltaTable, Field


def add_missing_columns(lake: Lake, name: str, schema: pa.Schema) -> list[str]:
    """Add the columns of `schema` that the table lacks and that may be NULL; their names, empty without a table.

    They come last, whatever their place in `schema`; an append finds its columns by name. ValueError in one line when
    anything else differs; the table is left as it is then.
    """

    def attempt(table: "DeltaTable") -> list[str]:
        new = _find_missing_fields(name, table, schema)
        if new:
            table.alter.add_columns(new)
        return [field.name for field in new]

    return commit_to_existing_table(lake, name, attempt) or []


def _find_missing_fields(name: str, table: "DeltaTable", schema: pa.Schema) -> list["Field"]:
    """What is to be added. Types are compared as Delta has them: Arrow has three kinds of string, Delta one."""
    from deltalake import Schema

    there = {field.name: field for field in table.schema().fields}
    wanted = {field.name: field for field in Schema.from_arrow(schema).fields}
    if unknown := [column for column in there if column not in wanted]:
        raise ValueError(
            f"the table {name} has {_format_columns(unknown)}, which this version of dawnlist does not know: a newer one wrote "
            "it; use that version or a newer one, or restore the table to before it"
        )
    differing = [
        column
        for column in there
        if _format_field_type(there[column]) != _format_field_type(wanted[column])
    ]
    if differing:
        said = "; ".join(
            f"{column} is {_format_field_type(there[column])}, not {_format_field_type(wanted[column])}"
            for column in differing
        )
        raise ValueError(f"in the table {name} {said}: {_REWRITE_ADVICE}")
    new = [field for column, field in wanted.items() if column not in there]
    if required := [field.name for field in new if not field.nullable]:
        raise ValueError(
            f"the table {name} lacks {_format_columns(required)}, which can't be NULL in its rows: {_REWRITE_ADVICE}"
        )
    return new


_REWRITE_ADVICE = "a column that is there never changes; use the version of dawnlist that wrote it, or fill a new namespace"


def _format_field_type(field: "Field") -> str:
    kind = getattr(field.type, "type", None)
    shown = kind if isinstance(kind, str) and kind != "array" else field.type.to_json()
    return f"{shown}{'' if field.nullable else ' not null'}"


def _format_columns(columns: list[str]) -> str:
    return f"the column{'s' if len(columns) > 1 else ''} {', '.join(columns)}"
