"""Run the days that a schedule missed, oldest first and one at a time.

Kubeflow's own catch-up would start each missed run with the same parameters, so that all of them
learn from the same day: it replaces `[[ScheduledTime]]` in no pipeline of version 2. So each missed
day is found in the lake and submitted with its own as_of.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from dawnlist.components.gate.history import GATE_HISTORY_DAYS
from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.kubeflow import schedules
from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.output import (
    show_line,
    show_run_progress,
    show_submitted_run,
    wait_for_run_end,
)
from dawnlist.pipelines.kubeflow.recurring_runs import RecurringRunSpec
from dawnlist.pipelines.kubeflow.submission import is_over, start_run

_START_DELAY: Final = timedelta(hours=1)
"""A run that was due less long ago may still be started by Kubeflow itself."""
_ASSUMED_RUN_TIME: Final = timedelta(hours=1)
"""How long a run takes when none has succeeded yet."""
_RECENT_RUNS: Final = 20
"""How many of the newest runs are looked at."""


def open_catch_up_lake(uri: str, namespace: str) -> Lake:
    """Open the lake in which missing days are found, and try to read it.

    Raises:
        OSError: The lake can't be read.
    """
    lake = Lake.open(uri, namespace)
    lake.names("gates")
    return lake


def find_missing_days(lake: Lake, schedule: str, now: datetime) -> list[datetime]:
    """Find the due times of the days on which no run reached the gate, oldest first.

    A schedule that is due several times a day counts by its last time of each day (UTC). Days
    before the first gate in the lake are not missing, nor are days older than GATE_HISTORY_DAYS,
    whose gates would not count any more.

    Args:
        lake: The shop's lake.
        schedule: Six fields, in UTC.
        now: The current time.
    """
    gates = [parse_as_of(name) for name in lake.names("gates")]
    if not gates:
        return []
    start = max(min(gates), now - timedelta(days=GATE_HISTORY_DAYS))
    missing_days = []
    for due, next_due in pairwise([*_list_daily_due_times(schedule, start, now), now]):
        has_run = any(due <= gate < next_due for gate in gates)
        if not has_run and due <= now - _START_DELAY:
            missing_days.append(due)
    return missing_days


def _list_daily_due_times(schedule: str, start: datetime, end: datetime) -> list[datetime]:
    """List the last due time of each day (UTC) after `start` and until `end`."""
    due_by_date = {}
    for due in schedules.iter_due_times(schedule, start):
        if due > end:
            break
        due_by_date[due.date()] = due
    return list(due_by_date.values())


def run_missing_days(client: KfpClient, spec: RecurringRunSpec, lake: Lake, namespace: str) -> int:
    """Run the missing days one after the other, and follow each run to its end.

    A run of the shop that is active is waited for. A day is not started when the schedule's next
    run is due before it could end.

    Args:
        client: The client of the API.
        spec: The recurring run, whose version, parameters and account the runs have too.
        lake: The shop's lake.
        namespace: The shop's name.

    Returns:
        The exit code: 0 when no day is missing any more. A run that fails ends the catch-up.
    """
    _wait_for_active_runs(client, spec.experiment_id)
    missing_days = find_missing_days(lake, spec.schedule, datetime.now(UTC))
    if not missing_days:
        show_line("catch-up: no day is missing")
        return 0
    show_line(f"catch-up: {_describe_days(missing_days)}")
    for number, day in enumerate(missing_days):
        _wait_for_active_runs(client, spec.experiment_id)
        rest = _describe_days(missing_days[number:])
        next_run = schedules.compute_due_times(spec.schedule, datetime.now(UTC), 1)[0]
        if datetime.now(UTC) + _measure_run_time(client, spec.experiment_id) > next_run:
            show_line(
                f"catch-up: stopped, since the next run is due at {format_iso(next_run)}, before another "
                f"one could end: {rest}. Run the command again after that run."
            )
            return 1
        code = _run_day(client, spec, day, namespace)
        if code:
            show_line(f"catch-up: stopped, since a run failed: {rest}")
            return code
    return 0


def _run_day(client: KfpClient, spec: RecurringRunSpec, day: datetime, namespace: str) -> int:
    """Start the run of a day, follow it to its end, and return the exit code."""
    as_of = format_iso(day)
    name = f"{spec.name} {as_of}"
    parameters = {**spec.parameters, "as_of": as_of}
    run_id = start_run(client, spec.version, spec.experiment_id, name, parameters, spec.account)
    show_submitted_run(client, run_id, spec.version)
    return show_run_progress(client, run_id, spec.version, spec.parameters["shop_lake"], namespace)


def _wait_for_active_runs(client: KfpClient, experiment_id: str) -> None:
    """Wait until no run of the shop is active."""
    for run in _list_recent_runs(client, experiment_id):
        if not is_over(run):
            show_line(
                f"catch-up: waiting for the run {run.run_id}, which is {str(run.state).lower()}"
            )
            wait_for_run_end(client, run.run_id)


def _measure_run_time(client: KfpClient, experiment_id: str) -> timedelta:
    """Return the longest time that a recent run took which succeeded."""
    durations = []
    for run in _list_recent_runs(client, experiment_id):
        if run.state == "SUCCEEDED" and run.finished_at:
            durations.append(run.finished_at - run.created_at)
    return max(durations, default=_ASSUMED_RUN_TIME)


def _list_recent_runs(client: KfpClient, experiment_id: str) -> list[Any]:
    page = client.list_runs(
        experiment_id=experiment_id, sort_by="created_at desc", page_size=_RECENT_RUNS
    )
    return page.runs or []


def _describe_days(days: Sequence[datetime]) -> str:
    """Describe missing days in words, with the first and the last one."""
    if len(days) == 1:
        return f"1 day is missing, {format_iso(days[0])}"
    return f"{len(days)} days are missing, from {format_iso(days[0])} to {format_iso(days[-1])}"
