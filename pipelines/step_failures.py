"""Explain to people why a step of a run failed."""

from datetime import datetime

from dawnlist.lake.lake import Lake
from dawnlist.records.run_records import StepRecord, read_step_records


def describe_failure(lake: Lake, day: datetime, run: str) -> str | None:
    """Describe the first step of a run that did not succeed, from the run record.

    None when the record has no such step.

    Args:
        lake: The shop's lake.
        day: The run's as_of.
        run: The run's id.
    """
    for record in read_step_records(lake, day, run):
        if record["state"] == "failed":
            return f"{record['step']}: {record['error']['message']}"
        if record["state"] == "started":
            return describe_killed_step(record)
    return None


def describe_killed_step(record: StepRecord) -> str:
    """Describe a step that was killed: its record says that it started, but not that it ended."""
    return f"{record['step']} was killed: it started at {record['started']} and never ended"
