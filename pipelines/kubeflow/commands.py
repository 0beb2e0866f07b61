"""The commands that talk to Kubeflow Pipelines: `submit`, `schedule`, `unschedule` and `status`."""

import json
from typing import Annotated

import typer

from dawnlist.cuts import format_iso
from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.kubeflow import options
from dawnlist.pipelines.options import ForceOption, FormatOption, RequirePublishedOption
from dawnlist.pipelines.placement_options import PlacementOptions, add_placement_options

PIPELINE_NAME = "dawnlist-daily"
SERVICE_ACCOUNT = "dawnlist-pipeline"


@add_placement_options
def submit_command(
    source: options.ClusterSourceOption = "",
    lake: options.ClusterLakeOption = "",
    redis: options.ClusterStoreOption = "",
    as_of: options.SubmitAsOfOption = "",
    namespace: options.ShopNameOption = "",
    settings: options.ClusterSettingsOption = "",
    shop: options.ShopFileOption = "",
    assignments: options.AssignmentsOption = [],  # noqa: B006 - typer reads the default
    force: ForceOption = None,
    package: options.PackageOption = None,
    host: options.KfpHostOption = "",
    space: options.KfpNamespaceOption = "",
    experiment: options.ExperimentOption = "",
    pipeline: options.PipelineNameOption = PIPELINE_NAME,
    account: options.ServiceAccountOption = SERVICE_ACCOUNT,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start the run, and do not wait for its end.")
    ] = False,
    pending_minutes: options.PendingMinutesOption = None,
    require_published: RequirePublishedOption = False,
    *,
    placement_options: PlacementOptions,
) -> None:
    """Run the pipeline on Kubeflow, follow the run to its end, and print its link in the UI.

    Example: `dawnlist submit --source postgresql://dawn@db/shop --lake gs://bucket/lake --redis redis://store:6379/0`
    """
    from dawnlist.lake.lake import Lake
    from dawnlist.pipelines.kubeflow.client import KfpClient
    from dawnlist.pipelines.kubeflow.output import show_run_progress, show_submitted_run
    from dawnlist.pipelines.kubeflow.shop_values import collect_option_values
    from dawnlist.pipelines.kubeflow.submission import ensure_experiment, start_run
    from dawnlist.pipelines.kubeflow.version_choice import PackageChoice, choose_version
    from dawnlist.pipelines.publication import check_publication_in_lake

    if require_published and detach:
        raise ValueError("--require-published waits for the run's end: leave out --detach")
    values = collect_option_values(source, lake, redis, namespace, settings, shop)
    namespace = values["shop"]
    if as_of:
        values["as_of"] = format_iso(option_parsing.parse_past_as_of(as_of))
    if force is not None:
        values["force_publish"] = option_parsing.parse_force_reason(force)
    client = KfpClient(host, space)
    experiment = _name_experiment(experiment, namespace)
    recurring_run = _name_recurring_run(pipeline, namespace)
    choice = PackageChoice(pipeline, package, placement_options, experiment, recurring_run)
    version, parameters = choose_version(client, choice, values, assignments)
    experiment_id = ensure_experiment(client, experiment)
    run_name = f"{pipeline} {namespace} {as_of or 'now'}"
    run_id = start_run(client, version, experiment_id, run_name, parameters, account)
    show_submitted_run(client, run_id, version)
    if not detach:
        lake = parameters["shop_lake"]
        code = show_run_progress(client, run_id, version, lake, namespace, pending_minutes)
        if code == 0 and require_published:
            code = check_publication_in_lake(Lake.open(lake, namespace), run_id)
        raise typer.Exit(code)


