"""Sources of interactions behind one small interface: databases, and folders and files."""

from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from dawnlist.components.fetch.database import DatabaseSource
from dawnlist.components.fetch.database_readers import RecordBatches
from dawnlist.components.fetch.dialects import DATABASE_SCHEMES, DATABASE_URL_FORMS
from dawnlist.components.fetch.files import FileSource
from dawnlist.components.fetch.source_files import REMOTE_SCHEMES
from dawnlist.settings import SourceSettings
from dawnlist.urls import SOURCE_PASSWORD, mask_passwords, refuse_password


class DataSource(Protocol):
    """What fetch asks of a source. Batches hold the columns as the source gives them, in one schema a read."""

    @property
    def daily(self) -> bool:
        """Whether it gives whole days only, each once it is over."""

    def interactions(self, start: datetime, end: datetime) -> RecordBatches:
        """The rows that arrived in [start, end)."""

    def read_whole_table(self, table: str) -> RecordBatches | None:
        """All rows of `items` or `users`, or None when the source has no such table."""

    def newest(self) -> str | None:
        """The time of the newest row as text for a message, or None when there is no row."""

    def count_arrivals(self, landed: Path, start: datetime, end: datetime) -> dict[str, int]:
        """The rows of a file that `interactions(start, end)` was written to, by the hour that they arrived in.

        Keys as '2026-01-03T02:00:00Z'; a source that knows only days gives a day's rows for its first hour.
        """

    def count_rows_by_day(self, days: list[date]) -> dict[date, int]:
        """The rows that the source holds now for each of the days: UTC, and by what windows are cut on."""


def open_source(url: str, settings: SourceSettings) -> DataSource:
    """The source at `url`: a database, or a folder, file or mapping file, local or on gs:// or s3://.

    ValueError, ConnectionError, FileNotFoundError or another OSError in one line.
    """
    if not url:
        raise ValueError(
            "the source is empty: give a database URL, a folder of files, a file, or a mapping file"
        )
    refuse_password(url, SOURCE_PASSWORD)
    scheme = url.partition("://")[0] if "://" in url else "file"
    if scheme in ("file", *REMOTE_SCHEMES):
        return FileSource.find(url, settings)
    if scheme.partition("+")[0] in DATABASE_SCHEMES:
        return DatabaseSource(url, settings)
    raise ValueError(
        f"source {mask_passwords(url)!r} is of a kind that can't be read: give {DATABASE_URL_FORMS}, "
        "or a folder, file or mapping file, also on gs:// or s3://"
    )
