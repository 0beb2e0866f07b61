"""Commands that speak to Kubeflow Pipelines: `submit`, `schedule`, `unschedule` and `status`."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dawnlist.cuts import CURRENT_TIME_MACRO, SCHEDULED_TIME_MACRO
from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.options import FormatOption, NamespaceOption

if TYPE_CHECKING:
    from dawnlist.pipelines.kubeflow.client import KfpClient
    from dawnlist.pipelines.kubeflow.submission import PipelineVersion

PIPELINE_NAME = "dawnlist-daily"
SERVICE_ACCOUNT = "dawnlist-pipeline"

ClusterSourceOption = Annotated[
    str, typer.Option(help="Where interactions come from, as the pods reach it: docs/SOURCES.md.")
]
ClusterLakeOption = Annotated[str, typer.Option(help="`gs://` or `s3://` URI of the lake.")]
ClusterStoreOption = Annotated[
    str, typer.Option(help="URL of the store, e.g. `redis://HOST:6379/0`, without a password.")
]
ClusterSettingsOption = Annotated[
    str, typer.Option("--settings", help="URI of the shop's settings, as the pods reach it.")
]
AssignmentsOption = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Any other parameter of the pipeline; repeatable."
    ),
]
PackageOption = Annotated[
    Path | None,
    typer.Option(help="A compiled package, uploaded unless its very bytes are there. Without this, --nodes or "
                      "--image, the newest version that is there is taken."),
]  # fmt: skip
NodesOption = Annotated[
    str, typer.Option(help="Compile and upload: `gpu` or `cpu`, as `dawnlist compile --nodes`.")
]
ImageOption = Annotated[
    str, typer.Option(help="Compile and upload: the image that every step runs in.")
]
KfpHostOption = Annotated[
    str,
    typer.Option(
        help="URL of the API; default: KF_PIPELINES_ENDPOINT, else the cluster, as kfp finds it."
    ),
]
KfpNamespaceOption = Annotated[
    str, typer.Option("--kfp-namespace", help="Your profile, where Kubeflow has several users.")
]
ExperimentOption = Annotated[
    str, typer.Option(help="Group of runs in the UI; default: dawnlist-NAMESPACE.")
]
PipelineNameOption = Annotated[
    str, typer.Option("--pipeline-name", help="Name of the pipeline in the UI.")
]
ServiceAccountOption = Annotated[
    str, typer.Option("--service-account", help="Who the pods run as; empty: as Kubeflow does.")
]


def submit(
    source: ClusterSourceOption = "",
    lake: ClusterLakeOption = "",
    redis: ClusterStoreOption = "",
    as_of: Annotated[str, typer.Option(help="End of the day to learn from, e.g. 2026-01-31T03:00:00Z; default: when "
                                            "the run is made.")] = "",
    namespace: NamespaceOption = "default",
    settings: ClusterSettingsOption = "",
    assignments: AssignmentsOption = [],  # noqa: B006
    force: Annotated[str | None, typer.Option(help="Let the challenger go live whatever the gate's rules say: the "
                                                   "reason, which is written down.")] = None,
    package: PackageOption = None,
    nodes: NodesOption = "",
    image: ImageOption = "",
    host: KfpHostOption = "",
    space: KfpNamespaceOption = "",
    experiment: ExperimentOption = "",
    pipeline: PipelineNameOption = PIPELINE_NAME,
    account: ServiceAccountOption = SERVICE_ACCOUNT,
    detach: Annotated[bool, typer.Option("--detach", help="Start the run and leave.")] = False,
) -> None:  # fmt: skip
    """Run the pipeline on Kubeflow, follow it to its end, and say where the UI shows it.

    Example: `dawnlist submit --source postgresql://dawn@db/shop --lake gs://bucket/lake --redis redis://store:6379/0`
    """
    from dawnlist.pipelines.kubeflow.client import KfpClient
    from dawnlist.pipelines.kubeflow.output import show_run_progress, show_submitted_run
    from dawnlist.pipelines.kubeflow.parameters import collect_option_values
    from dawnlist.pipelines.kubeflow.submission import ensure_experiment, start_run

    given = collect_option_values(source, lake, redis, namespace, settings)
    given["as_of"] = option_parsing.parse_past_as_of(as_of) if as_of else CURRENT_TIME_MACRO
    if force is not None:
        given["force"] = option_parsing.parse_force_reason(force)
    client = KfpClient(host, space)
    version, parameters = _choose_version(
        client, pipeline, package, nodes, image, given, assignments
    )
    into = ensure_experiment(client, experiment or f"dawnlist-{namespace}")
    run_id = start_run(
        client, version, into, f"{pipeline} {namespace} {as_of or 'now'}", parameters, account
    )
    show_submitted_run(client, run_id, version)
    if not detach:
        raise typer.Exit(show_run_progress(client, run_id, version, lake, namespace))


def schedule(
    cron: Annotated[str, typer.Argument(help="When, UTC: minute hour day month weekday, e.g. `0 3 * * *`; a sixth "
                                             "field in front is seconds.")],
    source: ClusterSourceOption = "",
    lake: ClusterLakeOption = "",
    redis: ClusterStoreOption = "",
    namespace: NamespaceOption = "default",
    settings: ClusterSettingsOption = "",
    assignments: AssignmentsOption = [],  # noqa: B006
    catch_up: Annotated[bool, typer.Option("--catch-up", help="Run what was missed, too, once Kubeflow is back.")]
    = False,
    package: PackageOption = None,
    nodes: NodesOption = "",
    image: ImageOption = "",
    host: KfpHostOption = "",
    space: KfpNamespaceOption = "",
    experiment: ExperimentOption = "",
    pipeline: PipelineNameOption = PIPELINE_NAME,
    account: ServiceAccountOption = SERVICE_ACCOUNT,
) -> None:  # fmt: skip
    """Let Kubeflow run the pipeline by itself: one recurring run, replaced only when it is to be another.

    Example: `dawnlist schedule '0 3 * * *' --source postgresql://dawn@db/shop --lake gs://bucket/lake --redis redis://store:6379/0`
    """
    from dawnlist.pipelines.kubeflow.client import KfpClient
    from dawnlist.pipelines.kubeflow.output import show_schedule
    from dawnlist.pipelines.kubeflow.parameters import collect_option_values
    from dawnlist.pipelines.kubeflow.recurring_runs import RecurringRunSpec, ensure_recurring_run
    from dawnlist.pipelines.kubeflow.schedules import parse_schedule
    from dawnlist.pipelines.kubeflow.submission import ensure_experiment

    when = parse_schedule(cron)
    given = {
        **collect_option_values(source, lake, redis, namespace, settings),
        "as_of": SCHEDULED_TIME_MACRO,
    }
    client = KfpClient(host, space)
    version, parameters = _choose_version(
        client, pipeline, package, nodes, image, given, assignments
    )
    into = ensure_experiment(client, experiment or f"dawnlist-{namespace}")
    wanted = RecurringRunSpec(
        into, f"{pipeline}-{namespace}", version, when, parameters, account, catch_up
    )
    show_schedule(ensure_recurring_run(client, wanted), wanted)


def unschedule(
    namespace: NamespaceOption = "default",
    host: KfpHostOption = "",
    space: KfpNamespaceOption = "",
    experiment: ExperimentOption = "",
    pipeline: PipelineNameOption = PIPELINE_NAME,
) -> None:
    """End the schedule of a shop; runs that are under way go on.

    Example: `dawnlist unschedule --namespace shop`
    """
    from dawnlist.pipelines.kubeflow import recurring_runs, submission
    from dawnlist.pipelines.kubeflow.client import KfpClient

    client, name = KfpClient(host, space), f"{pipeline}-{namespace}"
    into = submission.find_experiment(client, experiment or f"dawnlist-{namespace}")
    found = recurring_runs.find_recurring_runs(client, into, name) if into else []
    recurring_runs.delete_recurring_runs(client, found)
    typer.echo(
        f"{name}: "
        + (
            f"no longer scheduled; it was: {_format_schedules(found)}"
            if found
            else "nothing was scheduled"
        )
    )


def status(
    namespace: NamespaceOption = "default",
    lake: ClusterLakeOption = "",
    redis: ClusterStoreOption = "",
    host: KfpHostOption = "",
    space: KfpNamespaceOption = "",
    experiment: ExperimentOption = "",
    pipeline: PipelineNameOption = PIPELINE_NAME,
    last: Annotated[int, typer.Option(min=1, max=100, help="So many runs.")] = 5,
    format_: FormatOption = "table",
) -> None:
    """Say how the last runs went, when the next is due, and, from the lake or the store, what is live and how old.

    Example: `dawnlist status --namespace shop --lake gs://bucket/lake --redis redis://store:6379/0`
    """
    from dawnlist.pipelines.kubeflow.client import KfpClient
    from dawnlist.pipelines.kubeflow.output import show_shop_status
    from dawnlist.pipelines.kubeflow.status import read_shop_status as found

    option_parsing.refuse_unknown_format(format_)
    told = found(KfpClient(host, space), f"{pipeline}-{namespace}", experiment or f"dawnlist-{namespace}", namespace, lake,
                 redis, last)  # fmt: skip
    if format_ == "json":
        typer.echo(json.dumps(told, indent=1))
    else:
        show_shop_status(told)


def _choose_version(
    client: "KfpClient",
    pipeline: str,
    package: Path | None,
    nodes: str,
    image: str,
    given: dict[str, Any],
    assignments: list[str],
) -> "tuple[PipelineVersion, dict[str, Any]]":
    """The version to run and its parameters; nothing is uploaded before they are checked."""
    from dawnlist.pipelines.kubeflow.output import show_version
    from dawnlist.pipelines.kubeflow.parameters import build_run_parameters, read_spec
    from dawnlist.pipelines.kubeflow.submission import ensure_version_uploaded, find_newest_version

    if package and (nodes or image):
        raise ValueError(
            "--package is compiled already: leave out --nodes and --image, or the package"
        )
    with tempfile.TemporaryDirectory() as folder:
        if nodes or image:
            package = _compile_package(Path(folder), nodes, image)
        found = None if package else find_newest_version(client, pipeline)
        if found is not None:
            show_version(found, uploaded=False, chosen=False)
            return found, build_run_parameters(found.spec, given, assignments)
        package = package or _compile_package(Path(folder), nodes, image)
        parameters = build_run_parameters(read_spec(package), given, assignments)
        version, new = ensure_version_uploaded(client, pipeline, package)
    show_version(version, uploaded=new, chosen=True)
    return version, parameters


def _compile_package(folder: Path, nodes: str, image: str) -> Path:
    from dawnlist.pipelines.package import write_package
    from dawnlist.pipelines.placement import Placement

    write_package(folder / f"{PIPELINE_NAME}.yaml", Placement(nodes or "cpu", image))
    return folder / f"{PIPELINE_NAME}.yaml"


def _format_schedules(found: list[Any]) -> str:
    from dawnlist.pipelines.kubeflow.recurring_runs import read_traits

    return ", ".join(str(read_traits(one)["schedule"]) for one in found)
