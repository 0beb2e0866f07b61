"""What the run before this one dropped, from the run record."""

from typing import Any

from dawnlist.cuts import format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.records.run_records import BACKFILL_PREFIX

DropReport = dict[str, Any]
_REPORT_FIELDS = ("users", "events", "dropped_users", "dropped_events", "share")


def read_previous_report(lake: Lake, as_of: str) -> DropReport | None:
    """The counts of the newest filter_bots step of a day before `as_of`, or None when the record has none.

    Returns as_of (as a stamp), users, events, dropped_users, dropped_events, share, and rules: by name mode, users,
    events and share.
    """
    this = format_stamp(parse_as_of(as_of))
    for day in reversed([name for name in lake.names("runs") if name < this]):
        reports = [
            found for run in lake.names("runs", day) if (found := _read_step_report(lake, day, run))
        ]
        if reports:
            _, last = max(reports, key=lambda found: found[0])
            rules = {
                rule["rule"]: {key: rule[key] for key in _RULE_FIELDS} for rule in last["rules"]
            }
            return {"as_of": day, **{name: last[name] for name in _REPORT_FIELDS}, "rules": rules}
    return None


_RULE_FIELDS = ("mode", "users", "events", "share")


def _read_step_report(lake: Lake, day: str, run: str) -> tuple[str, DropReport] | None:
    """When the run's step ended, and what it reported."""
    record = (
        None
        if run.startswith(BACKFILL_PREFIX)
        else lake.read_json("runs", day, run, "filter_bots.json")
    )
    return (
        (record["ended"], record["report"]) if record and record["state"] == "succeeded" else None
    )