@add_placement_options
def schedule_command(
    cron: Annotated[
        str,
        typer.Argument(
            help="When to run, in UTC: minute hour day month weekday, e.g. `0 3 * * *`; a sixth "
            "field in front is seconds."
        ),
    ],
    source: options.ClusterSourceOption = "",
    lake: options.ClusterLakeOption = "",
    redis: options.ClusterStoreOption = "",
    namespace: options.ShopNameOption = "",
    settings: options.ClusterSettingsOption = "",
    shop: options.ShopFileOption = "",
    assignments: options.AssignmentsOption = [],  # noqa: B006 - typer reads the default
    catch_up: options.CatchUpOption = False,
    package: options.PackageOption = None,
    host: options.KfpHostOption = "",
    space: options.KfpNamespaceOption = "",
    experiment: options.ExperimentOption = "",
    pipeline: options.PipelineNameOption = PIPELINE_NAME,
    account: options.ServiceAccountOption = SERVICE_ACCOUNT,
    *,
    placement_options: PlacementOptions,
) -> None:
    """Let Kubeflow run the pipeline regularly. A schedule that is as requested stays untouched.

    Example: `dawnlist schedule '0 3 * * *' --source postgresql://dawn@db/shop --lake gs://bucket/lake --redis redis://store:6379/0`
    """
    from dawnlist.pipelines.kubeflow.catch_up import open_catch_up_lake, run_missing_days
    from dawnlist.pipelines.kubeflow.client import KfpClient
    from dawnlist.pipelines.kubeflow.output import show_schedule
    from dawnlist.pipelines.kubeflow.recurring_runs import RecurringRunSpec, ensure_recurring_run
    from dawnlist.pipelines.kubeflow.schedules import parse_schedule
    from dawnlist.pipelines.kubeflow.shop_values import collect_option_values
    from dawnlist.pipelines.kubeflow.submission import ensure_experiment
    from dawnlist.pipelines.kubeflow.version_choice import PackageChoice, choose_version

    due_times = parse_schedule(cron)
    values = collect_option_values(source, lake, redis, namespace, settings, shop)
    namespace = values["shop"]
    client = KfpClient(host, space)
    experiment = _name_experiment(experiment, namespace)
    recurring_run = _name_recurring_run(pipeline, namespace)
    choice = PackageChoice(pipeline, package, placement_options, experiment, recurring_run)
    version, parameters = choose_version(client, choice, values, assignments)
    opened_lake = None
    if catch_up:
        opened_lake = open_catch_up_lake(parameters["shop_lake"], namespace)
    experiment_id = ensure_experiment(client, experiment)
    spec = RecurringRunSpec(
        experiment_id,
        recurring_run,
        version,
        due_times,
        parameters,
        account,
    )
    show_schedule(ensure_recurring_run(client, spec), spec)
    if opened_lake:
        raise typer.Exit(run_missing_days(client, spec, opened_lake, namespace))


def unschedule_command(
    namespace: options.ShopNameOption = "",
    shop: options.ShopFileOption = "",
    host: options.KfpHostOption = "",
    space: options.KfpNamespaceOption = "",
    experiment: options.ExperimentOption = "",
    pipeline: options.PipelineNameOption = PIPELINE_NAME,
) -> None:
    """End the schedule of a shop. Runs that have started go on.

    Example: `dawnlist unschedule --namespace shop`
    """
    from dawnlist.pipelines.kubeflow import recurring_runs, submission
    from dawnlist.pipelines.kubeflow.client import KfpClient
    from dawnlist.pipelines.kubeflow.shop_values import read_shop_section

    namespace = namespace or read_shop_section(shop).name
    client = KfpClient(host, space)
    name = _name_recurring_run(pipeline, namespace)
    experiment_id = submission.find_experiment(client, _name_experiment(experiment, namespace))
    runs = []
    if experiment_id:
        runs = recurring_runs.find_recurring_runs(client, experiment_id, name)
    recurring_runs.delete_recurring_runs(client, runs)
    if runs:
        schedules = ", ".join(str(recurring_runs.read_traits(run)["schedule"]) for run in runs)
        typer.echo(f"{name}: no longer scheduled; it was: {schedules}")
    else:
        typer.echo(f"{name}: nothing was scheduled")


def shop_status_command(
    namespace: options.ShopNameOption = "",
    lake: options.ClusterLakeOption = "",
    redis: options.ClusterStoreOption = "",
    shop: options.ShopFileOption = "",
    host: options.KfpHostOption = "",
    space: options.KfpNamespaceOption = "",
    experiment: options.ExperimentOption = "",
    pipeline: options.PipelineNameOption = PIPELINE_NAME,
    last: Annotated[int, typer.Option(min=1, max=100, help="Number of runs to show.")] = 5,
    format_: FormatOption = "table",
) -> None:
    """Show the last runs and the next one. With --lake or --redis, also show what is live.

    Without a cluster that can be reached, show what the lake and the store know.

    Example: `dawnlist status --namespace shop --lake gs://bucket/lake --redis redis://store:6379/0`
    """
    from dawnlist.pipelines.kubeflow.client import KfpClient
    from dawnlist.pipelines.kubeflow.controller_check import find_controller_fault
    from dawnlist.pipelines.kubeflow.output import show_shop_status, show_warning
    from dawnlist.pipelines.kubeflow.shop_values import read_shop_section
    from dawnlist.pipelines.kubeflow.status import read_shop_status

    shop_section = read_shop_section(shop)
    namespace = namespace or shop_section.name
    option_parsing.refuse_unknown_format(format_)
    client, no_cluster = None, None
    try:
        client = KfpClient(host, space)
    except ConnectionError as error:
        if not lake and not redis:
            raise
        no_cluster = str(error)
    status = read_shop_status(
        client,
        _name_recurring_run(pipeline, namespace),
        _name_experiment(experiment, namespace),
        namespace,
        lake or shop_section.lake,
        redis or shop_section.store,
        last,
    )
    status["no_cluster"] = no_cluster
    if format_ == "json":
        typer.echo(json.dumps(status, indent=1))
    else:
        show_shop_status(status)
    if client:
        show_warning(find_controller_fault())


def _name_experiment(experiment: str, namespace: str) -> str:
    return experiment or f"dawnlist-{namespace}"


def _name_recurring_run(pipeline: str, namespace: str) -> str:
    return f"{pipeline}-{namespace}"
