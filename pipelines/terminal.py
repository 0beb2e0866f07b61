"""What the command shows on a terminal: progress, tables, titles."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from dawnlist.records.run_records import StepRecord
from dawnlist.urls import format_error, replace_unprintable

# a file or a pipe has no width of its own, and 80 columns are too few for what goes there
out = Console(
    highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
)
err = Console(
    file=sys.stderr, highlight=False
)  # not stderr=True: a local run redirects sys.stderr to its log


@contextmanager
def show_progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; gives the function (done, total) that moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def run_and_show_report(arguments: dict[str, Any], package: Path | None, home: Path) -> int:
    """Run the pipeline locally with a line for each step, print the report, and return the exit code."""
    from dawnlist.lake.lake import Lake
    from dawnlist.pipelines.local_run import run_locally
    from dawnlist.pipelines.package import load_package
    from dawnlist.records import registry
    from dawnlist.store.client import connect_store

    with connect_store(
        arguments["redis"]
    ) as client:  # a store that does not answer is said before a minute's work
        registry.sync_champion(
            Lake.open(arguments["lake"], arguments["namespace"]), client, arguments["namespace"]
        )
    if package is None:
        from dawnlist.pipelines.daily import build_daily_pipeline
        from dawnlist.pipelines.placement import Placement

        pipeline: Any = build_daily_pipeline(Placement(patient=False))
    else:
        pipeline = load_package(package)
    with err.status("starting") as status:

        def show(record: StepRecord) -> None:
            if record["state"] == "started":
                status.update(f"{record['step']} ...")
            else:
                mark = "[green]✓[/]" if record["state"] == "succeeded" else "[red]✗[/]"
                err.print(
                    f"{mark} {record['step']:<12}{record['seconds']:7.1f} s {record['peak_memory_mb']:8,.0f} MB"
                )

        done = run_locally(pipeline, arguments, home, show)
    return _show_outcome(done, arguments, home)


def _show_outcome(done: Any, arguments: dict[str, Any], home: Path) -> int:
    from dawnlist.components.notify.daily import render_text_report
    from dawnlist.cuts import format_stamp, parse_as_of

    log = home / "run.log"
    if done.run:
        from dawnlist.lake.lake import Lake

        lake = Lake.open(arguments["lake"], arguments["namespace"])
        out.print(escape(render_text_report(lake, arguments["as_of"], done.run)), soft_wrap=True)
        page = f"{lake.uri}/reports/{format_stamp(parse_as_of(arguments['as_of']))}/{done.run}.html"
        steps = sum(record.get("seconds", 0) for record in done.records)
        out.print(
            f"{done.seconds:.1f} s in all, {steps:.1f} s of it in steps\nreport: {page}\nlog:    {log}",
            soft_wrap=True,
        )
    failed = done.failed
    if failed is None and done.error is None:
        return 0
    if failed is None:
        reason = "a step could not be started"
    elif failed["state"] == "failed":
        reason = f"{failed['step']} failed: {failed['error']['message']}"
    else:
        reason = f"{failed['step']} was killed: it started at {failed['started']} and never ended"
    err.print(f"dawnlist: {escape(format_error(reason))} (see {log})", soft_wrap=True)
    return 1


TIER_WORDS: Final = {
    "fold_in": "ranked now, with what they did last",
    "vector": "ranked now, by what they did before",
    "list": "their own list",
    "content": "by what is like what they did last",
    "segment": "no list of their own, so that of their context",
    "popular": "no list of their own, so the popular one",
    "static": "nothing is published, so the static file",
}
"""Tier -> in words."""


def show_recommendation(answer: dict[str, Any]) -> None:
    """Print an answer of the predictor or the store, one title a line."""
    known = TIER_WORDS.get(answer["tier"], answer["tier"])
    out.print(
        f"user {escape(str(answer['user_id']))}: {known} (version {answer['model_version']}, as of {answer['as_of']})"
    )
    for place, item in enumerate(answer["items"], 1):
        title = item["title"] or f"item {item['item_id']}"
        out.print(
            f"{place:3}  {escape(replace_unprintable(title))}  [dim]{escape(item['item_id'])}[/]",
            soft_wrap=True,
        )
