"""Open a source of interactions, a database or files, behind one small interface."""

from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from dawnlist.components.fetch.collected.collected_events import EVENTS_SOURCE, CollectedEvents
from dawnlist.components.fetch.collected.source_group import SourceGroup
from dawnlist.components.fetch.database import DatabaseSource
from dawnlist.components.fetch.dialects import DATABASE_SCHEMES, DATABASE_URL_FORMS
from dawnlist.components.fetch.files import FileSource
from dawnlist.components.fetch.filesystems import REMOTE_SCHEMES
from dawnlist.components.fetch.read_ahead import RecordBatches
from dawnlist.lake.lake import Lake
from dawnlist.settings import SourceSettings
from dawnlist.urls import SOURCE_PASSWORD, mask_passwords, refuse_password


class DataSource(Protocol):
    """What fetch needs from a source.

    Batches have the columns as the source gives them. All batches of one read have one schema.
    """

    @property
    def gives_whole_days(self) -> bool:
        """Whether the source gives only whole days, each once it is over."""

    def check_columns(self) -> None:
        """Raise ValueError if columns are missing that every event needs, before rows are read."""

    def interactions(self, start: datetime, end: datetime) -> RecordBatches:
        """Read the rows that arrived in [start, end)."""

    def read_whole_table(self, table: str) -> RecordBatches | None:
        """Read all rows of the table `items` or `users`; None when the source has no such table."""

    def describe_newest(self) -> str | None:
        """Return the time of the newest row as text for a message; None when there is no row."""

    def list_passed_over(self, end: datetime) -> list[str]:
        """List the files that are not read for a window that ends at `end`, with the reasons."""

    def find_local_day(self, moment: datetime) -> date:
        """Return the day of a time, in UTC unless the source gives whole days of another zone."""

    def count_arrivals(
        self,
        landed: Path,
        start: datetime,
        end: datetime,
    ) -> dict[str, int]:
        """Count the rows of `landed`, to which `interactions(start, end)` was written, by hour.

        Hours are written as '2026-01-03T02:00:00Z'. A source that knows only days gives the rows of
        a day to its first hour.
        """

    def count_rows_by_day(self, days: list[date]) -> dict[date, int]:
        """Count the rows that the source has now of UTC days, by the time of windows."""


def open_source(url: str, settings: SourceSettings, lake: Lake | None = None) -> DataSource:
    """Open a database, or a folder, file or mapping file on a disk, gs:// or s3://.

    Args:
        url: The source's URL; `events` is what the collector landed in the lake.
        settings: The section `source` of the shop's settings.
        lake: The lake in which the collector lands events; None where they are of no use.

    Raises:
        ValueError: The URL is empty, holds a password, or is of a kind that can't be read.
        ConnectionError, FileNotFoundError, OSError: The source can't be reached or does not exist.
    """
    if not url:
        raise ValueError(
            "the source is empty: give a database URL, a folder of files, a file, or a mapping file"
        )
    if lake is not None and url == EVENTS_SOURCE:
        return CollectedEvents(lake, settings)
    main = open_main_source(url, settings)
    if lake is not None and settings.collected_events:
        return SourceGroup(main, CollectedEvents(lake, settings))
    return main


def open_main_source(url: str, settings: SourceSettings) -> DatabaseSource | FileSource:
    """Open a database or files; raises as `open_source`."""
    refuse_password(url, SOURCE_PASSWORD)
    scheme = url.partition("://")[0] if "://" in url else "file"
    if scheme in ("file", *REMOTE_SCHEMES):
        return FileSource.from_url(url, settings)
    if scheme.partition("+")[0] in DATABASE_SCHEMES:
        return DatabaseSource(url, settings)
    raise ValueError(
        f"source {mask_passwords(url)!r} is of a kind that can't be read: give "
        f"{DATABASE_URL_FORMS}, or a folder, file or mapping file, also on gs:// or s3://"
    )
