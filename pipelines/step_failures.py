"""Explain to people why a step of a run failed."""

from dawnlist.records.run_records import StepRecord


def describe_killed_step(record: StepRecord) -> str:
    """Describe a step that was killed: its record says that it started, but not that it ended."""
    return f"{record['step']} was killed: it started at {record['started']} and never ended"
