"""Say in one line what is wrong with a file that DuckDB can't read."""

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb

from dawnlist.components.fetch.source_files import SourceFile

MAX_JSON_OBJECT_BYTES = 64 << 20
_LINES_PER_CHECK = 10_000
_FIND_BAD_LINE = """
    SELECT number, coalesce(json_valid(line), false) FROM (
        SELECT unnest($lines) AS line, unnest(range($first, $first + len($lines))) AS number)
    WHERE trim(line, E' \\t\\r') <> ''
        AND CASE WHEN json_valid(line) THEN json_type(line) <> 'OBJECT' ELSE true END
    ORDER BY number LIMIT 1
"""


def explain_unreadable_file(
    file: SourceFile,
    path: Path,
    error: Exception,
) -> ValueError:
    """Build the error that names the file, the line where it is known, and what is wrong.

    `path` is the local copy of the file, `error` what DuckDB or Arrow raised.
    """
    message = str(error)
    line_match = re.search(r"on Line: (\d+)", message)
    line = int(line_match[1]) if line_match else None
    if "JSON" in message and "record/value" not in message:
        return find_broken_json_line(file, path)
    if "not utf-8" in message or "Invalid unicode" in message:
        return build_encoding_error(file, line)
    location = _format_location(file, line)
    problem = _describe_problem(message)
    return ValueError(f"{location} {problem}: correct the file, nothing of it was taken in")


def _describe_problem(message: str) -> str:
    field_counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if field_counts:
        return f"has {field_counts[2]} fields instead of {field_counts[1]}"
    if "unterminated quote" in message:
        return (
            "has a quote that does not end, or stands inside a value (a mapping file can name the "
            'character before such a quote, escape: "\\\\", or say that no character is a quote, '
            'quote: "")'
        )
    if "state machine" in message:
        return "mixes two kinds of line ends, or has quotes in a way that is no CSV"
    if "Maximum line size" in message:
        return "is longer than 2 MB, perhaps after a quote that does not end"
    record = re.search(r"at byte \d+ in record/value (\d+): ([^.]+)", message)
    if record:
        return f"is no JSON at its value {record[1]} ({record[2]})"
    return f"can't be read: {message.strip().splitlines()[0]}"


def build_encoding_error(file: SourceFile, line: int | None) -> ValueError:
    """Build the error of a file that is not UTF-8."""
    return ValueError(
        f"{_format_location(file, line)} is not UTF-8: set the encoding in a mapping file, "
        "e.g. encoding: latin-1 (docs/SOURCES.md)"
    )


def find_broken_json_line(file: SourceFile, path: Path) -> ValueError:
    """Find the first line that DuckDB takes for no JSON object: it miscounts the lines."""
    with duckdb.connect() as connection:
        for first, lines in _read_line_groups(path):
            try:
                texts = [line.decode() for line in lines]
            except UnicodeDecodeError:
                return build_encoding_error(file, first + _find_undecodable_line(lines))
            parameters = {"lines": texts, "first": first}
            rows = connection.execute(_FIND_BAD_LINE, parameters).fetchall()
            if rows:
                [(number, is_json)] = rows
                return _explain_line(connection, file, number, texts[number - first], is_json)
    return ValueError(
        f"{file.label!r} is no JSON with one object a line, or an object is larger than "
        f"{MAX_JSON_OBJECT_BYTES >> 20} MB"
    )


def _read_line_groups(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of the first line, from 1, and the lines of each group."""
    group: list[bytes] = []
    first = 1
    with path.open("rb") as lines:
        for line in lines:
            group.append(line.rstrip(b"\n"))
            if len(group) == _LINES_PER_CHECK:
                yield first, group
                first += len(group)
                group = []
    if group:
        yield first, group


def _find_undecodable_line(lines: list[bytes]) -> int:
    for index, line in enumerate(lines):
        try:
            line.decode()
        except UnicodeDecodeError:
            return index
    return 0


def _explain_line(
    connection: duckdb.DuckDBPyConnection,
    file: SourceFile,
    number: int,
    line: str,
    is_json: bool,
) -> ValueError:
    location = _format_location(file, number)
    if is_json:
        return ValueError(f"{location} is no JSON object: write one object a line")
    reason = "it can't be parsed"
    try:
        connection.execute("SELECT CAST(? AS JSON)", [line])
    except duckdb.Error as error:
        match = re.search(r"Malformed JSON at byte \d+ of input: (.+?)\.? +Input:", str(error))
        reason = match[1] if match else reason
    return ValueError(
        f"{location} is no JSON ({reason}): correct the file, nothing of it was taken in"
    )


def _format_location(file: SourceFile, line: int | None) -> str:
    if line is None:
        return repr(file.label)
    return f"{file.label!r}, line {line},"
