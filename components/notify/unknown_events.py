"""What the report says of events that were rejected because the settings don't know their names."""

from datetime import datetime, timedelta

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import format_count, format_quantity, parse_finite
from dawnlist.components.notify.tables import TextTable, build_table

UNKNOWN_EVENT_REASON = "event unknown"
"""The reason for a rejection in the report of the step clean."""


def build_unknown_events_table(facts: Facts) -> TextTable | None:
    """List the unknown event names with their rows, the most frequent first."""
    rows = []
    for name, count in facts.get_mapping("clean", "profile", "unknown_events").items():
        rows.append([name, format_count(count)])
    return build_table(["event", "rows"], rows)


def describe_unknown_events(facts: Facts) -> str:
    """Name the unknown events and the command that brings them back; empty when there are none."""
    counts = facts.get_mapping("clean", "profile", "unknown_events")
    total = int(parse_finite(facts.get_value("clean", "reasons", UNKNOWN_EVENT_REASON)) or 0)
    if not total:
        return ""
    names = [f"{format_count(count)} {name!r}" for name, count in counts.items()]
    named_rows = sum(int(parse_finite(count) or 0) for count in counts.values())
    if total > named_rows:
        names.append(f"{format_count(total - named_rows)} of other names")
    return (
        f"{format_quantity(total, 'row')} of unknown events were rejected: {', '.join(names)}; "
        "name them in source.events or source.weights (0: not wanted), then fetch them again, with "
        f"the run's --source, --lake and --settings: {_build_backfill_command(facts)}"
    )


def _build_backfill_command(facts: Facts) -> str:
    """Build the command that fetches all days of the run that have rows again."""
    days = sorted(hour[:10] for hour in facts.get_mapping("fetch", "arrivals"))
    if not days:
        # The source did not say when its rows arrived.
        days = _list_window_ends(facts)
    return f"dawnlist backfill --from {days[0]} --to {days[-1]} --all"


def _list_window_ends(facts: Facts) -> list[str]:
    """List the first and the last day of each window of the run, in order; `DAY` without any."""
    days = []
    windows = facts.get_value("fetch", "windows")
    for start, end in windows if isinstance(windows, list) else []:
        # The end of a window does not belong to it.
        last_moment = datetime.fromisoformat(end) - timedelta(microseconds=1)
        days += [start[:10], last_moment.date().isoformat()]
    return sorted(days) or ["DAY"]
