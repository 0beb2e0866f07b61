"""Find out how the lines of a web server's access log are written, from its first lines.

A line is in the common or combined format of Apache and nginx, with a virtual host in front or
without, and with other fields between the size and the user agent or after it; or it is an object
of JSON, as nginx, Caddy and Traefik write them.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from dawnlist.urls import replace_unprintable

LOG_TIME_FORMAT: Final = "%d/%b/%Y:%H:%M:%S %z"
MAX_QUOTED_CHARACTERS: Final = 200
_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_CAPTURED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
_LINE_START: Final = rf"(\S+) [^\[]*\[([^\]]+)\] {_CAPTURED} \d{{3}} (?:\d+|-)"
"""The groups are address, time and request. At each character there is only one way to go on: RE2
then needs one pass, which is five times as fast."""
_FIELD: Final = re.compile(rf" ({_QUOTED}|\S+)")
_COMBINED_COLUMN: Final = 1
"""The user agent is the second field after the size, unless another one looks more like it."""
_BROWSER_START: Final = '"Mozilla/'

JSON_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "address": (
        "$.remote_addr",
        "$.remote_ip",
        "$.client_ip",
        "$.clientip",
        "$.client",
        "$.ip",
        "$.ClientHost",
        "$.request.client_ip",
        "$.request.remote_ip",
    ),
    "time": (
        "$.time_iso8601",
        "$.time_local",
        "$.time",
        "$.timestamp",
        '$."@timestamp"',
        "$.ts",
        "$.msec",
        "$.StartUTC",
    ),
    "request": (
        "$.request_uri",
        "$.uri",
        "$.path",
        "$.url",
        "$.RequestPath",
        "$.request.uri",
        "$.request",
    ),
    "agent": (
        "$.http_user_agent",
        "$.user_agent",
        "$.userAgent",
        "$.agent",
        '$."request_User-Agent"',
        '$.request.headers."User-Agent"[0]',
    ),
}
"""Paths within a line of JSON at which servers write a value. The first one that occurs counts."""
_TEXT_FIELDS_SQL: Final = "regexp_extract(line, $pattern, ['address', 'time', 'request', 'agent'])"
_JSON_FIELDS_SQL: Final = """
    CASE WHEN json_valid(line) THEN struct_pack(
        address := json_extract_string(line, $address), time := json_extract_string(line, $time),
        request := json_extract_string(line, $request), agent := json_extract_string(line, $agent))
    END
"""


@dataclass(frozen=True)
class LogFormat:
    """How DuckDB reads the fields of a log's lines."""

    fields_sql: str
    """Makes a struct of address, time, request and agent of the text `line`."""
    parameters: dict[str, str]
    """The parameters of `fields_sql`."""


def detect_format(lines: Sequence[str], label: str) -> LogFormat:
    """Find the format of a log from its first lines, blank ones left out.

    Raises:
        ValueError: No line can be read, or their user agents can't be found.
    """
    if lines and lines[0].lstrip().startswith("{"):
        return _detect_json_format(lines, label)
    for line in lines:
        if re.match(_LINE_START, line):
            return _detect_text_format(lines, line, label)
    first_line = lines[0] if lines else ""
    raise ValueError(
        f"{label!r} is no access log in the combined format "
        f"(its first line: {quote_line(first_line)}); "
        "name a table of events .csv, .tsv, .jsonl or .parquet"
    )


def quote_line(line: str) -> str:
    """Quote a line for a message: printable, and cut to MAX_QUOTED_CHARACTERS."""
    text = replace_unprintable(line.strip())
    if len(text) > MAX_QUOTED_CHARACTERS:
        text = f"{text[: MAX_QUOTED_CHARACTERS - 1]}…"
    return repr(text)


def _detect_text_format(lines: Sequence[str], first_line: str, label: str) -> LogFormat:
    """Find the pattern for lines such as `first_line`, the first one that can be read."""
    line_start = _LINE_START
    if _begins_with_host(first_line):
        line_start = rf"\S+ {_LINE_START}"
    tails = []
    for line in lines:
        match = re.match(line_start, line)
        if match:
            tails.append((line, _FIELD.findall(line[match.end() :].rstrip())))
    pattern = f"^{line_start}(?:{_build_tail_pattern(tails, label)}|$)"
    return LogFormat(_TEXT_FIELDS_SQL, {"pattern": pattern})


def _begins_with_host(line: str) -> bool:
    """Say whether the name of a virtual host, with a port or without, stands before the address."""
    first_word, second_word = line.split()[:2]
    if _is_address(first_word):
        return False
    return _is_address(second_word) or (":" in first_word and second_word != "-")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _build_tail_pattern(tails: Sequence[tuple[str, list[str]]], label: str) -> str:
    """Build the pattern of what follows the size, up to the user agent, which is a group.

    The agent is in the column in which most lines have a browser's; without any, where the
    combined format has it. Lines that end with the size have no user agent.
    """
    long_tails = [(line, fields) for line, fields in tails if fields]
    if not long_tails:
        return f" {_QUOTED} {_CAPTURED}"
    browser_columns: Counter[int] = Counter()
    for _, fields in long_tails:
        browser_columns.update(_find_columns(fields, _BROWSER_START))
    if browser_columns:
        agent_column = min(browser_columns, key=lambda column: (-browser_columns[column], column))
        examples = [
            fields
            for _, fields in long_tails
            if agent_column in _find_columns(fields, _BROWSER_START)
        ]
    else:
        agent_column = _COMBINED_COLUMN
        examples = [fields for _, fields in long_tails if _find_columns(fields, '"')[:2] == [0, 1]]
    if not examples:
        raise ValueError(
            f"no user agent is seen in {label!r}: expected it in quotes behind the referer, as in "
            f"the combined format, but a line is {quote_line(long_tails[0][0])}; write the log in "
            "the combined format, or name a table of events .csv, .tsv, .jsonl or .parquet"
        )
    pattern = ""
    for field in examples[0][:agent_column]:
        pattern += f" {_QUOTED}" if field.startswith('"') else r' [^\s"]+'
    return f"{pattern} {_CAPTURED}"


def _find_columns(fields: Sequence[str], start: str) -> list[int]:
    """Return the numbers of the fields that begin with a text."""
    return [column for column, field in enumerate(fields) if field.startswith(start)]


def _detect_json_format(lines: Sequence[str], label: str) -> LogFormat:
    """Choose for each field the path at which the first lines have a value."""
    objects = [_parse_object(line) for line in lines]
    parameters = {}
    for field, paths in JSON_KEYS.items():
        found_paths = [path for path in paths if any(_has_value(item, path) for item in objects)]
        if not found_paths:
            names = ", ".join(path.removeprefix("$.") for path in paths)
            raise ValueError(
                f"{label!r} holds lines of JSON without the {field} of a request: expected one of "
                f"{names}, but the first line is {quote_line(lines[0])}; "
                "name a table of events .csv, .tsv, .jsonl or .parquet"
            )
        parameters[field] = found_paths[0]
    return LogFormat(_JSON_FIELDS_SQL, parameters)


def _parse_object(line: str) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _has_value(item: dict[str, Any], path: str) -> bool:
    """Say whether there is a text or a number at a path such as $.request.uri."""
    value: Any = item
    for key in path.removeprefix("$.").removesuffix("[0]").split("."):
        if not isinstance(value, dict):
            return False
        value = value.get(key.strip('"'))
    if isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, str | int | float)
