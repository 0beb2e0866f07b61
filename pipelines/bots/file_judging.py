"""Judge a file of events or a web server's access log by the bot rules, without a lake."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from dawnlist.components.fetch.file_listing import list_source_files
from dawnlist.components.fetch.filesystems import REMOTE_SCHEMES
from dawnlist.components.fetch.formats.local_copies import LocalCopies
from dawnlist.components.fetch.layouts import FORMATS_BY_SUFFIX
from dawnlist.components.fetch.source_files import SourceFile
from dawnlist.components.filter_bots.verdicts import judge_events
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.rows import access_log
from dawnlist.settings import Settings

_ALL_TIME = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
"""The window to read. It includes the times that clean rejects, so that such rows are counted."""


@dataclass(frozen=True)
class JudgedFile:
    """A file's events and the verdicts on them."""

    connection: duckdb.DuckDBPyConnection
    """A database with the tables of dawnlist.components.filter_bots.decision."""
    report: dict[str, Any]
    """The drop report of the bot filter."""
    summary: str
    """A line that counts what became of the file's lines or rows."""


@contextmanager
def judge_file(file: str, settings: Settings, assets: bool) -> Iterator[JudgedFile]:
    """Read and judge a file. A file that is not a table of events is read as an access log.

    Args:
        file: The path or URI of a file, a folder or a mapping file.
        settings: The shop's settings, with the columns of the source and the bot rules.
        assets: Whether to judge a log's requests for styles, scripts, images and fonts too.

    Raises:
        ValueError: The file can't be read.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        summary = _load_events(connection, file, settings, assets)
        report = judge_events(connection, settings)
        yield JudgedFile(connection, report, summary)


def _load_events(
    connection: duckdb.DuckDBPyConnection, file: str, settings: Settings, assets: bool
) -> str:
    """Fill the table `source` from a file, and count its lines or rows in a sentence."""
    log = _find_access_log(file)
    if log is None:
        return _load_table(connection, file, settings)
    return _load_log(connection, log, assets)


def _find_access_log(file: str) -> SourceFile | None:
    """Return the file if it is to be read as an access log, else None."""
    scheme, separator, _ = file.partition("://")
    if separator and scheme not in ("file", *REMOTE_SCHEMES):
        return None
    is_folder, files = list_source_files(file)
    if is_folder or files[0].ending in FORMATS_BY_SUFFIX:
        return None
    is_mapping = file.lower().endswith((".yaml", ".yml"))
    return None if is_mapping else files[0]


def _load_log(connection: duckdb.DuckDBPyConnection, file: SourceFile, assets: bool) -> str:
    """Fill the table `source` from an access log, and count its lines in a sentence."""
    # The local copies are deleted together with this object.
    copies = LocalCopies()
    path = copies.get_local_path(file, encodings=("utf-8", "latin-1"))
    log = access_log.load_access_log(connection, path, file.label, assets)
    summary = f"{log.lines:,} lines: {log.events:,} events"
    if log.assets:
        summary += f", {log.assets:,} of assets left out (--assets judges them too)"
    if log.unreadable:
        summary += f", {log.unreadable:,} can't be read (first: {log.first_unreadable})"
    return summary


def _load_table(connection: duckdb.DuckDBPyConnection, file: str, settings: Settings) -> str:
    """Fill the table `source` from a table of events, and count its rows in a sentence.

    The rows are fetched and cleaned as in the daily run, into a temporary lake.
    """
    from dawnlist.components.clean.cleaning import clean_landed_objects
    from dawnlist.components.fetch.landing import fetch_windows
    from dawnlist.components.fetch.sources import open_source

    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="dawnlist-judge-") as folder:
        lake = Lake.open(folder, "judged")
        source = open_source(file, settings.source)
        landed = fetch_windows(lake, source, [_ALL_TIME], "judge")
        landed["windows"] = [["1995-01-01T00:00:00Z", format_iso(now)]]
        report = clean_landed_objects(lake, landed, settings, now, "judge")
        rows = lake.rows("interactions", report["interactions_version"])
        connection.register("rows", rows)
        connection.execute("CREATE TABLE source AS SELECT * FROM rows")
        connection.unregister("rows")
    return _summarize_cleaning(report)


def _summarize_cleaning(report: dict[str, Any]) -> str:
    summary = f"{report['rows_in']:,} rows: {report['clean']:,} events"
    for name, label in (("duplicates", "duplicates"), ("double_clicks", "double clicks")):
        if report[name]:
            summary += f", {report[name]:,} {label}"
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report["reasons"].items())
    if reasons:
        summary += f", {report['quarantined']:,} rejected ({reasons})"
    return summary
