"""Schedules, in five fields as people write them or in six as Kubeflow does: checked, told in words, and when due."""

import re
from datetime import UTC, datetime
from itertools import islice
from typing import Final

_VALUE: Final = r"(?:\d{1,2}|[A-Z]{3})"
_FIELD: Final = re.compile(
    rf"(?:[*?](?:/\d+)?|{_VALUE}(?:-{_VALUE}(?:/\d+)?)?(?:,{_VALUE}(?:-{_VALUE}(?:/\d+)?)?)*)"
)
"""What Kubeflow's reader (robfig/cron, its first version) and cronsim take in one sense."""
_SINGLE_VALUE_STEP: Final = re.compile(r"\b(\w+)-\1/")
"""A step in a range of one: to Kubeflow's reader that one alone, to cronsim each step from there on."""


def parse_schedule(text: str) -> str:
    """The schedule in Kubeflow's six fields, seconds first; ValueError when it is none, or is never due.

    Five fields mean second 0: Kubeflow itself would read `0 3 * * *` as minute 3 of every hour.
    """
    from cronsim import CronSimError

    fields = text.upper().split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise ValueError(
            f"the schedule {text!r} has {len(fields)} fields: give five (minute, hour, day, month, weekday), e.g. "
            "'0 3 * * *' for three at night, or six with seconds before them"
        )
    for field in fields:
        if not _FIELD.fullmatch(field) or _SINGLE_VALUE_STEP.search(field):
            raise ValueError(
                f"the schedule {text!r} holds {field!r}: give *, */STEP, or numbers, names and ranges with commas, "
                "e.g. '0 3 * * MON-FRI'"
            )
    if re.search(r"\b7\b", fields[5]):
        raise ValueError(f"the schedule {text!r} has a weekday 7: give 0 or SUN for a Sunday")
    schedule = " ".join(fields).replace("?", "*")
    try:
        first = compute_due_times(schedule, datetime.now(UTC), 1)
    except CronSimError as error:
        raise ValueError(f"the schedule {text!r} can't be: {str(error).lower()}") from None
    if not first:
        raise ValueError(f"the schedule {text!r} is never due")
    return schedule


def describe_schedule(schedule: str) -> str:
    """Six fields in words, e.g. "At 03:00"; the time zone is UTC."""
    from cron_descriptor import Options, get_description

    options = Options()
    options.use_24hour_time_format = True
    return str(get_description(schedule, options))


def compute_due_times(schedule: str, after: datetime, count: int) -> list[datetime]:
    """The next so many times, UTC."""
    from cronsim import CronSim

    return list(islice(CronSim(schedule, after.astimezone(UTC)), count))
