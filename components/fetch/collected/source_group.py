"""A source with the collector's events beside it."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from dawnlist.components.fetch.collected.collected_events import CollectedEvents
from dawnlist.components.fetch.database import DatabaseSource
from dawnlist.components.fetch.files import FileSource
from dawnlist.components.fetch.read_ahead import RecordBatches


@dataclass(frozen=True)
class SourceGroup:
    """A database or files, and the collector's events. Each of the two has its own landing object."""

    main: DatabaseSource | FileSource
    events: CollectedEvents

    @property
    def gives_whole_days(self) -> bool:
        """Whether the main source gives only whole days."""
        return self.main.gives_whole_days

    def check_columns(self) -> None:
        """Check the columns of the main source."""
        self.main.check_columns()

    def interactions(self, start: datetime, end: datetime) -> RecordBatches:
        """Read the rows of the main source."""
        return self.main.interactions(start, end)

    def read_whole_table(self, table: str) -> RecordBatches | None:
        """Read a table of the main source."""
        return self.main.read_whole_table(table)

    def describe_newest(self) -> str | None:
        """Return the time of the main source's newest row."""
        return self.main.describe_newest()

    def list_passed_over(self, end: datetime) -> list[str]:
        """List the files of the main source that are not read."""
        return self.main.list_passed_over(end)

    def find_local_day(self, moment: datetime) -> date:
        """Return the day of a time as the main source has it."""
        return self.main.find_local_day(moment)

    def count_arrivals(self, landed: Path, start: datetime, end: datetime) -> dict[str, int]:
        """Count the rows of a landed file of the main source."""
        return self.main.count_arrivals(landed, start, end)

    def count_rows_by_day(self, days: list[date]) -> dict[date, int]:
        """Count the rows of both."""
        rows_by_day = Counter(self.main.count_rows_by_day(days))
        rows_by_day.update(self.events.count_rows_by_day(days))
        return dict(rows_by_day)
