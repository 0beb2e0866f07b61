"""The daily pipeline on this machine: kfp's local runner, one process a step, progress from the run record."""

import contextlib
import fcntl
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dawnlist.cuts import format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.records.run_records import BACKFILL_PREFIX, StepRecord, read_step_records

StepRecordCallback = Callable[[StepRecord], None]
RECORD_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class LocalRun:
    """What came of a run."""

    run: str
    """Its name in the run record; empty when not even the first step began."""
    records: list[StepRecord]
    seconds: float
    error: Exception | None

    @property
    def failed(self) -> StepRecord | None:
        """The first step that failed, or was killed: one that started and never ended."""
        return next((record for record in self.records if record["state"] != "succeeded"), None)


def run_locally(
    pipeline: Any, arguments: dict[str, Any], home: Path, progress: StepRecordCallback
) -> LocalRun:
    """Call the pipeline under kfp.local; artifacts and the log go below `home`.

    `pipeline` is what `daily_pipeline` returns or `load_component_from_file` loads. Steps' records are passed to
    `progress` as they change. An error of a step is returned, not raised.
    """
    from kfp import local

    lake = Lake.open(arguments["lake"], arguments.get("namespace", "default"))
    as_of, clock = arguments["as_of"], time.perf_counter()
    home.mkdir(parents=True, exist_ok=True)
    before = set(_list_runs(lake, as_of))
    error: Exception | None = None
    with (
        _lock_home(home),
        _use_run_temp_folder(),
        _watch_records(lake, as_of, before, progress),
        _redirect_output(home / "run.log"),
    ):
        try:
            local.init(
                runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(home / "artifacts")
            )
            pipeline(**arguments)
        except (
            Exception
        ) as raised:  # kfp raises RuntimeError for a failed step, and others for its own trouble
            error = raised
    run = _find_new_run(lake, as_of, before)
    return LocalRun(
        run, read_step_records(lake, as_of, run) if run else [], time.perf_counter() - clock, error
    )


def _list_runs(lake: Lake, as_of: str) -> list[str]:
    return lake.names("runs", format_stamp(parse_as_of(as_of)))


def _find_new_run(lake: Lake, as_of: str, before: set[str]) -> str:
    # a backfill leaves records of its own
    return next(
        (
            name
            for name in _list_runs(lake, as_of)
            if name not in before and not name.startswith(BACKFILL_PREFIX)
        ),
        "",
    )


@contextlib.contextmanager
def _lock_home(home: Path) -> Iterator[None]:
    """One run at a time for a home: two would write one log and take each other's record for their own."""
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
    """Steps have a folder for temporary files that goes with the run: kfp leaves one for each, a killed step more."""
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="dawnlist-run-", ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before


@contextlib.contextmanager
def _redirect_output(log: Path) -> Iterator[None]:
    """What kfp and the steps print goes to the log."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(log.open("w"))
        stack.enter_context(contextlib.redirect_stdout(file))
        stack.enter_context(contextlib.redirect_stderr(file))
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        yield


@contextlib.contextmanager
def _watch_records(
    lake: Lake, as_of: str, before: set[str], progress: StepRecordCallback
) -> Iterator[None]:
    """Tell `progress` about each new state of each step, from a thread, while the body runs."""
    done = threading.Event()
    told: set[tuple[str, str]] = set()

    def look() -> None:
        run = _find_new_run(lake, as_of, before)
        for record in read_step_records(lake, as_of, run) if run else []:
            state = (record["step"], record["state"])
            if state not in told:
                told.add(state)
                progress(record)

    def watch() -> None:
        while not done.wait(RECORD_POLL_SECONDS):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        look()
