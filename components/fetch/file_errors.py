"""Say in one line what is wrong with a file that DuckDB can't read."""

import json
import re
from pathlib import Path

from dawnlist.components.fetch.source_files import SourceFile


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
    if "JSON" in message:
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
        return "has a quote that does not end, or stands inside a value"
    if "state machine" in message:
        return "mixes two kinds of line ends, or has quotes in a way that is no CSV"
    return f"can't be read: {message.strip().splitlines()[0]}"


def build_encoding_error(file: SourceFile, line: int | None) -> ValueError:
    """Build the error of a file that is not UTF-8."""
    return ValueError(
        f"{_format_location(file, line)} is not UTF-8: set the encoding in a mapping file, "
        "e.g. encoding: latin-1 (docs/SOURCES.md)"
    )


def find_broken_json_line(file: SourceFile, path: Path) -> ValueError:
    """Find the first line that is no JSON object by reading again: DuckDB miscounts the lines."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                if not line.strip() or isinstance(json.loads(line), dict):
                    continue
            except UnicodeDecodeError:
                return build_encoding_error(file, number)
            except json.JSONDecodeError as error:
                return ValueError(
                    f"{_format_location(file, number)} is no JSON ({error.msg}): "
                    "correct the file, nothing of it was taken in"
                )
            return ValueError(
                f"{_format_location(file, number)} is no JSON object: write one object a line"
            )
    return ValueError(f"{file.label!r} is no JSON with one object a line")


def _format_location(file: SourceFile, line: int | None) -> str:
    if line is None:
        return repr(file.label)
    return f"{file.label!r}, line {line},"
