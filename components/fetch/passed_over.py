"""Name the files of a source that are not read, each with the reason."""

from datetime import date, datetime, timedelta

from dawnlist.components.fetch.layouts import SourceInventory
from dawnlist.components.fetch.local_days import find_midnight
from dawnlist.components.fetch.source_files import SourceFile
from dawnlist.cuts import format_iso

MAX_NAMED_FILES = 5
"""How many files are named for each reason; the number of the others follows."""


def describe_passed_over(
    inventory: SourceInventory, last_day: date, end: datetime, zone: str
) -> list[str]:
    """Describe daily files from `last_day` on and files that can't be read; print the other ones.

    Args:
        inventory: The files of the source.
        last_day: The day of `end` in `zone`; it is not over.
        end: The end of the window.
        zone: The IANA zone of the days.
    """
    sentences = _describe_unfinished_days(inventory.interactions, last_day, end, zone)
    others = []
    for file in inventory.other_files:
        if file.problem:
            sentences.append(f"{file.label!r} was not read: it {file.problem}")
        else:
            others.append(file)
    for file in others[:MAX_NAMED_FILES]:
        print(
            f"{file.label!r} was not read: it is not named as a file of interactions, items or users"
        )
    if len(others) > MAX_NAMED_FILES:
        print(f"{len(others) - MAX_NAMED_FILES:,} more files are of no table and were not read")
    return sentences


def _describe_unfinished_days(
    files: list[SourceFile], last_day: date, end: datetime, zone: str
) -> list[str]:
    unfinished = []
    for file in files:
        if file.day is not None and file.day >= last_day:
            unfinished.append((file.day, file.label))
    if not unfinished:
        return []
    day, label = min(unfinished)
    day_after = find_midnight(day + timedelta(days=1), zone)
    more = ""
    if len(unfinished) > 1:
        more = f", nor {len(unfinished) - 1:,} more after it"
    return [
        f"{label!r} was not read{more}: its day ({zone}) is not over at {format_iso(end)}; use "
        f"an as_of of {format_iso(day_after)} or later, or name the files' zone, source.time_zone"
    ]
