"""Plan the windows that a run fetches, so that the lake holds all its days without a gap."""

from datetime import datetime, timedelta

from dawnlist.cuts import compute_window
from dawnlist.lake.watermark import TimeWindow

_ONE_DAY = timedelta(hours=24)


def plan_windows(
    covered_window: TimeWindow | None,
    end: datetime,
    window_days: int,
    overlap: timedelta,
    expired: datetime | None = None,
) -> list[TimeWindow]:
    """Plan what to fetch so that the lake holds [end - window_days, end), oldest window first.

    The fetch continues at the end of the covered window, however old that is, so that a missed
    night leaves no gap. It starts `overlap` earlier, since a row may be committed after the fetch
    of the window that its time lies in; clean recognises rows that the lake has already. A run
    whose `end` is not newer than the covered window fetches its own 24 hours again. Rows from
    before `expired` were dropped for their age and are not fetched again.

    Windows begin at whole hours, because the ledger counts by the hour.
    """
    # Begin at a midnight, since a source of daily files gives whole days only.
    start = compute_window(end, window_days)[0].replace(hour=0, minute=0, second=0, microsecond=0)
    if covered_window is None:
        return [(start, end)]
    if expired is not None:
        start = max(start, expired)
    covered_start, covered_end = covered_window
    resume = covered_end if covered_end < end else end - _ONE_DAY
    resume = _floor_to_hour(resume - overlap)
    if covered_start <= start:
        return [(resume, end)]
    if covered_start >= resume:
        return [(min(start, resume), end)]
    return [(start, covered_start), (resume, end)]


def _floor_to_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
