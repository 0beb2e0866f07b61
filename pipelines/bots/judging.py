"""A file of events, or a web server's access log, judged by the bot rules without a lake."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from dawnlist.components.fetch.layouts import FORMATS
from dawnlist.components.fetch.stored import REMOTE, Copies, Stored, listed
from dawnlist.components.filter_bots.verdicts import judge_events
from dawnlist.cuts import iso
from dawnlist.lake.lake import Lake
from dawnlist.rows import access_log
from dawnlist.settings import Settings

_EVER = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
"""What clean refuses for its time is read, too, so that it is counted."""


@dataclass(frozen=True)
class Judged:
    """A file's events and the verdicts on them."""

    connection: duckdb.DuckDBPyConnection
    """With the tables of dawnlist.components.filter_bots.decision."""
    report: dict[str, Any]
    """What a drop report shows."""
    said: str
    """What became of the file's lines or rows."""


@contextmanager
def judged(file: str, settings: Settings, assets: bool) -> Iterator[Judged]:
    """Read and judge a file; whatever is no table of events is taken for an access log. ValueError in one line."""
    log = _log(file)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        said = _load_log(connection, log, assets) if log else _load_table(connection, file, settings)
        yield Judged(connection, judge_events(connection, settings), said)


def _log(file: str) -> Stored | None:
    """The file, if it is to be read as an access log."""
    if "://" in file and file.partition("://")[0] not in ("file", *REMOTE):
        return None
    is_folder, files = listed(file)
    is_table = is_folder or files[0].ending in FORMATS or file.lower().endswith((".yaml", ".yml"))
    return None if is_table else files[0]


def _load_log(connection: duckdb.DuckDBPyConnection, file: Stored, assets: bool) -> str:
    copies = Copies()  # they go with it
    path = copies.of(file, file.compression, ("utf-8", "latin-1"))
    log = access_log.load(connection, path, file.shown, assets)
    said = f"{log.lines:,} lines: {log.events:,} events"
    if log.assets:
        said += f", {log.assets:,} of assets left out (--assets judges them too)"
    return said + (f", {log.unreadable:,} can't be read (first: {log.first_unreadable})" if log.unreadable else "")


def _load_table(connection: duckdb.DuckDBPyConnection, file: str, settings: Settings) -> str:
    """Fill `source` by the daily run's own fetch and clean, in a lake that is thrown away."""
    from dawnlist.components.clean.cleaning import clean
    from dawnlist.components.fetch.landing import fetch_windows
    from dawnlist.components.fetch.sources import open_source

    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="dawnlist-judge-") as folder:
        lake = Lake.open(folder, "judged")
        landed = fetch_windows(lake, open_source(file, settings.source), [_EVER], "judge")
        landed["windows"] = [["1995-01-01T00:00:00Z", iso(now)]]
        report = clean(lake, landed, settings, iso(now), "judge")
        connection.register("rows", lake.rows("interactions", report["interactions_version"]))
        connection.execute("CREATE TABLE source AS SELECT * FROM rows")
        connection.unregister("rows")
    said = f"{report['rows_in']:,} rows: {report['clean']:,} events"
    for name in ("duplicates", "double_clicks"):
        said += f", {report[name]:,} {name.replace('_', ' ')}" if report[name] else ""
    reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in report["reasons"].items())
    return said + (f", {report['quarantined']:,} rejected ({reasons})" if reasons else "")
