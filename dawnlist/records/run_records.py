"""The run record: what each step did, or why it failed, as JSON objects in the lake.

`runs/{as_of}/{run}/{step}.json` is first `started`, then `succeeded` with counts, duration and peak memory, or
`failed` with the error. Started and never ended means killed; no record means never started.
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

from dawnlist.cuts import TIME_MACRO_PREFIXES, format_iso, format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.messages.masking import mask_secrets

StepRecord = dict[str, Any]
BACKFILL_PREFIX = "backfill-"
"""What the names of a backfill's runs begin with."""
RUN_SEARCH_DAYS: Final = 30
"""So many of the newest days of the run record are searched for a run."""


def resolve_as_of(root: str, namespace: str, as_of: str, run: str) -> str:
    """The day of a run: `as_of` as it was given or, where Kubeflow left its macro as it is, the first step's beginning.

    Kubeflow Pipelines replaces macros in no recurring run whose version is fixed, and older ones in none at all
    (kubeflow/pipelines#12494). The run record says what the first step took, so that all steps and tries take the same.
    """
    if not as_of.startswith(TIME_MACRO_PREFIXES):
        return as_of
    lake = Lake.open(root, namespace)
    known = (
        day
        for day in reversed(lake.names("runs")[-RUN_SEARCH_DAYS:])
        if run in lake.names("runs", day)
    )
    day = next(known, None)
    return format_iso(parse_as_of(day) if day else datetime.now(UTC).replace(microsecond=0))


@contextmanager
def record_step(root: str, namespace: str, as_of: str, run: str, step: str) -> Iterator[StepRecord]:
    """Record a step of a run: yields the dict that the step adds its counts to; an error is recorded and re-raised."""
    lake = Lake.open(root, namespace)
    place = ("runs", format_stamp(parse_as_of(as_of)), run, f"{step}.json")
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
    lake.write_json(record, *place)
    try:
        yield report
        record["state"] = "succeeded"
    except BaseException as error:
        record["state"] = "failed"
        record["error"] = {
            "type": type(error).__name__,
            # here: no other step's process has the secrets of this one, which a driver may quote
            "message": mask_secrets(str(error)),
            "traceback": mask_secrets(traceback.format_exc()),
        }
        raise
    finally:
        record |= {
            "ended": format_iso(datetime.now(UTC)),
            "seconds": round(time.perf_counter() - clock, 3),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "report": report,
        }
        _write_final_record(lake, record, place)


def _write_final_record(lake: Lake, record: StepRecord, place: tuple[str, ...]) -> None:
    """Write the end of a step; a report that is no JSON is a failure of its own, never a step that seems killed."""
    try:
        lake.write_json(record, *place)
    except (TypeError, ValueError) as error:
        wrong = {
            "type": type(error).__name__,
            "message": f"the step's report is no JSON: {error}",
            "traceback": "",
        }
        lake.write_json(
            {**record, "state": "failed", "report": {}, "error": record.get("error", wrong)}, *place
        )
        raise


def read_step_records(lake: Lake, as_of: str, run: str) -> list[StepRecord]:
    """All records of a run, in the order the steps started; empty when there is none."""
    place = ("runs", format_stamp(parse_as_of(as_of)), run)
    found = [lake.read_json(*place, name) for name in lake.names(*place)]
    return sorted((record for record in found if record), key=lambda record: record["started"])


def find_step_report(found: list[StepRecord], step: str) -> StepRecord:
    """What a step reported, or an empty dict when it did not run or reported nothing."""
    return next((record.get("report", {}) for record in found if record["step"] == step), {})
