"""The days of daily files, which begin at midnight in the source's time zone."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def find_local_day(moment: datetime, zone: str) -> date:
    """Return the day of a time on the clocks of an IANA zone."""
    try:
        return moment.astimezone(ZoneInfo(zone)).date()
    except OverflowError:
        # The first and the last day that Python knows have no other day beside them.
        return moment.date()


def find_midnight(day: date, zone: str) -> datetime:
    """Return the time at which a day begins on the clocks of an IANA zone, in UTC."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def find_first_hour(day: date, zone: str) -> datetime:
    """Return the first whole hour that a local day shares with the UTC day of the same date.

    The ledger counts by UTC days, so the rows of a day's file must arrive within that day.
    """
    utc_midnight = datetime.combine(day, time(), UTC)
    first = max(find_midnight(day, zone), utc_midnight)
    if first.minute or first.second:
        first = first.replace(minute=0, second=0) + timedelta(hours=1)
    return first
