"""Print what the commands that talk to Kubeflow Pipelines did and found."""

from datetime import UTC, datetime
from importlib.metadata import version as read_installed_version
from typing import Any

from rich.markup import escape

from dawnlist.pipelines.kubeflow import schedules
from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.parameters import collect_step_names, read_node_kind
from dawnlist.pipelines.kubeflow.recurring_runs import RecurringRunSpec
from dawnlist.pipelines.kubeflow.run_display import TerminalDisplay, describe_waiting_pod
from dawnlist.pipelines.kubeflow.run_following import follow_run
from dawnlist.pipelines.kubeflow.submission import PipelineVersion
from dawnlist.pipelines.kubeflow.waiting_pods import RunPods, WaitingPod
from dawnlist.pipelines.terminal import err, print_line, show_step_status
from dawnlist.records.winner_names import describe_winner
from dawnlist.urls import format_error


def show_version(version: PipelineVersion, uploaded: bool, chosen: bool) -> None:
    """Print which version runs.

    Args:
        version: The version.
        uploaded: Whether it has just been uploaded.
        chosen: Whether the user gave or compiled it. If not, it is the newest at the API, and a
            hint says so when it was compiled by other code than the installed code.
    """
    if uploaded:
        _print_clean(f"version {version.name}: uploaded")
        return
    if chosen:
        _print_clean(f"version {version.name}: already uploaded")
        return
    installed = read_installed_version("dawnlist")
    nodes = read_node_kind(version.spec)
    message = f"version {version.name}: the newest uploaded version for {nodes} nodes"
    if not version.name.startswith(f"{installed}-"):
        message += f"; this is {installed}, which --package, --nodes or --image upload"
    _print_clean(message)


def show_submitted_run(client: KfpClient, run_id: str, version: PipelineVersion) -> None:
    """Print the link of a run in the UI."""
    _print_clean(f"run {run_id} of {version.name}: {client.ui_link('runs', 'details', run_id)}")


def show_run_progress(
    client: KfpClient,
    run_id: str,
    version: PipelineVersion,
    lake: str,
    namespace: str,
    pending_minutes: int | None = None,
) -> int:
    """Follow a run with a line for each step, print how it ended, and return the exit code.

    A run is ended when a pod of it has waited for `pending_minutes`.

    Raises:
        ConnectionError: The API can't be reached any more. The run goes on.
    """
    link = client.ui_link("runs", "details", run_id)
    step_names = collect_step_names(version.spec)
    pods = RunPods(client.space)
    with show_step_status("waiting for the first step") as status:
        try:
            display = TerminalDisplay(status)
            run = follow_run(client, run_id, step_names, display, pods, pending_minutes)
        except KeyboardInterrupt:
            _print_clean(f"the run goes on: {link}")
            raise
        except (ConnectionError, PermissionError) as error:
            raise ConnectionError(
                f"lost sight of the run, which goes on ({link}): {error}"
            ) from None
    duration = _format_duration(run)
    if run.state == "SUCCEEDED":
        _print_clean(f"succeeded{duration}")
        return 0
    message = f"dawnlist: the run {run.state.lower()}{duration}"
    if run.error and run.error.message:
        message += f": {run.error.message}"
    message += f"; why: `dawnlist status --namespace {namespace} --lake {lake}`, or {link}"
    err.print(escape(format_error(message)), soft_wrap=True)
    return 1


def wait_for_run_end(client: KfpClient, run_id: str) -> None:
    """Wait for the end of a run whose steps are not shown."""
    with show_step_status("waiting for a run") as status:
        follow_run(client, run_id, set(), TerminalDisplay(status), RunPods(client.space))


def _format_duration(run: Any) -> str:
    if not run.finished_at:
        return ""
    seconds = (run.finished_at - run.created_at).total_seconds()
    return f" after {seconds:.0f} s"


