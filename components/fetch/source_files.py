"""One file of a source: its name, its day and its first line."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

import pyarrow.fs as pafs

from dawnlist.components.fetch.file_days import find_leading_day
from dawnlist.components.fetch.formats.compression import COMPRESSIONS


@dataclass(frozen=True)
class SourceFile:
    """One file of a source."""

    filesystem: pafs.FileSystem
    path: str
    """The path in `filesystem`."""
    name: str
    """The path below the source's folder, with slashes."""
    label: str
    """The path or URI that messages show."""
    problem: str = ""
    """Why the file can't be read, as the end of a sentence; empty for a file that can be."""
    trailing_day: date | None = None
    """The day that the name ends in; None unless the layout says that names end in a day."""

    @property
    def ending(self) -> str:
        """The last ending that is no compression, in lower case: 'csv' for 'a.CSV.gz'."""
        endings = self.name.rpartition("/")[2].lower().split(".")[1:]
        for ending in reversed(endings):
            if ending not in COMPRESSIONS:
                return ending
        return ""

    @property
    def day(self) -> date | None:
        """The day that the file, or its folder, is named by; None without one.

        Examples are 2026-01-31.csv, event_date=2026-01-31/x.csv and year=2026/month=01/day=31/x.csv.

        Raises:
            ValueError: There is no such day.
        """
        if self.trailing_day is not None:
            return self.trailing_day
        found = find_leading_day(self.name)
        if found is None:
            return None
        written, day = found
        if day is None:
            raise ValueError(f"{self.label!r} is named by a day that is none, {written}: rename it")
        return day


def match_files(files: Sequence[SourceFile], pattern: str) -> list[SourceFile]:
    """Select the files whose names match a pattern of fnmatch, folder by folder."""
    return [file for file in files if _matches_pattern(file.name, pattern)]


def _matches_pattern(name: str, pattern: str) -> bool:
    name_segments, pattern_segments = name.split("/"), pattern.split("/")
    if len(name_segments) != len(pattern_segments):
        return False
    return all(map(fnmatchcase, name_segments, pattern_segments))
