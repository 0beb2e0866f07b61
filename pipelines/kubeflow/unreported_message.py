"""The message about a run that ended without a report, from what Kubeflow and the lake know."""

from datetime import UTC, datetime
from typing import Any, Final

from dawnlist.components.notify.rerun import build_submit_command
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.messages.masking import anonymise_text
from dawnlist.messages.message import Message
from dawnlist.pipelines.kubeflow.recurring_runs import read_run_parameters
from dawnlist.pipelines.kubeflow.submission import is_over
from dawnlist.pipelines.step_failures import describe_failure
from dawnlist.records import registry
from dawnlist.settings import NotifySettings
from dawnlist.urls import format_error, mask_passwords

_STATE_VERBS: Final = {"FAILED": "failed", "CANCELED": "was cancelled"}


def build_unreported_message(
    run: Any,
    day: datetime,
    lake: Lake,
    namespace: str,
    settings: NotifySettings,
    now: datetime,
) -> Message:
    """Build the message about a run. Secrets and personal data are masked.

    Args:
        run: The run, as the API returns it with its tasks.
        day: The run's as_of, or when it was created.
        lake: The shop's lake.
        namespace: The shop's name.
        settings: The settings of messages.
        now: The current time.
    """
    event = _describe_end(run, now)
    summary = (
        f"The run {run.run_id} of shop {namespace}, created at {format_iso(run.created_at)}, {event}, "
        f"and its step notify sent no report. {_describe_reason(run, day, lake)}"
    )
    paragraphs = [summary, _describe_live_version(lake), _describe_rerun(run, namespace)]
    if settings.kubeflow_url:
        paragraphs.append(
            f"The run in Kubeflow: {settings.kubeflow_url}/#/runs/details/{run.run_id}"
        )
    title = "NO REPORT" if is_over(run) else "NOT ENDED"
    return Message(
        f"{namespace}/{run.run_id}/{title}",
        datetime.now(UTC),
        f"[{namespace}] {title}: the run {event}, {day:%Y-%m-%d %H:%M} UTC",
        "\n\n".join(paragraphs),
        summary,
    )


def _describe_end(run: Any, now: datetime) -> str:
    """Say how a run ended, or for how long it has not."""
    if not is_over(run):
        hours = (now - run.created_at).total_seconds() / 3600
        return f"has not ended after {hours:,.0f} h ({str(run.state).lower()})"
    verb = _STATE_VERBS[run.state]
    if not run.finished_at:
        return verb
    return f"{verb} after {(run.finished_at - run.created_at).total_seconds():,.0f} s"


def _describe_reason(run: Any, day: datetime, lake: Lake) -> str:
    """Say why a run failed: by the run record, else by Kubeflow."""
    failure = describe_failure(lake, day, run.run_id)
    if failure:
        return anonymise_text(format_error(f"Its run record says: {failure}."))
    reasons = []
    if run.error and run.error.message:
        reasons.append(run.error.message)
    tasks = run.run_details.task_details if run.run_details else None
    for task in tasks or []:
        if task.state == "FAILED":
            message = task.error.message if task.error else ""
            reasons.append(f"{task.display_name} failed {message}".rstrip())
    if not reasons:
        return "Kubeflow gives no reason: look at the events of the run's pods."
    return anonymise_text(format_error(f"Kubeflow says: {'; '.join(reasons)}."))


def _describe_live_version(lake: Lake) -> str:
    champion = registry.read_champion(lake)
    if champion is None:
        return "Nothing has been published yet."
    return f"Version {champion['version']} of {champion['as_of']} stays live."


def _describe_rerun(run: Any, namespace: str) -> str:
    parameters = {"shop": namespace, **read_run_parameters(run)}
    return f"Run it again:\n{mask_passwords(build_submit_command(parameters))}"
