"""Run the pipeline on this machine, show its progress and its report, and print recommendations."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape

from dawnlist.pipelines import terminal
from dawnlist.pipelines.publication import check_publication
from dawnlist.records.run_records import StepRecord
from dawnlist.urls import format_error, replace_unprintable

if TYPE_CHECKING:
    from dawnlist.pipelines.local_run import LocalRun


def run_and_show_report(
    arguments: dict[str, Any], package: Path | None, home: Path, require_published: bool
) -> int:
    """Run the pipeline locally, print its steps and its report, and return the exit code.

    Args:
        arguments: The pipeline's parameters by name.
        package: A compiled pipeline to run instead of the code's own.
        home: The folder for artifacts and the log.
        require_published: Whether a run that succeeds without a publication has the exit code of
            `check_publication` instead of 0.
    """
    from dawnlist.pipelines.local_run import run_locally

    _sync_champion(arguments)
    pipeline = _load_pipeline(package)
    with terminal.show_step_status("starting") as status:

        def show_step(record: StepRecord) -> None:
            if record["state"] == "started":
                status.show({record["step"]: 0.0})
            else:
                terminal.err.print(_format_ended_step(record))

        local_run = run_locally(pipeline, arguments, home, show_step)
    code = _show_outcome(local_run, arguments, home)
    if code == 0 and require_published:
        return check_publication(local_run.records)
    return code


def _sync_champion(arguments: dict[str, Any]) -> None:
    """Bring the lake's champion in line with the store.

    This also finds a store that does not answer before a minute's work is done.
    """
    from dawnlist.lake.lake import Lake
    from dawnlist.records import registry
    from dawnlist.store.client import connect_store

    namespace = arguments["shop"]
    with connect_store(arguments["shop_store"]) as client:
        lake = Lake.open(arguments["shop_lake"], namespace)
        registry.sync_champion(lake, client, namespace)


def _load_pipeline(package: Path | None) -> Any:
    if package is not None:
        from dawnlist.pipelines.package import load_package

        return load_package(package)
    from dawnlist.pipelines.daily import build_daily_pipeline
    from dawnlist.pipelines.placement import Placement

    return build_daily_pipeline(Placement(patient=False))


def _format_ended_step(record: StepRecord) -> str:
    mark = "[red]✗[/]"
    if record["state"] == "succeeded":
        mark = "[green]✓[/]"
    seconds, megabytes = record["seconds"], record["peak_memory_mb"]
    return f"{mark} {record['step']:<12}{seconds:7.1f} s {megabytes:8,.0f} MB"


def _show_outcome(local_run: "LocalRun", arguments: dict[str, Any], home: Path) -> int:
    """Print the report and the reason of a failure, and return the exit code."""
    log = home / "run.log"
    if local_run.run:
        _show_report(local_run, arguments, log)
    reason = _explain_failure(local_run)
    if reason is None:
        return 0
    message = f"dawnlist: {escape(format_error(reason))} (see {log})"
    terminal.err.print(message, soft_wrap=True)
    return 1


def _show_report(local_run: "LocalRun", arguments: dict[str, Any], log: Path) -> None:
    from dawnlist.components.notify.daily import render_text_report
    from dawnlist.cuts import format_stamp, parse_as_of
    from dawnlist.lake.lake import Lake

    lake = Lake.open(arguments["shop_lake"], arguments["shop"])
    as_of = parse_as_of(arguments["as_of"])
    terminal.print_line(render_text_report(lake, as_of, local_run.run))
    folder = format_stamp(as_of)
    page = f"{lake.uri}/reports/{folder}/{local_run.run}.html"
    step_seconds = sum(record.get("seconds", 0) for record in local_run.records)
    terminal.out.print(
        f"{local_run.seconds:.1f} s in all, {step_seconds:.1f} s of it in steps\n"
        f"report: {page}\nlog:    {log}",
        soft_wrap=True,
    )


def _explain_failure(local_run: "LocalRun") -> str | None:
    """Say why a run failed; None for a run that succeeded."""
    from dawnlist.pipelines.step_failures import describe_killed_step

    failed = local_run.failed
    if failed is None and local_run.error is None:
        return None
    if failed is None:
        return "a step could not be started"
    if failed["state"] == "failed":
        return f"{failed['step']} failed: {failed['error']['message']}"
    return describe_killed_step(failed)


TIER_WORDS: Final = {
    "fold_in": "ranked now, from their latest interactions",
    "vector": "ranked now, from their earlier interactions",
    "list": "their own list",
    "content": "items similar to their latest ones",
    "segment": "the list of their context, as they have none of their own",
    "popular": "the popular list, as they have none of their own",
    "static": "the static file, as nothing has been published",
    "none": "nothing, as they have met no item",
}
"""A description of each tier that an answer can come from."""


def show_recommendation(answer: dict[str, Any]) -> None:
    """Print an answer of the predictor or the store: where it comes from, then a title a line."""
    tier = TIER_WORDS.get(answer["tier"], answer["tier"])
    user = escape(str(answer["user_id"]))
    terminal.out.print(
        f"user {user}: {tier} (version {answer['model_version']}, as of {answer['as_of']})"
    )
    for rank, item in enumerate(answer["items"], 1):
        title = item["title"] or f"item {item['item_id']}"
        clean_title = escape(replace_unprintable(title))
        line = f"{rank:3}  {clean_title}  [dim]{escape(item['item_id'])}[/]"
        terminal.out.print(line, soft_wrap=True)
