"""Compare the events of the last days with those of the same weekdays before."""

from dataclasses import dataclass
from statistics import median

DAYS_PER_WEEK = 7
MAX_DAYS = 7
"""Events of at most so many days are compared."""
MIN_SAME_WEEKDAYS = 2
"""With fewer periods of the same weekdays, the usual volume is the median of all days."""


@dataclass(frozen=True)
class PeriodVolume:
    """The events of the last days, and those of the same weekdays in the weeks before."""

    days: int
    """The length of the period."""
    events: int
    """Its events."""
    usual: float
    """The median of the same weekdays' events; 0 without any."""
    least: float
    """The fewest events of the same weekdays, or `usual` where fewer than two weeks are known."""
    is_same_weekdays: bool
    """Whether `usual` is of the same weekdays, and not of all days."""


def measure_volume(events: int, before: list[int], min_events: int) -> PeriodVolume:
    """Measure the shortest period in which the shop usually has `min_events` events.

    A Saturday on which a shop usually sells nothing says nothing by itself, so the days before it
    are counted too. If no period has so many, it is the longest one that is known.

    Args:
        events: The events of the last day.
        before: The events of the days before, newest first.
        min_events: The number of events that say enough.
    """
    series = [events, *before]
    volume = PeriodVolume(1, events, *_describe_all_days(before), False)
    for days in range(1, MAX_DAYS + 1):
        earlier = _sum_same_weekdays(series, days)
        if len(earlier) < MIN_SAME_WEEKDAYS:
            break
        period_events = sum(series[:days])
        volume = PeriodVolume(days, period_events, median(earlier), min(earlier), True)
        if volume.usual >= min_events:
            break
    return volume


def _describe_all_days(before: list[int]) -> tuple[float, float]:
    """Return the usual and the least number of events where the weekday is not known."""
    usual = 0.0
    if before:
        usual = median(before)
    return usual, usual


def _sum_same_weekdays(series: list[int], days: int) -> list[int]:
    """Sum the events of the same weekdays in each earlier week that is known as a whole."""
    sums = []
    for start in range(DAYS_PER_WEEK, len(series) - days + 1, DAYS_PER_WEEK):
        sums.append(sum(series[start : start + days]))
    return sums
