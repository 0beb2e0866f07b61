"""Check schedules, describe them in words, and compute when they are due.

People write schedules in five fields; Kubeflow uses six, with seconds first.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final

_VALUE: Final = r"(?:\d{1,2}|[A-Z]{3})"
_FIELD: Final = re.compile(
    rf"(?:[*?](?:/\d+)?|{_VALUE}(?:-{_VALUE}(?:/\d+)?)?(?:,{_VALUE}(?:-{_VALUE}(?:/\d+)?)?)*)"
)
"""The fields that Kubeflow's parser (robfig/cron, version 1) and cronsim understand alike."""
_SINGLE_VALUE_STEP: Final = re.compile(r"\b(\w+)-\1/")
"""A step in a range of one value, such as 45-45/5. Kubeflow's parser takes it for that value alone,
cronsim for each step from there on."""


def parse_schedule(text: str) -> str:
    """Return a schedule in Kubeflow's six fields, with seconds first.

    Five fields get second 0. Kubeflow itself would read `0 3 * * *` as minute 3 of every hour.

    Raises:
        ValueError: The text is not a schedule, or is never due.
    """
    from cronsim import CronSimError

    schedule = " ".join(_split_fields(text)).replace("?", "*")
    try:
        first = compute_due_times(schedule, datetime.now(UTC), 1)
    except CronSimError as error:
        raise ValueError(f"the schedule {text!r} can't be: {str(error).lower()}") from None
    if not first:
        raise ValueError(f"the schedule {text!r} is never due")
    return schedule


def _split_fields(text: str) -> list[str]:
    """Split a schedule into six fields, and check each of them."""
    fields = text.upper().split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise ValueError(
            f"the schedule {text!r} has {len(fields)} fields: give five (minute, hour, day, month, weekday), e.g. "
            "'0 3 * * *' for 03:00, or six with seconds first"
        )
    for field in fields:
        if not _FIELD.fullmatch(field) or _SINGLE_VALUE_STEP.search(field):
            raise ValueError(
                f"the schedule {text!r} holds {field!r}: give *, */STEP, or numbers, names and ranges with commas, "
                "e.g. '0 3 * * MON-FRI'"
            )
    if re.search(r"\b7\b", fields[5]):
        raise ValueError(f"the schedule {text!r} has a weekday 7: give 0 or SUN for a Sunday")
    return fields


def describe_schedule(schedule: str) -> str:
    """Describe a schedule of six fields in words, e.g. "At 03:00". The time zone is UTC."""
    from cron_descriptor import Options, get_description

    options = Options()
    options.use_24hour_time_format = True
    return str(get_description(schedule, options))


def compute_due_times(schedule: str, after: datetime, count: int) -> list[datetime]:
    """Compute the next `count` times after a moment, in UTC."""
    return list(islice(iter_due_times(schedule, after), count))


def iter_due_times(schedule: str, after: datetime) -> Iterator[datetime]:
    """Iterate over the times after a moment, in UTC."""
    from cronsim import CronSim

    yield from CronSim(schedule, after.astimezone(UTC))
