"""Layouts of files: which files hold interactions, items and users, and how they are written."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from dawnlist.components.fetch.source_files import SourceFile, match_files
from dawnlist.settings import SourceSettings
from dawnlist.settings.section import wrap_single_value

FileFormat = Literal["csv", "jsonl", "parquet"]

FORMATS_BY_SUFFIX: dict[str, FileFormat] = {
    "csv": "csv",
    "tsv": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
}
"""The ending of a file's name -> its format."""
_DAY_GLOB = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_DATE_FOLDER_GLOBS = ("year=*/month=*/day=*", "[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]")
_DAY_FOLDER_GLOBS = (
    f"*={_DAY_GLOB}",
    _DAY_GLOB,
    *_DATE_FOLDER_GLOBS,
    f"*=*/*={_DAY_GLOB}",
    f"*=*/*=*/*={_DAY_GLOB}",
)
"""Folders of one day. Below them there may be folders of hours and of other parts."""
_LEVELS_BELOW_A_DAY = ("*", "*/*", "*/*/*")


def _wrap_in_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _normalise_encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(
            "no encoding that Python knows, such as utf-8, latin-1 or cp1252"
        ) from None


FilePatterns = Annotated[tuple[str, ...], BeforeValidator(_wrap_in_tuple)]
"""One pattern or several."""
EncodingName = Annotated[str, AfterValidator(_normalise_encoding)]
Encodings = Annotated[tuple[EncodingName, ...], BeforeValidator(_wrap_in_tuple)]
"""One encoding or several."""


@dataclass(frozen=True)
class TableFiles:
    """The files of the interactions, the items or the users, and how they are written.

    The fields are the keys of a mapping file.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    files: FilePatterns
    """Patterns such as clicks/*.csv.gz, relative to the source's folder, or URIs.

    The first pattern that matches any file counts.
    """
    format: FileFormat | None = None
    """The format of the files; None: as the ending of their names tells."""
    delimiter: Annotated[str, Field(max_length=4)] = ""
    """The delimiter of CSV; empty: the one of , ; | and tab that the header has most often."""
    quote: Annotated[str, Field(max_length=1)] = '"'
    """The quote character of CSV; empty: no character is a quote."""
    escape: Annotated[str, Field(max_length=1)] = ""
    """The character before a quote inside a value of CSV; empty: such a quote is doubled.

    Without a quote character, it stands before a delimiter, a line end or a letter, as MySQL's
    OUTFILE and PostgreSQL's COPY write them.
    """
    columns: tuple[str, ...] = ()
    """The names of the columns of a CSV file that has no header."""
    encoding: Encodings = ("utf-8",)
    """Encodings to try; the first that fits the whole file counts."""
    compression: Literal["gz", "zst", "none"] | None = None
    """The compression of the files; None: as their first bytes tell."""
    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """New columns that list the names of the columns that hold 1.

    {genres: [Action, Comedy]} gives Action|Comedy for a row that has 1 in both columns.
    """

    def select_files(self, files: Sequence[SourceFile]) -> list[SourceFile]:
        """Select the readable files of this table by the first pattern that matches any."""
        readable_files = []
        for file in files:
            if self.format or file.ending in FORMATS_BY_SUFFIX:
                readable_files.append(file)
        for pattern in self.files:
            matching_files = match_files(readable_files, pattern)
            if matching_files:
                return matching_files
        return []


@dataclass(frozen=True)
class Layout:
    """The files of a source, and the meaning of its names.

    The fields are the keys of a mapping file.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    interactions: TableFiles
    items: TableFiles | None = None
    users: TableFiles | None = None
    columns: Annotated[
        dict[str, list[str]], BeforeValidator(partial(wrap_single_value, dict[str, list[str]]))
    ] = field(default_factory=dict)
    """Canonical column -> the source's names, as in the settings.

    What the settings say about this and the next three goes before.
    """
    events: dict[str, str] = field(default_factory=dict)
    """The source's event names -> canonical ones."""
    default_event: str = ""
    """The event type of all rows of a source without an event column."""
    rating_scale: Annotated[float, Field(gt=0)] | None = None
    """The highest rating."""

    def build_hints(self) -> dict[str, Any]:
        """Build what clean must know about the source; see SourceSettings.fill_from_hints.

        It is written to the metadata of the landing objects.
        """
        return {
            "columns": self.columns,
            "events": self.events,
            "default_event": self.default_event,
            "rating_scale": self.rating_scale,
        }


@dataclass(frozen=True)
class SourceInventory:
    """The files of a source, by what they hold."""

    layout: Layout
    interactions: list[SourceFile]
    items: list[SourceFile]
    users: list[SourceFile]
    other_files: list[SourceFile] = field(default_factory=list)
    """Files that could be read and hold none of these."""

    @classmethod
    def from_files(cls, layout: Layout, files: Sequence[SourceFile]) -> "SourceInventory":
        """Sort the files of a folder. A file of items or users holds no interactions."""
        items = _select_table_files(layout.items, files)
        users = _select_table_files(layout.users, files)
        other_files = [file for file in files if file not in items and file not in users]
        interactions = layout.interactions.select_files(other_files)
        used = {file.name for file in (*items, *users, *interactions)}
        unused_files = []
        for file in files:
            if file.ending in FORMATS_BY_SUFFIX and file.name not in used:
                unused_files.append(file)
        return cls(layout, interactions, items, users, unused_files)


def _select_table_files(table: TableFiles | None, files: Sequence[SourceFile]) -> list[SourceFile]:
    return table.select_files(files) if table else []


def build_usual_layout(settings: SourceSettings) -> Layout:
    """Build the layout of a source without a mapping file.

    The interactions are files named by day, or one file, or a folder of files. Next to them may lie
    the files of items and users.
    """
    name = settings.interactions
    day_patterns = [f"{_DAY_GLOB}*"]
    for folder in _DAY_FOLDER_GLOBS:
        day_patterns.extend(f"{folder}/{level}" for level in _LEVELS_BELOW_A_DAY)
    nested_day_patterns = tuple(f"{name}/{pattern}" for pattern in day_patterns)
    patterns = (*nested_day_patterns, *day_patterns, *_build_table_patterns(name))
    items = TableFiles(_build_table_patterns(settings.items))
    users = TableFiles(_build_table_patterns(settings.users))
    return Layout(TableFiles(patterns), items, users)


def _build_table_patterns(name: str) -> tuple[str, ...]:
    """One file with any ending, or without one, or a folder of files."""
    return f"{name}.*", name, f"{name}/*"