def show_schedule(changes: list[dict[str, tuple[Any, Any]]], spec: RecurringRunSpec) -> None:
    """Print the schedule that is now set, how it changed, and when it is due next.

    Args:
        changes: For each recurring run that existed before, its traits that were different.
        spec: The recurring run that exists now.
    """
    if not changes:
        _print_clean(f"{spec.name}: scheduled")
    elif {} in changes:
        message = f"{spec.name}: unchanged"
        if len(changes) > 1:
            message += f"; {len(changes) - 1} more of that name deleted"
        _print_clean(message)
    else:
        _print_clean(f"{spec.name}: replaced")
        for changed_traits in changes:
            _show_changed_traits(changed_traits)
    _print_clean(f"{spec.schedule}: {schedules.describe_schedule(spec.schedule)}, UTC")
    due_times = schedules.compute_due_times(spec.schedule, datetime.now(UTC), 3)
    _print_clean("next: " + ", ".join(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in due_times))


def _show_changed_traits(changed_traits: dict[str, tuple[Any, Any]]) -> None:
    for name, (before, after) in changed_traits.items():
        change = f"{name}: {_format_trait(before)} → {_format_trait(after)}"
        _print_clean(change, indent="  ")


def _format_trait(value: Any) -> str:
    return "none" if value is None else str(value)


def show_shop_status(status: dict[str, Any]) -> None:
    """Print the status of a shop, as `read_shop_status` returns it."""
    if status["no_cluster"]:
        _print_clean(f"no cluster can be reached: {status['no_cluster']}")
    else:
        _show_runs(status["runs"])
        _show_recurring_runs(status["schedule"])
    if "champion" in status:
        _show_champion(status["champion"])
    if "live" in status:
        _show_live_version(status["live"])


def show_warning(text: str) -> None:
    """Print a warning on standard error; nothing for an empty one."""
    if text:
        err.print(f"[yellow]![/] {escape(format_error(text))}", soft_wrap=True)


def _show_runs(runs: list[dict[str, Any]]) -> None:
    if not runs:
        _print_clean("no run yet")
        return
    rows = [["run", "as of", "state", "started", "took"]]
    for run in runs:
        minutes = _format_minutes(run["seconds"])
        cells = [run["run"], run["as_of"] or "", run["state"].lower(), run["started"], minutes]
        rows.append([format_error(cell) for cell in cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    # A table of rich's would cut the ids off on a narrow terminal.
    for row in rows:
        print_line("  ".join(map(str.ljust, row, widths)).rstrip())
    for run in runs:
        if run["error"]:
            _print_clean(f"{run['run']}: {run['error']}; {run['link']}")
        for step in run["running"]:
            _print_clean(f"{run['run']}: {step['step']} runs, for {step['seconds']:.0f} s now")
        for pod in run["waiting"]:
            _print_clean(f"{run['run']}: {describe_waiting_pod(WaitingPod(**pod))}")


def _show_recurring_runs(recurring_runs: list[dict[str, Any]]) -> None:
    if not recurring_runs:
        _print_clean("nothing is scheduled")
    for recurring_run in recurring_runs:
        schedule = recurring_run["words"] or recurring_run["schedule"] or "at an interval"
        due = "disabled"
        if recurring_run["enabled"]:
            due = f"next {recurring_run['next'] or 'unknown'}"
        _print_clean(f"scheduled: {schedule}, UTC; {due}")


def _show_champion(champion: dict[str, Any] | None) -> None:
    if champion is None:
        _print_clean("champion: none yet")
    else:
        _print_clean(f"champion: {_format_version_age(champion)}, {describe_winner(champion)}")


def _show_live_version(live: dict[str, Any] | None) -> None:
    if live is None:
        _print_clean("live: nothing has been published yet")
        return
    hold = ", held since a rollback" if live["held"] else ""
    _print_clean(f"live: {_format_version_age(live)}{hold}")


def _format_version_age(version: dict[str, Any]) -> str:
    return f"version {version['version']} of {version['as_of']}, {version['hours']:,.1f} h old"


def _format_minutes(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds / 60:,.1f} min"


def show_line(text: str) -> None:
    """Print a line, without passwords and what a terminal would obey."""
    _print_clean(text)


def _print_clean(text: str, indent: str = "") -> None:
    """Print text from the API on one line, without passwords and what a terminal would obey."""
    print_line(f"{indent}{format_error(text)}")
