"""The command `dawnlist housekeep`, which a cron job runs once a day on a cluster."""

from typing import TYPE_CHECKING

import typer

from dawnlist.pipelines.kubeflow import options
from dawnlist.pipelines.options import NamespaceOption, SettingsOption

if TYPE_CHECKING:
    from dawnlist.lake.lake import Lake
    from dawnlist.settings import Settings


def housekeep_command(
    lake: options.ClusterLakeOption = "",
    namespace: NamespaceOption = "default",
    settings: SettingsOption = "",
    host: options.KfpHostOption = "",
    space: options.KfpNamespaceOption = "",
    experiment: options.ExperimentOption = "",
) -> None:
    """Tell about runs without a report, and tidy the lake as `lake expire`.

    Example: `dawnlist housekeep --lake gs://bucket/lake --namespace shop`
    """
    from dawnlist.lake.lake import Lake
    from dawnlist.pipelines.lake.commands import expire_lake_and_show
    from dawnlist.settings import Settings

    if not lake:
        raise ValueError("housekeeping is done in a lake: give --lake")
    loaded_settings = Settings.load(settings)
    opened = Lake.open(lake, namespace)
    experiment = experiment or f"dawnlist-{namespace}"
    all_told = _tell_about_unreported_runs(
        host, space, experiment, opened, namespace, loaded_settings
    )
    expire_lake_and_show(opened, loaded_settings.keep)
    if not all_told:
        raise typer.Exit(1)


def _tell_about_unreported_runs(
    host: str, space: str, experiment: str, lake: "Lake", namespace: str, settings: "Settings"
) -> bool:
    """Tell about runs without a report. An error is printed, so that housekeeping goes on.

    Returns:
        Whether runs were looked for.
    """
    from datetime import UTC, datetime

    from dawnlist.pipelines.kubeflow.client import KfpClient
    from dawnlist.pipelines.kubeflow.unreported_runs import tell_about_unreported_runs
    from dawnlist.urls import format_error

    now = datetime.now(UTC)
    try:
        client = KfpClient(host, space)
        log_lines = tell_about_unreported_runs(
            client, experiment, lake, namespace, settings.notify, now
        )
    except Exception as error:  # whatever it is, the lake must be tidied
        typer.echo(
            f"dawnlist: runs without a report were not looked for: {format_error(error)}", err=True
        )
        return False
    for line in log_lines:
        typer.echo(line)
    return True
