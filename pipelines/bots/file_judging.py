"""A file of events, or a web server's access log, judged by the bot rules without a lake."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from dawnlist.components.fetch.layouts import FORMATS_BY_SUFFIX
from dawnlist.components.fetch.source_files import (
    REMOTE_SCHEMES,
    LocalCopies,
    SourceFile,
    list_source_files,
)
from dawnlist.components.filter_bots.verdicts import judge_events
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.rows import access_log
from dawnlist.settings import Settings

_ALL_TIME = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
"""What clean refuses for its time is read, too, so that it is counted."""


@dataclass(frozen=True)
class JudgedFile:
    """A file's events and the verdicts on them."""

    connection: duckdb.DuckDBPyConnection
    """With the tables of dawnlist.components.filter_bots.decision."""
    report: dict[str, Any]
    """What a drop report shows."""
    summary: str
    """What became of the file's lines or rows."""


@contextmanager
def judge_file(file: str, settings: Settings, assets: bool) -> Iterator[JudgedFile]:
    """Read and judge a file; whatever is no table of events is taken for an access log. ValueError in one line."""
    log = _find_access_log(file)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        said = (
            _load_log(connection, log, assets) if log else _load_table(connection, file, settings)
        )
        yield JudgedFile(connection, judge_events(connection, settings), said)


def _find_access_log(file: str) -> SourceFile | None:
    """The file, if it is to be read as an access log."""
    if "://" in file and file.partition("://")[0] not in ("file", *REMOTE_SCHEMES):
        return None
    is_folder, files = list_source_files(file)
    is_table = (
        is_folder
        or files[0].ending in FORMATS_BY_SUFFIX
        or file.lower().endswith((".yaml", ".yml"))
    )
    return None if is_table else files[0]


def _load_log(connection: duckdb.DuckDBPyConnection, file: SourceFile, assets: bool) -> str:
    copies = LocalCopies()  # they go with it
    path = copies.get_local_path(file, file.compression, ("utf-8", "latin-1"))
    log = access_log.load_access_log(connection, path, file.label, assets)
    said = f"{log.lines:,} lines: {log.events:,} events"
    if log.assets:
        said += f", {log.assets:,} of assets left out (--assets judges them too)"
    return said + (
        f", {log.unreadable:,} can't be read (first: {log.first_unreadable})"
        if log.unreadable
        else ""
    )


def _load_table(connection: duckdb.DuckDBPyConnection, file: str, settings: Settings) -> str:
    """Fill `source` by the daily run's own fetch and clean, in a lake that is thrown away."""
    from dawnlist.components.clean.cleaning import clean_landed_objects
    from dawnlist.components.fetch.landing import fetch_windows
    from dawnlist.components.fetch.sources import open_source

    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="dawnlist-judge-") as folder:
        lake = Lake.open(folder, "judged")
        landed = fetch_windows(lake, open_source(file, settings.source), [_ALL_TIME], "judge")
        landed["windows"] = [["1995-01-01T00:00:00Z", format_iso(now)]]
        report = clean_landed_objects(lake, landed, settings, format_iso(now), "judge")
        connection.register("rows", lake.rows("interactions", report["interactions_version"]))
        connection.execute("CREATE TABLE source AS SELECT * FROM rows")
        connection.unregister("rows")
    said = f"{report['rows_in']:,} rows: {report['clean']:,} events"
    for name in ("duplicates", "double_clicks"):
        said += f", {report[name]:,} {name.replace('_', ' ')}" if report[name] else ""
    reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in report["reasons"].items())
    return said + (f", {report['quarantined']:,} rejected ({reasons})" if reasons else "")
