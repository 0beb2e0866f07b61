"""The run record: what each step did, or why it failed, as JSON objects in the lake.

The object `runs/{as_of}/{run}/{step}.json` has the state `started` first. It becomes `succeeded`,
with counts, duration and peak memory, or `failed`, with the error. A step whose record stays
`started` was killed. A step without a record never started.
"""

import os
import platform
import resource
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from dawnlist.cuts import format_iso, format_stamp, is_current_time, parse_as_of
from dawnlist.lake.damaged_objects import DamagedObjectError, JsonTypes
from dawnlist.lake.lake import Lake
from dawnlist.messages.masking import mask_secrets
from dawnlist.urls import describe_error

StepRecord = dict[str, Any]
BACKFILL_PREFIX = "backfill-"
"""The names of a backfill's runs begin with this."""
_RECORD_TYPES: Final[JsonTypes] = {"step": str, "state": str, "started": str}
RUN_SEARCH_DAYS: Final = 30
"""A run is searched for in this many of the newest days of the run record."""


def resolve_as_of(root: str, namespace: str, as_of: str, run: str) -> datetime:
    """Return the as_of of a run, in UTC, from the parameter that a step gets.

    It is the time that the text says. If that is `now` or empty, the first step of the run takes
    the current time; the later steps and their retries take the same time, which they find in the
    run record. A time macro of Kubeflow means the same as `now`: Kubeflow Pipelines replaces it in
    no pipeline of version 2 (kubeflow/pipelines#12494).

    Raises:
        ValueError: the text is neither a time nor `now`.
    """
    if not is_current_time(as_of):
        return parse_as_of(as_of)
    lake = Lake.open(root, namespace)
    for day in reversed(lake.names("runs")[-RUN_SEARCH_DAYS:]):
        if run in lake.names("runs", day):
            return parse_as_of(day)
    return datetime.now(UTC).replace(microsecond=0)


def index_run_days(lake: Lake) -> dict[str, datetime]:
    """Map the ids of the latest runs in the run record to their as_of."""
    day_of_run = {}
    for day in lake.names("runs")[-RUN_SEARCH_DAYS:]:
        for run in lake.names("runs", day):
            day_of_run[run] = parse_as_of(day)
    return day_of_run


@contextmanager
def record_step(
    root: str, namespace: str, as_of: datetime, run: str, step: str
) -> Iterator[StepRecord]:
    """Record a step of a run, while the block runs.

    Yields the report, a dictionary that the step adds its counts to. An error is recorded and
    raised again.
    """
    lake = Lake.open(root, namespace)
    path = (*_locate_run(as_of, run), f"{step}.json")
    clock = time.perf_counter()
    report: StepRecord = {}
    record: StepRecord = {
        "step": step,
        "state": "started",
        "started": format_iso(datetime.now(UTC)),
        "pid": os.getpid(),
        "host": platform.node(),
        "code_version": version("dawnlist"),
    }
    lake.write_json(record, *path)
    try:
        yield report
        record["state"] = "succeeded"
    except BaseException as error:
        record["state"] = "failed"
        record["error"] = _describe_error(error)
        raise
    finally:
        peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        record["ended"] = format_iso(datetime.now(UTC))
        record["seconds"] = round(time.perf_counter() - clock, 3)
        record["peak_memory_mb"] = round(peak_kilobytes / 1024, 1)
        record["report"] = report
        _write_final_record(lake, record, path)


def read_step_records(lake: Lake, as_of: datetime, run: str) -> list[StepRecord]:
    """Read all records of a run, in the order in which the steps started.

    A record that Dawnlist did not write is returned as one of a failed step, whose error names the
    object and says what to do. So a report can be made all the same.
    """
    folder = _locate_run(as_of, run)
    records = []
    for name in lake.names(*folder):
        if name.endswith(".json"):
            records.append(_read_step_record(lake, as_of, (*folder, name)))
    return sorted(records, key=lambda record: record["started"])


def _read_step_record(lake: Lake, as_of: datetime, path: tuple[str, ...]) -> StepRecord:
    try:
        record: StepRecord = lake.read_json(*path, types=_RECORD_TYPES)
        return record
    except DamagedObjectError as error:
        return {
            "step": path[-1].removesuffix(".json"),
            "state": "failed",
            "started": format_iso(as_of),
            "report": {},
            "error": {"type": type(error).__name__, "message": str(error), "traceback": ""},
        }


def find_step_report(records: list[StepRecord], step: str) -> StepRecord:
    """Return what a step reported; empty if it did not run or reported nothing.

    Args:
        records: The records of a run.
    """
    for record in records:
        if record["step"] == step:
            report: StepRecord = record.get("report", {})
            return report
    return {}


def _locate_run(as_of: datetime, run: str) -> tuple[str, str, str]:
    """Return the path in the lake of a run's records."""
    return "runs", format_stamp(as_of), run


def _describe_error(error: BaseException) -> dict[str, str]:
    """Describe an error, without secrets.

    The secrets must be masked here, within the step: the processes of other steps don't have this
    one's secrets, which a driver's error may quote.
    """
    return {
        "type": type(error).__name__,
        "message": mask_secrets(describe_error(error)),
        "traceback": mask_secrets(traceback.format_exc()),
    }


def _write_final_record(lake: Lake, record: StepRecord, path: tuple[str, ...]) -> None:
    """Write the record of a step that has ended.

    If the report can't be written as JSON the step has failed. Otherwise its record would stay
    `started`, as if the step had been killed.
    """
    try:
        lake.write_json(record, *path)
    except (TypeError, ValueError) as error:
        json_error = {
            "type": type(error).__name__,
            "message": f"the step's report is not valid JSON: {error}",
            "traceback": "",
        }
        failed_record = {
            **record,
            "state": "failed",
            "report": {},
            "error": record.get("error", json_error),
        }
        lake.write_json(failed_record, *path)
        raise
