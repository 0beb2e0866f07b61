"""Find the day that a file holds, in its name or in the names of its folders."""

import re
from datetime import date

_DAY = r"\d{4}-\d{2}-\d{2}"
_LEADING_DAY = re.compile(r"(?:^|/)(?:\w+=)?(\d{4})-(\d{2})-(\d{2})")
_DATE_FOLDERS = (
    re.compile(r"(?:^|/)year=(\d{4})/month=(\d{1,2})/day=(\d{1,2})/"),
    re.compile(r"(?:^|/)(\d{4})/(\d{2})/(\d{2})/"),
)
"""A folder each for the year, the month and the day: year=2026/month=01/day=05/ or 2026/01/05/."""
_DAY_FOLDER = re.compile(
    rf"(?:\w+=[^/]+/)*(?:\w+=)?{_DAY}/|year=\d{{4}}/month=\d\d?/day=\d\d?/|\d{{4}}/\d\d/\d\d/"
)
_COMPACT_DAY = (
    r"(?P<year>(?:19|20)\d\d)(?P<mark>[-_]?)(?P<month>0[1-9]|1[0-2])(?P=mark)"
    r"(?P<day>0[1-9]|[12]\d|3[01])"
)
_TRAILING_DAY = re.compile(
    rf"(?P<prefix>(?:.*\D)?){_COMPACT_DAY}(?:[-_T]?\d{{2}}(?:\d{{2}}){{0,2}})?"
    r"(?:[-_](?:part[-_]?)?\d{1,12})?"
)
"""A name that ends in a day: 20260105, events_2026-01-05, with an hour and a part after it or not."""
_COMPACT_FOLDER = re.compile(rf"(?P<prefix>(?:\w+=)?){_COMPACT_DAY}")


def find_leading_day(name: str) -> tuple[str, date | None] | None:
    """Find the day that a file or one of its folders is named by.

    Examples are 2026-01-31.csv, event_date=2026-01-31/x.csv, year=2026/month=01/day=31/x.csv and
    2026/01/31/x.csv. Returns the day as it is written and as a date, which is None when there is no
    such day; None when the name has no day.
    """
    for pattern in (_LEADING_DAY, *_DATE_FOLDERS):
        match = pattern.search(name)
        if match:
            return "-".join(match.groups()), _build_date(*match.groups())
    return None


def find_trailing_day(name: str) -> tuple[str, date] | None:
    """Find the day that a file's name ends in, as in events_20260105.csv, or a folder's whole name.

    Returns what stands before the day and the day; None without one.
    """
    *folders, file_name = name.split("/")
    match = _TRAILING_DAY.fullmatch(file_name.partition(".")[0])
    if match is None:
        # In events.20260105.csv, the day is the second part of the name.
        parts = file_name.split(".")[1:]
        candidates = [*parts, *reversed(folders)]
        matches = [_COMPACT_FOLDER.fullmatch(candidate) for candidate in candidates]
        match = next((found for found in matches if found), None)
    if match is None:
        return None
    day = _build_date(match["year"], match["month"], match["day"])
    if day is None:
        return None
    return match["prefix"], day


def begins_with_day_folder(name: str) -> bool:
    """Whether the first folders of a path are named by a day, perhaps below other KEY=VALUE ones."""
    return _DAY_FOLDER.match(name) is not None


def _build_date(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None
