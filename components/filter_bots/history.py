"""What the run before this one dropped, from the run record."""

from typing import Any

from dawnlist.cuts import parse_as_of, stamp
from dawnlist.lake.lake import Lake
from dawnlist.records.runs import BACKFILL

Report = dict[str, Any]
_COUNTS = ("users", "events", "dropped_users", "dropped_events", "share")


def before(lake: Lake, as_of: str) -> Report | None:
    """The counts of the newest filter_bots step of a day before `as_of`, or None when the record has none.

    Returns as_of (as a stamp), users, events, dropped_users, dropped_events, share, and rules: by name mode, users,
    events and share.
    """
    this = stamp(parse_as_of(as_of))
    for day in reversed([name for name in lake.names("runs") if name < this]):
        reports = [found for run in lake.names("runs", day) if (found := _report(lake, day, run))]
        if reports:
            _, last = max(reports, key=lambda found: found[0])
            rules = {rule["rule"]: {key: rule[key] for key in _OF_RULES} for rule in last["rules"]}
            return {"as_of": day, **{name: last[name] for name in _COUNTS}, "rules": rules}
    return None


_OF_RULES = ("mode", "users", "events", "share")


def _report(lake: Lake, day: str, run: str) -> tuple[str, Report] | None:
    """When the run's step ended, and what it reported."""
    record = None if run.startswith(BACKFILL) else lake.read_json("runs", day, run, "filter_bots.json")
    return (record["ended"], record["report"]) if record and record["state"] == "succeeded" else None
