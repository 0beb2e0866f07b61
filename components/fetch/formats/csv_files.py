"""Find out how a CSV file is written, and read it with DuckDB as text."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dawnlist.components.fetch.formats.columns import FileColumns, refuse_many_columns
from dawnlist.components.fetch.formats.file_errors import build_encoding_error
from dawnlist.components.fetch.formats.local_copies import FILE_BLOCK_BYTES
from dawnlist.components.fetch.layouts import TableFiles
from dawnlist.components.fetch.source_files import SourceFile
from dawnlist.rows.sql_dialects import quote_sql_text

DELIMITERS = (",", "\t", ";", "|")
_DELIMITER_LINE = re.compile(r'\ufeff?"?sep=(.)"?', re.IGNORECASE)
"""The first line that Excel understands, such as sep=;"""


@dataclass(frozen=True)
class _CsvForm:
    """How a CSV file is written."""

    delimiter: str
    line_end: str
    skipped_lines: int
    """Lines before the header."""
    header: str
    """The text of the header, or of the first row of a file without one."""


def inspect_csv(file: SourceFile, path: Path, table: TableFiles) -> FileColumns:
    """Find the columns of a CSV file.

    Raises:
        ValueError: It has no header, or too many columns.
    """
    form = _detect_form(file, path, table)
    names = list(table.columns)
    if not names:
        names = _parse_header(file, form, table)
    refuse_many_columns(file.label, names)
    return FileColumns(names, _build_query(path, names, form, table))


def _detect_form(file: SourceFile, path: Path, table: TableFiles) -> _CsvForm:
    """Detect the line ends, a line such as sep=; and the delimiter from the first block."""
    with path.open("rb") as stream:
        block = stream.read(FILE_BLOCK_BYTES)
    has_carriage_returns = b"\r" in block and b"\n" not in block
    line_end = "\r" if has_carriage_returns else "\n"
    lines = block.split(line_end.encode(), 2)
    try:
        first_line = lines[0].decode().rstrip("\r")
    except UnicodeDecodeError:
        raise build_encoding_error(file, 1) from None
    delimiter = table.delimiter
    if not delimiter and file.ending == "tsv":
        delimiter = "\t"
    match = _DELIMITER_LINE.fullmatch(first_line)
    if match is None:
        header = first_line.removeprefix("\ufeff")
        return _CsvForm(delimiter or _choose_delimiter(header), line_end, 0, header)
    try:
        header = b"".join(lines[1:2]).decode().rstrip("\r")
    except UnicodeDecodeError:
        raise build_encoding_error(file, 2) from None
    return _CsvForm(table.delimiter or match[1], line_end, 1, header)


def guess_delimiter(file: SourceFile, path: Path) -> str:
    """Guess the delimiter of a file from its first line."""
    return _detect_form(file, path, TableFiles(())).delimiter


def _choose_delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def _parse_header(file: SourceFile, form: _CsvForm, table: TableFiles) -> list[str]:
    names = []
    if len(form.delimiter) > 1 or not table.quote:
        names = form.header.split(form.delimiter)
    else:
        try:
            names = next(_read_csv_line(form, table), [])
        except csv.Error as error:
            raise ValueError(
                f"{file.label!r} is no CSV: its header can't be read ({error})"
            ) from None
    if not any(names):
        raise ValueError(
            f"{file.label!r} has no header: its first line is blank; "
            "a mapping file can name its columns"
        )
    return names


def _read_csv_line(form: _CsvForm, table: TableFiles) -> Iterator[list[str]]:
    return csv.reader(
        [form.header],
        delimiter=form.delimiter,
        quotechar=table.quote,
        escapechar=table.escape or None,
        doublequote=not table.escape,
    )


def _build_query(path: Path, names: list[str], form: _CsvForm, table: TableFiles) -> str:
    cells = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(names)))
    options = [
        f"columns = {{{cells}}}",
        "auto_detect = false",
        f"delim = {quote_sql_text(form.delimiter)}",
        f"quote = {quote_sql_text(table.quote)}",
        f"escape = {quote_sql_text(table.escape or table.quote)}",
        f"header = {str(not table.columns).lower()}",
        f"skip = {form.skipped_lines}",
        "strict_mode = true",
        "null_padding = false",
    ]
    if form.line_end == "\r":
        options.append(r"new_line = '\r'")
    return f"SELECT * FROM read_csv({quote_sql_text(str(path))}, {', '.join(options)})"
