"""What the commands about Kubeflow say."""

from datetime import UTC, datetime
from importlib.metadata import version as installed
from typing import Any, Final

from rich.markup import escape

from dawnlist.pipelines.kubeflow import schedules
from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.parameters import collect_step_names
from dawnlist.pipelines.kubeflow.recurring_runs import RecurringRunSpec
from dawnlist.pipelines.kubeflow.submission import PipelineVersion, follow_run
from dawnlist.pipelines.terminal import err, out
from dawnlist.urls import format_error

STATE_MARKS: Final = {"SUCCEEDED": "[green]✓[/]", "SKIPPED": "[dim]-[/]"}


def show_version(version: PipelineVersion, uploaded: bool, chosen: bool) -> None:
    """Say what runs; an older code's version that nobody has chosen is worth a hint."""
    if uploaded:
        _print_line(f"version {version.name}: uploaded")
    elif chosen:
        _print_line(f"version {version.name}: its bytes are there already")
    else:
        code = installed("dawnlist")
        hint = f"; this is {code}, which --package, --nodes or --image upload"
        _print_line(
            f"version {version.name}: the newest there{'' if version.name.startswith(f'{code}-') else hint}"
        )


def show_submitted_run(client: KfpClient, run_id: str, version: PipelineVersion) -> None:
    """Say where the run is."""
    _print_line(f"run {run_id} of {version.name}: {client.ui_link('runs', 'details', run_id)}")


def show_run_progress(
    client: KfpClient, run_id: str, version: PipelineVersion, lake: str, namespace: str
) -> int:
    """Follow a run with a line for each step, say how it ended, and return the exit code."""
    link = client.ui_link("runs", "details", run_id)
    with err.status("waiting for the first step"):
        try:
            found = follow_run(client, run_id, collect_step_names(version.spec), _show_step)
        except KeyboardInterrupt:
            _print_line(f"the run goes on: {link}")
            raise
        except (ConnectionError, PermissionError) as error:
            raise ConnectionError(
                f"lost sight of the run, which goes on ({link}): {error}"
            ) from None
    took = (
        f" after {(found.finished_at - found.created_at).total_seconds():.0f} s"
        if found.finished_at
        else ""
    )
    if found.state == "SUCCEEDED":
        _print_line(f"succeeded{took}")
        return 0
    why = f": {found.error.message}" if found.error and found.error.message else ""
    ask = f"`dawnlist status --namespace {namespace} --lake {lake}`"
    said = f"dawnlist: the run {found.state.lower()}{took}{why}; why: {ask}, or {link}"
    err.print(escape(format_error(said)), soft_wrap=True)
    return 1


def show_schedule(changes: list[dict[str, tuple[Any, Any]]], wanted: RecurringRunSpec) -> None:
    """Say what stands now, how what stood before was different, and when it is due."""
    if not changes:
        _print_line(f"{wanted.name}: scheduled")
    elif {} in changes:
        spare = f"; {len(changes) - 1} more of that name deleted" if len(changes) > 1 else ""
        _print_line(f"{wanted.name}: unchanged{spare}")
    else:
        _print_line(f"{wanted.name}: replaced")
        for name, (was, becomes) in (change for changed in changes for change in changed.items()):
            _print_line(f"{name}: {_format_trait(was)} → {_format_trait(becomes)}", indent="  ")
    _print_line(f"{wanted.schedule}: {schedules.describe_schedule(wanted.schedule)}, UTC")
    times = schedules.compute_due_times(wanted.schedule, datetime.now(UTC), 3)
    _print_line(f"next: {', '.join(f'{moment:%Y-%m-%d %H:%M:%S}' for moment in times)}")


def show_shop_status(told: dict[str, Any]) -> None:
    """Print how a shop stands."""
    rows = [["run", "as of", "state", "started", "took"] if told["runs"] else ["no run yet"]]
    for run in told["runs"]:
        cells = (
            run["run"],
            run["as_of"] or "",
            run["state"].lower(),
            run["started"],
            _format_minutes(run["seconds"]),
        )
        rows.append([format_error(cell) for cell in cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # no table of rich's, which cuts ids off where the terminal is narrow
        out.print(escape("  ".join(map(str.ljust, row, widths)).rstrip()), soft_wrap=True)
    for run in told["runs"]:
        if run["error"]:
            _print_line(f"{run['run']}: {run['error']}; {run['link']}")
    if not told["schedule"]:
        _print_line("nothing is scheduled")
    for one in told["schedule"]:
        due = f"next {one['next'] or 'unknown'}" if one["enabled"] else "disabled"
        _print_line(f"scheduled: {one['words'] or one['schedule'] or 'at an interval'}, UTC; {due}")
    if "champion" in told:
        champion = told["champion"]
        _print_line(
            f"champion: {_format_version_age(champion)}, {champion['winner']}"
            if champion
            else "champion: none yet"
        )
    if "live" in told:
        live = told["live"]
        held = ", held since a rollback" if live and live["held"] else ""
        _print_line(
            f"live: {_format_version_age(live)}{held}"
            if live
            else "live: nothing has been published yet"
        )


def _show_step(step: str, state: str, seconds: float, why: str) -> None:
    said = f"  {escape(format_error(why))}" if why else ""
    err.print(
        f"{STATE_MARKS.get(state, '[red]✗[/]')} {escape(step):<14}{seconds:8.1f} s{said}",
        soft_wrap=True,
    )


def _format_version_age(found: dict[str, Any]) -> str:
    return f"version {found['version']} of {found['as_of']}, {found['hours']:,.1f} h old"


def _print_line(text: str, indent: str = "") -> None:
    out.print(f"{indent}{escape(format_error(text))}", soft_wrap=True)


def _format_minutes(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 60:,.1f} min"


def _format_trait(value: Any) -> str:
    return "none" if value is None else str(value)
