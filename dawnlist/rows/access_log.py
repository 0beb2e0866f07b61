"""Read a web server's access log as events, see dawnlist.rows.log_formats for its lines.

A user is an address with a user agent, an item is the path without its query, and every event is a
view.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from dawnlist.rows.log_formats import (
    LOG_TIME_FORMAT,
    MAX_QUOTED_CHARACTERS,
    LogFormat,
    detect_format,
    quote_line,
)
from dawnlist.rows.networks import parse_address, truncate_address

ASSET_PATTERN: Final = (
    r"\.(css|m?js|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|ttf|otf|eot|mp[34]|webm|og[gv])$"
)
"""Paths that a browser fetches for a page. They say nothing about what a user looks at."""
_SNIFFED_LINES = 1000
# the same number as in dawnlist.rows.coercions, whose import would load Ibis
_MAX_AGENT_CHARACTERS = 1024
_MAX_LINE_BYTES = 1 << 24  # servers limit requests to a thousandth of it
_BLOCK_BYTES = 1 << 20

_READ_LINES_SQL = f"""
    SELECT line, {{fields_sql}} AS fields
    FROM read_csv($path, columns = {{{{'line': 'VARCHAR'}}}}, auto_detect = false, header = false,
        delim = '', quote = '', escape = '', strict_mode = false, max_line_size = {_MAX_LINE_BYTES})
    WHERE trim(line) <> ''
"""
_TIME_SQL = f"""
    coalesce(try_strptime(fields.time, '{LOG_TIME_FORMAT}'), try_cast(fields.time AS TIMESTAMPTZ),
        to_timestamp(try_cast(fields.time AS DOUBLE)))
"""
_PARSE_LINES_SQL = f"""
    CREATE TABLE read AS
    SELECT fields.address AS address, {_TIME_SQL} AS event_time,
        fields.request AS request, nullif(nullif(fields.agent, '-'), '') AS agent,
        CASE WHEN event_time IS NULL OR address IS NULL OR request IS NULL THEN line END AS unread
    FROM ({_READ_LINES_SQL})
"""
_NETWORKS_SQL = """
    CREATE OR REPLACE TEMP TABLE networks AS
    SELECT unnest(?::VARCHAR[]) AS address, unnest(?::VARCHAR[]) AS ip
"""
_EVENTS_SQL = f"""
    CREATE TABLE source AS
    SELECT printf('%012d', number) AS event_id, concat_ws(' ', address, agent) AS user_id,
        path AS item_id, 'view' AS event_type, 1.0::FLOAT AS weight, event_time,
        event_time::DATE AS event_date, NULL::VARCHAR AS session_id,
        agent[:{_MAX_AGENT_CHARACTERS}] AS user_agent, ip, ? AS source
    FROM (
        SELECT *, rowid + 1 AS number,
            split_part(coalesce(nullif(split_part(request, ' ', 2), ''), request), '?', 1) AS path
        FROM read WHERE unread IS NULL)
    JOIN networks USING (address) WHERE ? OR NOT regexp_matches(lower(path), ?)
"""
_COUNTS_SQL = "SELECT count(*), count(unread), arg_min(unread, rowid) FROM read"


@dataclass(frozen=True)
class AccessLogSummary:
    """How many lines of a log were read as events, and how many were not."""

    lines: int
    """Lines that are not blank."""
    unreadable: int
    """Lines that can't be read."""
    first_unreadable: str | None
    """Number and text of the first line that can't be read, printable on a terminal."""
    assets: int
    """Lines that were left out because their path is an asset's."""
    events: int
    """Rows of the table `source`."""


def load_access_log(
    connection: duckdb.DuckDBPyConnection, path: Path, label: str, assets: bool = False
) -> AccessLogSummary:
    """Fill the table `source` with a log's events. Its columns are those of INTERACTIONS.

    An event's id is the number of its line among those that are not blank.

    Args:
        connection: The database in which the table is created.
        path: A plain text file in UTF-8.
        label: What messages and the column `source` call the file.
        assets: Whether to keep the paths that match `ASSET_PATTERN`.

    Raises:
        ValueError: The file has NUL bytes in it, or none of its first lines can be read.
    """
    log_format = _detect_format(path, label)
    try:
        _parse_lines(connection, path, log_format)
    except duckdb.Error as error:
        cause = " ".join(str(error).split())[:MAX_QUOTED_CHARACTERS]
        raise ValueError(f"{label!r} can't be read as an access log: {cause}") from None
    connection.execute(_EVENTS_SQL, [label, assets, ASSET_PATTERN])
    lines, unreadable, first_unreadable = connection.execute(_COUNTS_SQL).fetchall()[0]
    [(events,)] = connection.execute("SELECT count(*) FROM source").fetchall()
    connection.execute("DROP TABLE read")
    return AccessLogSummary(
        lines=lines,
        unreadable=unreadable,
        first_unreadable=_locate_line(path, first_unreadable),
        assets=lines - unreadable - events,
        events=events,
    )


def _detect_format(path: Path, label: str) -> LogFormat:
    """Find the format of a log from its first lines."""
    if _has_nul_bytes(path):
        raise ValueError(
            f"{label!r} has NUL bytes in it, as a crash leaves them: "
            "take them out with tr -d '\\000'"
        )
    with path.open(encoding="utf-8", errors="replace") as file:
        head = itertools.islice(file, _SNIFFED_LINES)
        lines = [line for line in head if line.strip()]
    return detect_format(lines, label)


def _has_nul_bytes(path: Path) -> bool:
    """Say whether there is a NUL byte, at which DuckDB would end the line."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            if b"\0" in block:
                return True
    return False


def _parse_lines(connection: duckdb.DuckDBPyConnection, path: Path, log_format: LogFormat) -> None:
    """Create the tables `read` and `networks`.

    `read` has the address, time, request and user agent of each line that is not blank; of a line
    that can't be read it has the text, as `unread`. `networks` has the network of each address.
    """
    statement = _PARSE_LINES_SQL.format(fields_sql=log_format.fields_sql)
    connection.execute(statement, log_format.parameters | {"path": str(path)})
    rows = connection.execute("SELECT DISTINCT address FROM read WHERE unread IS NULL").fetchall()
    addresses = [address for (address,) in rows]
    networks = [find_network(address) for address in addresses]
    connection.execute(_NETWORKS_SQL, [addresses, networks])


def find_network(address: str) -> str | None:
    """Find the /24 (IPv4) or /48 (IPv6) of an address, as clean keeps it; None for a host name."""
    parsed = parse_address(address)
    if parsed is None:
        return None
    return truncate_address(parsed)


def _locate_line(path: Path, line: str | None) -> str | None:
    """Quote a line with its number in the file; without the number if DuckDB split it otherwise."""
    if line is None:
        return None
    with path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for number, text in enumerate(lines, 1):
            if text.rstrip("\r\n") == line:
                return f"line {number}: {quote_line(line)}"
    return quote_line(line)
