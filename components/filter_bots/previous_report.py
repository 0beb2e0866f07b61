"""Read from the run records what the run before this one dropped."""

from datetime import datetime
from types import NoneType

from dawnlist.components.filter_bots.decision import DropReport
from dawnlist.cuts import format_stamp
from dawnlist.lake.damaged_objects import DamagedObjectError, JsonTypes
from dawnlist.lake.lake import Lake
from dawnlist.records.run_records import BACKFILL_PREFIX

_REPORT_FIELDS = ("users", "events", "dropped_users", "dropped_events", "share")
_RECORD_TYPES: JsonTypes = {"state": str, "ended": (str, NoneType), "report": (dict, NoneType)}
_RULE_FIELDS = ("mode", "users", "events", "share")


def read_previous_report(lake: Lake, as_of: datetime) -> DropReport | None:
    """Return the counts of the newest filter_bots step of a day before `as_of`.

    The result has as_of (a stamp), users, events, dropped_users, dropped_events, share, and rules,
    which has the mode, users, events and share of each rule by the rule's name. It is None when
    no such step is recorded.
    """
    current_day = format_stamp(as_of)
    earlier_days = [day for day in lake.names("runs") if day < current_day]
    for day in reversed(earlier_days):
        report = _read_newest_report(lake, day)
        if report is not None:
            return _select_fields(day, report)
    return None


def _read_newest_report(lake: Lake, day: str) -> DropReport | None:
    """Return the report of the successful filter_bots step that ended last on a day."""
    records = []
    for run in lake.names("runs", day):
        if run.startswith(BACKFILL_PREFIX):
            continue
        try:
            record = lake.read_json("runs", day, run, "filter_bots.json", types=_RECORD_TYPES)
        except DamagedObjectError:
            continue  # an older day is compared instead
        if record and record["state"] == "succeeded" and record.get("report"):
            records.append(record)
    if not records:
        return None
    newest = max(records, key=lambda record: record["ended"])
    report: DropReport = newest["report"]
    return report


def _select_fields(day: str, report: DropReport) -> DropReport:
    selected: DropReport = {"as_of": day}
    for name in _REPORT_FIELDS:
        selected[name] = report[name]
    selected["rules"] = {}
    for rule in report["rules"]:
        selected["rules"][rule["rule"]] = {name: rule[name] for name in _RULE_FIELDS}
    return selected
