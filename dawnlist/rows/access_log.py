"""A web server's access log, in the combined format of Apache and nginx, as events.

A user is an address with an agent, an item the path without its query, every event a view. The common format, which
names no agents, is read too, and so are lines that begin with the host (vhost_combined) or go on after the agent.
"""

import itertools
import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

import duckdb

from dawnlist.settings import NETWORK_BITS
from dawnlist.urls import replace_unprintable

_QUOTED_FIELD, _SKIPPED_FIELD = r'"([^"\\]*(?:\\.[^"\\]*)*)"', r'"[^"\\]*(?:\\.[^"\\]*)*"'
_LINE_PATTERN: Final = rf"(\S+) [^\[]*\[([^\]]+)\] {_QUOTED_FIELD} \d{{3}} (?:\d+|-)(?: {_SKIPPED_FIELD} {_QUOTED_FIELD})?"
"""With four groups, and never two ways to go on: then RE2 needs one pass, which is five times as fast."""
_TIME_FORMAT: Final = "%d/%b/%Y:%H:%M:%S %z"
ASSET_PATTERN: Final = (
    r"\.(css|m?js|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|ttf|otf|eot|mp[34]|webm|og[gv])$"
)
"""Paths that a browser fetches for a page: they say nothing of what a user looks at, and come in bursts."""
_SNIFFED_LINES, _MAX_MESSAGE_CHARACTERS = 1000, 200
_MAX_LINE_BYTES = 1 << 24
"""Bytes of a line; servers limit requests to a thousandth of it."""


@dataclass(frozen=True)
class AccessLogSummary:
    """What a log came to."""

    lines: int
    """That are not blank."""
    unreadable: int
    first_unreadable: str | None
    """Its place and its text, fit for a terminal."""
    assets: int
    """Lines that were left out as ASSETS."""
    events: int


def load_access_log(
    connection: duckdb.DuckDBPyConnection, path: Path, shown: str, assets: bool = False
) -> AccessLogSummary:
    """Fill the table `source`, with the columns of INTERACTIONS, from a log; ids of events count the lines.

    Without `assets` what lies at ASSETS is left out. `path` is a plain UTF-8 file that messages call `shown`.
    ValueError when none of the first lines can be read.
    """
    pattern = _detect_pattern(path, shown)
    try:
        _parse_lines(connection, path, pattern)
    except duckdb.Error as error:
        said = " ".join(str(error).split())[:_MAX_MESSAGE_CHARACTERS]
        raise ValueError(f"{shown!r} can't be read as an access log: {said}") from None
    connection.execute(_EVENTS_SQL, [shown, assets, ASSET_PATTERN])
    lines, unreadable, first = connection.execute(_COUNTS_SQL).fetchall()[0]
    [(events,)] = connection.execute("SELECT count(*) FROM source").fetchall()
    connection.execute("DROP TABLE read")
    return AccessLogSummary(
        lines, unreadable, _locate_line(path, first), lines - unreadable - events, events
    )


def _detect_pattern(path: Path, shown: str) -> str:
    """The pattern that the lines of a log are read by."""
    with path.open("rb") as blocks:
        if any(
            b"\0" in block for block in iter(lambda: blocks.read(1 << 20), b"")
        ):  # DuckDB would end the line there
            raise ValueError(
                f"{shown!r} has NUL bytes in it, as a crash leaves them: take them out with tr -d '\\000'"
            )
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = [line for line in itertools.islice(file, _SNIFFED_LINES) if line.strip()]
    pattern = next((found for line in lines if (found := _match_pattern(line))), None)
    if pattern is None:
        raise ValueError(
            f"{shown!r} is no access log in the combined format (its first line: {_quote_line(lines[0] if lines else '')}); "
            "name a table of events .csv, .tsv, .jsonl or .parquet"
        )
    return pattern


def _match_pattern(line: str) -> str | None:
    """The pattern that the lines of this line's log are read by, or None when it can't be read."""
    found = re.match(_LINE_PATTERN, line)
    if found is None:
        return None
    return (
        rf"^\S+ {_LINE_PATTERN}"
        if ":" in found[1] and not _is_address(found[1])
        else f"^{_LINE_PATTERN}"
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _parse_lines(connection: duckdb.DuckDBPyConnection, path: Path, pattern: str) -> None:
    """The table `read`: address, time, request and agent of each line that is not blank, or the line as `unread`."""
    connection.execute(
        f"""
        CREATE TABLE read AS
        SELECT said.address AS address, try_strptime(said.time, '{_TIME_FORMAT}') AS event_time, said.request AS request,
            nullif(nullif(said.agent, '-'), '') AS agent, CASE WHEN event_time IS NULL THEN line END AS unread
        FROM (
            SELECT line, regexp_extract(line, $pattern, ['address', 'time', 'request', 'agent']) AS said
            FROM read_csv($path, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false, delim = '',
                quote = '', escape = '', strict_mode = false, max_line_size = {_MAX_LINE_BYTES}) WHERE trim(line) <> '')
        """,
        {"pattern": pattern, "path": str(path)},
    )
    distinct = [
        address for (address,) in connection.execute("SELECT DISTINCT address FROM read").fetchall()
    ]
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE networks AS SELECT unnest(?::VARCHAR[]) AS address, unnest(?::VARCHAR[]) AS ip",
        [distinct, [find_network(address) for address in distinct]],
    )


def find_network(address: str) -> str | None:
    """The /24 or /48 that an address lies in, as clean keeps it; None for a host's name."""
    try:
        place = ip_address(address)
    except ValueError:
        return None
    place = getattr(place, "ipv4_mapped", None) or place
    return str(ip_network((place, NETWORK_BITS[place.version]), strict=False))


_EVENTS_SQL = """
    CREATE TABLE source AS
    SELECT printf('%012d', number) AS event_id, concat_ws(' ', address, agent) AS user_id, path AS item_id,
        'view' AS event_type, 1.0::FLOAT AS weight, event_time, event_time::DATE AS event_date,
        NULL::VARCHAR AS session_id, agent[:1024] AS user_agent, ip, ? AS source
    FROM (
        SELECT *, rowid + 1 AS number,
            split_part(coalesce(nullif(split_part(request, ' ', 2), ''), request), '?', 1) AS path
        FROM read WHERE unread IS NULL)
    JOIN networks USING (address) WHERE ? OR NOT regexp_matches(lower(path), ?)
"""
_COUNTS_SQL = "SELECT count(*), count(unread), arg_min(unread, rowid) FROM read"


def _locate_line(path: Path, line: str | None) -> str | None:
    if line is None:
        return None
    with path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        place = next(
            (number for number, one in enumerate(lines, 1) if one.rstrip("\r\n") == line), None
        )
    return _quote_line(line) if place is None else f"line {place}: {_quote_line(line)}"


def _quote_line(line: str) -> str:
    text = replace_unprintable(line.strip())
    return repr(
        text if len(text) <= _MAX_MESSAGE_CHARACTERS else f"{text[: _MAX_MESSAGE_CHARACTERS - 1]}…"
    )
