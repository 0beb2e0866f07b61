"""The day of a run and the cuts in time that training and judging are made at."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

HOLDOUT = timedelta(hours=24)
CURRENT_TIME_MACRO: Final = "[[CurrentTime.2006-01-02T15:04:05Z]]"
"""As an as_of: Kubeflow puts the time at which it makes the run in its place; see dawnlist.records.run_records.day_of."""
SCHEDULED_TIME_MACRO: Final = "[[ScheduledTime.2006-01-02T15:04:05Z]]"
"""The same with the time at which a recurring run was due."""
TIME_MACRO_PREFIXES: Final = ("[[CurrentTime", "[[ScheduledTime")
"""How the two begin, whatever form of the time they ask for."""


def parse_as_of(text: str) -> datetime:
    """The end of the run's window, from ISO-8601 text with a zone, in UTC. ValueError with what to do."""
    if "[[" in text:
        raise ValueError(
            f"as_of {text!r} was never replaced: the API server replaces it only in values sent with the request, "
            "never in a pipeline's defaults; give it with the run, or type the time, e.g. 2026-01-31T03:00:00Z"
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
    """The moment; ValueError for an as_of to come. `leeway` is by how much the clocks of two machines may differ."""
    if moment > datetime.now(UTC) + leeway:
        raise ValueError(
            f"as_of {format_iso(moment)!r} is in the future: rows that arrive until then would be taken for fetched and be "
            "lost; give a time that has passed"
        )
    return moment


def format_iso(moment: datetime) -> str:
    """ISO-8601 in UTC with a Z, to the second or, when there are any, the microsecond."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def format_stamp(moment: datetime) -> str:
    """The moment as it stands in object names: sortable, no colons."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def compute_window(as_of: datetime, days: int) -> tuple[datetime, datetime]:
    """[as_of - days, as_of), the history that a run learns from. ValueError for an unusable number of days."""
    if not 3 <= days <= 3660:
        raise ValueError(
            f"window_days is {days}: give 3 to 3660, since the last two days are held out"
        )
    return as_of - timedelta(days=days), as_of


@dataclass(frozen=True)
class Cuts:
    """validation = [validation_start, train_end), holdout = [train_end, as_of); all UTC.

    Tune fits on rows before `validation_start` and chooses on validation. The challenger is fitted on rows before
    `train_end` and scored once on the holdout. The refit takes all rows before `as_of`.
    """

    validation_start: datetime
    train_end: datetime
    as_of: datetime

    @classmethod
    def of(cls, as_of: datetime, incumbent: datetime | None) -> "Cuts":
        """C = max(the incumbent's as_of, as_of - 24 h), so that nobody is scored on rows it has seen."""
        if incumbent is not None and incumbent >= as_of:
            raise ValueError(
                f"incumbent as_of {format_iso(incumbent)} is not older than this run's {format_iso(as_of)}"
            )
        train_end = as_of - HOLDOUT if incumbent is None else max(incumbent, as_of - HOLDOUT)
        return cls(train_end - HOLDOUT, train_end, as_of)


MICROSECONDS_PER_DAY = 86_400_000_000
