"""The day of a run, and the points in time that separate training from validation and holdout."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

MAX_PERIOD_DAYS: Final = 28
"""The most days that the holdout has, and the validation period before it."""
MICROSECONDS_PER_DAY = 86_400_000_000
CURRENT_TIME: Final = "now"
"""An as_of that the run's first step replaces by its own time.

See dawnlist.records.run_records.resolve_as_of.
"""
TIME_MACRO_PREFIXES: Final = ("[[CurrentTime", "[[ScheduledTime")
"""What Kubeflow's two macros for a time begin with, in every time format.

Schedules and packages of older releases have them. Kubeflow Pipelines 2.15 to 2.17 replaces them in
no pipeline of version 2, so such an as_of means the same as `now`.
"""


def is_current_time(as_of: str) -> bool:
    """Say whether an as_of is `now`, empty, or a macro that Kubeflow has left as it is.

    Then the run's first step takes its own time; see dawnlist.records.run_records.resolve_as_of.
    """
    text = as_of.strip()
    return text.lower() in ("", CURRENT_TIME) or text.startswith(TIME_MACRO_PREFIXES)


def parse_as_of(text: str) -> datetime:
    """Parse the end of a run's window, ISO-8601 with a zone; the result is in UTC.

    Raises:
        ValueError: the text is no such time. The message says what to do.
    """
    if "[[" in text:
        raise ValueError(
            f"as_of {text!r} is a macro that Kubeflow Pipelines does not replace: leave as_of out "
            "to take the time when the run begins, or give the time, e.g. 2026-01-31T03:00:00Z"
        )
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"as_of {text!r} is no time: give ISO-8601 with a zone, e.g. 2026-01-31T03:00:00Z"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(f"as_of {text!r} has no zone: give one, e.g. {text.strip()}Z for UTC")
    return moment.astimezone(UTC)


def require_past(moment: datetime, leeway: timedelta = timedelta(0)) -> datetime:
    """Return an as_of unchanged.

    Args:
        leeway: How much the clocks of two machines may differ.

    Raises:
        ValueError: the time is in the future.
    """
    if moment > datetime.now(UTC) + leeway:
        raise ValueError(
            f"as_of {format_iso(moment)!r} is in the future: rows that arrive until then would be "
            "skipped, because the lake would count them as fetched; give a time that has passed"
        )
    return moment


def format_iso(moment: datetime) -> str:
    """Format a time as ISO-8601 in UTC with a Z; microseconds only if there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def format_stamp(moment: datetime) -> str:
    """Format a time in UTC for the names of objects: it can be sorted and has no colons."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def compute_window(as_of: datetime, days: int) -> tuple[datetime, datetime]:
    """Return the window [as_of - days, as_of) that a run learns from.

    Raises:
        ValueError: `days` is not within 3 to 3660.
    """
    if not 3 <= days <= 3660:
        raise ValueError(
            f"window_days is {days}: give 3 to 3660, since the last two days are held out"
        )
    return as_of - timedelta(days=days), as_of


@dataclass(frozen=True)
class Cuts:
    """The points in time that divide a run's rows, all in UTC.

    Validation is [validation_start, train_end), and the holdout is [train_end, as_of). The tune
    step fits on rows before `validation_start` and chooses on validation. The challenger is fitted
    on rows before `train_end` and scored once on the holdout. The refit uses all rows before
    `as_of`.
    """

    validation_start: datetime
    train_end: datetime
    as_of: datetime

    @classmethod
    def from_as_of(cls, as_of: datetime, holdout_days: int = 1, validation_days: int = 1) -> "Cuts":
        """Compute the cuts of a run from the lengths of its two periods.

        Raises:
            ValueError: A length is not within 1 to MAX_PERIOD_DAYS.
        """
        for days in (holdout_days, validation_days):
            if not 1 <= days <= MAX_PERIOD_DAYS:
                raise ValueError(f"a period has {days} days: give 1 to {MAX_PERIOD_DAYS}")
        train_end = as_of - timedelta(days=holdout_days)
        return cls(train_end - timedelta(days=validation_days), train_end, as_of)
