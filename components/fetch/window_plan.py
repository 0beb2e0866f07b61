"""Which windows a run fetches, so that the lake holds its days whole."""

from datetime import datetime, timedelta

from dawnlist.cuts import compute_window
from dawnlist.lake.watermark import TimeWindow

_ONE_DAY = timedelta(hours=24)


def plan_windows(
    known: TimeWindow | None,
    end: datetime,
    window_days: int,
    overlap: timedelta,
    expired: datetime | None = None,
) -> list[TimeWindow]:
    """What to fetch so that the lake then holds [end - window_days, end) whole, oldest first.

    It goes on from the end of what the lake holds, however long ago that was, so that a missed night leaves no gap,
    and a little before it, since a row may be committed after a fetch whose window its time lies in. A run not newer
    than that fetches its own 24 hours again. Rows that are already there are recognised. What was dropped for its
    age, before `expired`, is not fetched again. Windows begin at whole hours, which is how the ledger counts.
    """
    # a midnight, so that whole days of before can be filled up to it
    start = compute_window(end, window_days)[0].replace(hour=0, minute=0, second=0, microsecond=0)
    if known is None:
        return [(start, end)]
    start = max(start, expired or start)
    earliest, reached = known
    recent = _floor_to_hour((reached if reached < end else end - _ONE_DAY) - overlap)
    if earliest <= start:
        return [(recent, end)]
    return [(min(start, recent), end)] if earliest >= recent else [(start, earliest), (recent, end)]


def _floor_to_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
