"""Which objects of a lake are kept, and why: the rules of `dawnlist.upkeep.expiry`."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from dawnlist.lake.objects import StoredObject

RetentionRule = Callable[[str, list[StoredObject]], str]
"""Path and objects of an entry -> the reason why it is kept; an empty text lets it be dropped."""

TOO_YOUNG = "not old enough"
RECENTLY_WRITTEN = "written within the last day"
WITHOUT_DAY_IN_NAME = "without a day in its name"
WITHOUT_DAY = "without a day of its own"
PUBLISHED = "named by a publication"
NEWEST_CHALLENGER = "the newest challenger"


def group_by_path(objects: Iterable[StoredObject], depth: int) -> dict[str, list[StoredObject]]:
    """Group objects that share the first `depth` parts of their path, which is the key."""
    entries: dict[str, list[StoredObject]] = defaultdict(list)
    for stored in objects:
        path = "/".join(stored.name.split("/")[:depth])
        entries[path].append(stored)
    return entries


def is_any_written_after(objects: list[StoredObject], moment: datetime) -> bool:
    """Say whether one of the objects was written after the moment."""
    return any(stored.modified > moment for stored in objects)


def keep_by_end_stamp(position: int, cutoff: datetime, settled: datetime) -> RetentionRule:
    """Build the rule for entries with the end of their time in their path.

    Args:
        position: Which part of the path has the time, counted from 0.
        cutoff: Entries that end at this time or later are kept.
        settled: Entries with an object that was written later are kept.
    """

    def find_reason(path: str, objects: list[StoredObject]) -> str:
        end = parse_end_stamp(path.split("/")[position])
        if end is None:
            return WITHOUT_DAY_IN_NAME
        if end >= cutoff:
            return TOO_YOUNG
        if is_any_written_after(objects, settled):
            return RECENTLY_WRITTEN
        return ""

    return find_reason


def parse_end_stamp(text: str) -> datetime | None:
    """Parse the end of '{start}_{end}' or '{as_of}', as `dawnlist.cuts.format_stamp` wrote it.

    Returns None for other text.
    """
    end = text.rpartition("_")[2]
    try:
        return datetime.strptime(end, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
