r"""Rewrite text without quotes, in which a character escapes others, as CSV with quotes.

MySQL's OUTFILE, PostgreSQL's COPY and Redshift's UNLOAD write such text: a tab in a value is \t or a
backslash and a tab, and \N is NULL. DuckDB reads it only if it may ignore surplus fields.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from dawnlist.components.fetch.source_files import SourceFile

_CONTROL_LETTERS = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": ""}
_NULL_LETTER = "N"


def rewrite_escaped_text(
    file: SourceFile, path: Path, copy: Path, delimiter: str, escape: str
) -> None:
    """Write `copy` with commas and double quotes; `path` is UTF-8.

    Raises:
        ValueError: A record has another number of fields than the first, or the text is not UTF-8.
    """
    token = re.compile(
        rf"{re.escape(escape)}(?P<escaped>.)|(?P<delimiter>{re.escape(delimiter)})|(?P<plain>.)",
        re.DOTALL,
    )
    expected = None
    with path.open(encoding="utf-8-sig", newline="\n") as lines, copy.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        for number, record in _join_lines(lines, escape):
            fields = _split_record(record, token, delimiter, escape)
            expected = expected or len(fields)
            if len(fields) != expected:
                raise ValueError(
                    f"{file.label!r}, line {number}, has {len(fields)} fields instead of "
                    f"{expected}: correct the file, nothing of it was taken in"
                )
            writer.writerow(fields)


def _join_lines(lines: Iterator[str], escape: str) -> Iterator[tuple[int, str]]:
    """Yield each record with the number of its first line; an escaped line end is inside one."""
    first, record = 1, ""
    for number, line in enumerate(lines, 1):
        record += line
        body = line.removesuffix("\n")
        escapes = len(body) - len(body.rstrip(escape))
        if line.endswith("\n") and escapes % 2:
            continue
        text = record.removesuffix("\n").removesuffix("\r")
        if text:
            yield first, text
        first, record = number + 1, ""
    if record:
        yield first, record


def _split_record(record: str, token: re.Pattern[str], delimiter: str, escape: str) -> list[str]:
    if escape not in record:
        return record.split(delimiter)
    fields, field = [], ""
    is_null = False
    for match in token.finditer(record):
        if match["delimiter"]:
            fields.append("" if is_null and field == _NULL_LETTER else field)
            field, is_null = "", False
        elif match["escaped"]:
            is_null = not field and match["escaped"] == _NULL_LETTER
            field += _CONTROL_LETTERS.get(match["escaped"], match["escaped"])
        else:
            field += match["plain"]
    fields.append("" if is_null and field == _NULL_LETTER else field)
    return fields
