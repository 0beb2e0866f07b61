"""The columns of one file, and how many there may be."""

from collections.abc import Sequence
from dataclasses import dataclass

from dawnlist.rows.sql_dialects import quote_sql_text

MAX_COLUMNS = 1000
"""The most columns of a file. Each takes memory for its values of a batch, also where it is empty."""


@dataclass(frozen=True)
class FileColumns:
    """The columns of a file and the query that selects them."""

    names: list[str]
    """The source's names of c0, c1, ..."""
    select: str
    """A SQL query for c0, c1, ..."""


def refuse_many_columns(label: str, names: Sequence[str]) -> None:
    """Refuse more than MAX_COLUMNS columns.

    Raises:
        ValueError: There are more, as when keys hold values.
    """
    if len(names) <= MAX_COLUMNS:
        return
    raise ValueError(
        f"{label!r} has more than {MAX_COLUMNS:,} columns, such as {names[-1]!r}: "
        "give the columns that are needed; keys that differ from row to row belong into one "
        "nested object"
    )


def quote_json_pointer(path: Sequence[str]) -> str:
    """Quote the JSON pointer (RFC 6901) to a value inside nested objects as a SQL literal."""
    escaped_keys = [key.replace("~", "~0").replace("/", "~1") for key in path]
    return quote_sql_text("".join(f"/{key}" for key in escaped_keys))
