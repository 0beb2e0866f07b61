"""Find runs that ended without a report, and tell people about each of them once.

The step notify reports every run. It can't when Kubeflow never starts it: the run's root driver
failed, somebody cancelled the run, or a pod waits for ever. So housekeeping asks Kubeflow's API.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from dawnlist.components.notify import outbox
from dawnlist.cuts import format_stamp, is_current_time, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.messages.channels import parse_channels
from dawnlist.pipelines.kubeflow import submission
from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.recurring_runs import read_run_parameters
from dawnlist.pipelines.kubeflow.unreported_message import build_unreported_message
from dawnlist.records.run_records import index_run_days, read_step_records
from dawnlist.settings import NotifySettings
from dawnlist.urls import NOTIFY_URLS

MAX_RUN_AGE: Final = timedelta(days=7)
"""A run that was created longer ago is not told about."""
LONGEST_RUN_TIME: Final = timedelta(hours=24)
"""A run that was created longer ago and has not ended is told about, too."""
_FAILED_STATES: Final = ("FAILED", "CANCELED")


@dataclass(frozen=True)
class UnreportedRun:
    """A run about which people got no report."""

    run: Any
    """The run, as the API lists it."""
    day: datetime
    """The run's as_of; when the run was created, if its as_of is not known."""
    has_ended: bool
    """Whether it ended; if not, it runs or waits for more than LONGEST_RUN_TIME."""

    @property
    def location(self) -> outbox.MessageLocation:
        """Where the message about it is in the lake. It is the same each time, so it is sent once."""
        key = "no-report" if self.has_ended else "not-ended"
        return outbox.MessageLocation(format_stamp(self.day), self.run.run_id, key)


def tell_about_unreported_runs(
    client: KfpClient,
    experiment: str,
    lake: Lake,
    namespace: str,
    settings: NotifySettings,
    now: datetime,
) -> list[str]:
    """Send a message about each run without a report to the channels in DAWNLIST_NOTIFY_URLS.

    A channel that does not take a message keeps it in the outbox, as with notify.

    Returns:
        What happened, in lines for the log.
    """
    channels, log_lines = parse_channels()
    if not channels:
        return [
            *log_lines,
            f"runs without a report are not told: {NOTIFY_URLS} lists no recipients",
        ]
    if settings.when == "never":
        return log_lines
    experiment_id = submission.find_experiment(client, experiment)
    if experiment_id is None:
        return log_lines
    for unreported in find_unreported_runs(client, experiment_id, lake, now):
        run = client.get_run(unreported.run.run_id)  # with its tasks
        message = build_unreported_message(run, unreported.day, lake, namespace, settings, now)
        location = unreported.location
        if outbox.post_message(lake, location, message):
            seconds = settings.try_seconds
            log_lines += outbox.deliver_messages(lake, run.run_id, location, channels, seconds)
    return log_lines


def find_unreported_runs(
    client: KfpClient, experiment_id: str, lake: Lake, now: datetime
) -> list[UnreportedRun]:
    """Find the runs that ended without a report, or did not end, and that nobody was told about."""
    days = index_run_days(lake)
    unreported_runs = []
    for run in _iter_recent_runs(client, experiment_id, now):
        has_ended = submission.is_over(run)
        if has_ended and run.state not in _FAILED_STATES:
            continue
        if not has_ended and now - run.created_at <= LONGEST_RUN_TIME:
            continue
        day = _read_as_of(run) or days.get(run.run_id)
        if day is not None and _has_report(lake, day, run.run_id):
            continue
        unreported = UnreportedRun(run, day or run.created_at, has_ended)
        if not lake.exists(*unreported.location.delivered_path):
            unreported_runs.append(unreported)
    return unreported_runs


def _iter_recent_runs(client: KfpClient, experiment_id: str, now: datetime) -> Iterator[Any]:
    """Iterate over the runs that were created within MAX_RUN_AGE, the newest first."""

    def list_page(token: str) -> Any:
        return client.list_runs(
            token, page_size=100, sort_by="created_at desc", experiment_id=experiment_id
        )

    for run in submission.iter_pages(list_page, "runs"):
        if now - run.created_at > MAX_RUN_AGE:
            return
        yield run


def _read_as_of(run: Any) -> datetime | None:
    """Return the as_of that a run was started with; None if it was started without one."""
    as_of = str(read_run_parameters(run).get("as_of", ""))
    if is_current_time(as_of):
        return None
    try:
        return parse_as_of(as_of)
    except ValueError:
        return None


def _has_report(lake: Lake, day: datetime, run: str) -> bool:
    """Say whether the step notify ended. When it fails, it sends an alarm itself."""
    for record in read_step_records(lake, day, run):
        if record["step"] == "notify":
            return bool(record["state"] != "started")
    return False
