"""Run the daily pipeline night by night in this process, and ask the predictor's engine what is live.

The pipeline is the one that `dawnlist run --local` calls, under the same runner of kfp. Only the process of each
step is replaced by a call, since a night has a dozen steps and each process takes seconds to start.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from dawnlist.cuts import format_iso
from dawnlist.pipelines.daily import build_daily_pipeline
from dawnlist.pipelines.local_run import LocalRun, run_locally
from dawnlist.pipelines.placement import Placement
from dawnlist.records.run_records import StepRecord, find_step_report
from dawnlist.serving.predictor.answers.engine import Answer, ServingEngine
from dawnlist.serving.predictor.answers.question import Question

NAMESPACE = "default"


@dataclass(frozen=True)
class Night:
    """What one run of the pipeline did."""

    as_of: datetime
    seconds: float
    outcome: str
    """What the run decided, or why it failed."""
    failed: bool
    dropped_users: set[str]
    """The users whom the bot rules dropped."""
    dropped_events: dict[str, float]
    """The share of the window's events that each bot rule dropped."""


@contextlib.contextmanager
def steps_in_this_process() -> Iterator[None]:
    """Let kfp's local runner call the steps here instead of starting a process for each."""
    from kfp.local import subprocess_task_handler

    start_process = subprocess_task_handler.run_local_subprocess
    subprocess_task_handler.run_local_subprocess = _call_step
    try:
        yield
    finally:
        subprocess_task_handler.run_local_subprocess = start_process


def _call_step(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
    """Call the component that a step's command names; the exit status is 0 or 1."""
    import traceback

    from kfp.dsl.executor import Executor

    options = dict(pairwise(full_command))
    step = options["--function_to_execute"]
    component = getattr(import_module(f"dawnlist.components.{step}.component"), step)
    try:
        Executor(json.loads(options["--executor_input"]), component).execute()
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def run_night(arguments: dict[str, Any], as_of: datetime, home: Path) -> Night:
    """Run the pipeline once.

    Args:
        arguments: The pipeline's parameters without as_of.
        home: A new folder for the run's artifacts and log.
    """
    clock = time.perf_counter()
    pipeline = build_daily_pipeline(Placement(patient=False))
    with steps_in_this_process():
        local_run = run_locally(
            pipeline, {**arguments, "as_of": format_iso(as_of)}, home, _ignore_record
        )
    seconds = time.perf_counter() - clock
    return Night(
        as_of=as_of,
        seconds=seconds,
        outcome=_describe_outcome(local_run),
        failed=local_run.error is not None,
        dropped_users=_read_dropped_users(home),
        dropped_events=_compute_dropped_shares(find_step_report(local_run.records, "filter_bots")),
    )


def _ignore_record(record: StepRecord) -> None:
    """Show no progress."""


def _describe_outcome(local_run: LocalRun) -> str:
    """Say in a line which version a run published, or why it published none."""
    failed = local_run.failed
    if failed is not None:
        reason = failed.get("error", {}).get("message", "")
        return f"{failed['step']} failed: {' '.join(reason.split())[:160]}"
    if local_run.error is not None:
        return f"failed: {local_run.error}"
    verdict = find_step_report(local_run.records, "gate")
    published = find_step_report(local_run.records, "publish")
    version = published.get("version", "none")
    return f"version {version}: {verdict.get('reason', 'no verdict')}"


def _compute_dropped_shares(report: dict[str, Any]) -> dict[str, float]:
    """Compute which share of all events each rule that is on has dropped."""
    shares = {}
    for rule in report.get("rules", []):
        if rule["mode"] == "on" and rule["events"]:
            shares[rule["rule"]] = rule["events"] / report["events"]
    return shares


def _read_dropped_users(home: Path) -> set[str]:
    """Read the users whom a run's verdicts drop."""
    dropped: set[str] = set()
    for path in home.glob("artifacts/*/filter-bots/verdicts"):
        table = pq.read_table(path)
        is_dropped = pc.and_(pc.equal(table["action"], "drop"), pc.invert(table["shadow"]))
        user_ids = table.filter(is_dropped)["user_id"].drop_null()
        dropped.update(user_ids.to_pylist())
    return dropped


def ask_engine(redis: str, user_ids: Sequence[str], k: int) -> list[Answer]:
    """Ask the predictor's engine, new as after a start, for each user's list."""

    async def ask() -> list[Answer]:
        engine = ServingEngine(redis, NAMESPACE, timeout=10.0)
        await engine.start()
        try:
            return await engine.answer_questions([Question(user_id, k=k) for user_id in user_ids])
        finally:
            await engine.stop()

    return asyncio.run(ask())
