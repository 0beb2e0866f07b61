"""Run the daily pipeline on this machine, with kfp's local runner and one process for each step."""

import contextlib
import errno
import fcntl
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from dawnlist.cuts import format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.local_files import delete_expired_files, keep_earlier_log
from dawnlist.records.run_records import BACKFILL_PREFIX, StepRecord, read_step_records

StepRecordCallback = Callable[[StepRecord], None]
"""A function that is told about each new state of a step."""
RECORD_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class LocalRun:
    """The outcome of a local run."""

    run: str
    """The run's name in the run record; empty when not even the first step began."""
    records: list[StepRecord]
    """The records of the steps that began."""
    seconds: float
    """How long the whole run took."""
    error: Exception | None
    """What kfp raised, if anything."""

    @property
    def failed(self) -> StepRecord | None:
        """The first step that failed, or that was killed and never ended; None if all succeeded."""
        for record in self.records:
            if record["state"] != "succeeded":
                return record
        return None


def run_locally(
    pipeline: Any, arguments: dict[str, Any], home: Path, progress: StepRecordCallback
) -> LocalRun:
    """Call a pipeline under kfp.local, and wait for its end.

    Args:
        pipeline: What `build_daily_pipeline` or `load_package` returns.
        arguments: The pipeline's parameters by name.
        home: The folder for artifacts and the log `run.log`. Logs of earlier runs are in `logs/`.
        progress: Called with a step's record when it starts and when it ends.

    Returns:
        The outcome. The error of a step is part of it and is not raised.

    Raises:
        RuntimeError: Another run in the same folder has not ended.
    """
    lake = Lake.open(arguments["shop_lake"], arguments.get("shop", "default"))
    as_of, clock = parse_as_of(arguments["as_of"]), time.perf_counter()
    home.mkdir(parents=True, exist_ok=True)
    earlier_runs = set(_list_runs(lake, as_of))
    with (
        _lock_home(home),
        _use_run_temp_folder(),
        _watch_records(lake, as_of, earlier_runs, progress),
        _write_log(home),
    ):
        error = _call_pipeline(pipeline, arguments, home)
    run = _find_new_run(lake, as_of, earlier_runs)
    records = _read_records(lake, as_of, run)
    return LocalRun(run, records, time.perf_counter() - clock, error)


def _call_pipeline(pipeline: Any, arguments: dict[str, Any], home: Path) -> Exception | None:
    """Run the pipeline's steps, and return the exception of a failure."""
    from kfp import local

    # kfp raises RuntimeError for a failed step, and other exceptions for problems of its own.
    try:
        local.init(
            runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(home / "artifacts")
        )
        pipeline(**arguments)
    except Exception as error:
        return error
    return None


def _list_runs(lake: Lake, as_of: datetime) -> list[str]:
    return lake.names("runs", format_stamp(as_of))


def _find_new_run(lake: Lake, as_of: datetime, earlier_runs: set[str]) -> str:
    """Return the name of the run that has begun since, or an empty string."""
    for name in _list_runs(lake, as_of):
        # A backfill that runs at the same time leaves records of its own.
        if name not in earlier_runs and not name.startswith(BACKFILL_PREFIX):
            return name
    return ""


def _read_records(lake: Lake, as_of: datetime, run: str) -> list[StepRecord]:
    if not run:
        return []
    return read_step_records(lake, as_of, run)


@contextlib.contextmanager
def _lock_home(home: Path) -> Iterator[None]:
    """Allow one run at a time in a folder.

    Two runs would write to the same log, and each would take the other's record for its own.
    """
    with (home / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f"another run is under way in {home}: wait for it, or give another --home"
            ) from None
        yield


@contextlib.contextmanager
def _use_run_temp_folder() -> Iterator[None]:
    """Give the steps a folder for temporary files that is deleted after the run.

    kfp leaves a temporary folder behind for each step, and a killed step leaves more.
    """
    earlier_folder = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="dawnlist-run-", ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = folder
        try:
            yield
        finally:
            if earlier_folder is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = earlier_folder


@contextlib.contextmanager
def _write_log(home: Path) -> Iterator[None]:
    """Write the run's log, after the logs and artifacts of earlier runs were tidied."""
    keep_earlier_log(home)
    delete_expired_files(home, datetime.now(UTC))
    with _redirect_output(home / "run.log"):
        yield


@contextlib.contextmanager
def _redirect_output(log: Path) -> Iterator[None]:
    """Write what kfp and the steps print to the log, and hide Python's warnings."""
    with contextlib.ExitStack() as stack:
        file = log.open("w")
        stack.callback(_close_log, file)
        stack.enter_context(contextlib.redirect_stdout(file))
        stack.enter_context(contextlib.redirect_stderr(file))
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        yield


def _close_log(file: TextIO) -> None:
    """Close the log. On a full disk its end is lost; the error of the step must not be."""
    try:
        file.close()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


@contextlib.contextmanager
def _watch_records(
    lake: Lake, as_of: datetime, earlier_runs: set[str], progress: StepRecordCallback
) -> Iterator[None]:
    """Call `progress` with each new state of each step, from a thread, while the body runs."""
    body_ended = threading.Event()
    reported_states: set[tuple[str, str]] = set()

    def report_new_states() -> None:
        run = _find_new_run(lake, as_of, earlier_runs)
        for record in _read_records(lake, as_of, run):
            state = (record["step"], record["state"])
            if state not in reported_states:
                reported_states.add(state)
                progress(record)

    def watch() -> None:
        while not body_ended.wait(RECORD_POLL_SECONDS):
            report_new_states()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        body_ended.set()
        thread.join()
        report_new_states()
