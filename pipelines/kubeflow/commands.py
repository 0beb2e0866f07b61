"""Commands that speak to Kubeflow Pipelines: `submit`, `schedule`, `unschedule` and `status`."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dawnlist.cuts import NOW, SCHEDULED
from dawnlist.pipelines import arguments
from dawnlist.pipelines.options import Namespace
from dawnlist.pipelines.store.commands import Format

if TYPE_CHECKING:
    from dawnlist.pipelines.kubeflow.client import Client
    from dawnlist.pipelines.kubeflow.submission import Version

PIPELINE = "dawnlist-daily"
ACCOUNT = "dawnlist-pipeline"

Source = Annotated[str, typer.Option(help="Where interactions come from, as the pods reach it: docs/SOURCES.md.")]
Lake = Annotated[str, typer.Option(help="`gs://` or `s3://` URI of the lake.")]
Store = Annotated[str, typer.Option(help="URL of the store, e.g. `redis://HOST:6379/0`, without a password.")]
SettingsUri = Annotated[str, typer.Option("--settings", help="URI of the shop's settings, as the pods reach it.")]
Assignments = Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="Any other parameter of the pipeline; repeatable.")
]
Package = Annotated[
    Path | None,
    typer.Option(help="A compiled package, uploaded unless its very bytes are there. Without this, --nodes or "
                      "--image, the newest version that is there is taken."),
]  # fmt: skip
Nodes = Annotated[str, typer.Option(help="Compile and upload: `gpu` or `cpu`, as `dawnlist compile --nodes`.")]
Image = Annotated[str, typer.Option(help="Compile and upload: the image that every step runs in.")]
Host = Annotated[
    str, typer.Option(help="URL of the API; default: KF_PIPELINES_ENDPOINT, else the cluster, as kfp finds it.")
]
Space = Annotated[str, typer.Option("--kfp-namespace", help="Your profile, where Kubeflow has several users.")]
Experiment = Annotated[str, typer.Option(help="Group of runs in the UI; default: dawnlist-NAMESPACE.")]
Pipeline = Annotated[str, typer.Option("--pipeline-name", help="Name of the pipeline in the UI.")]
Account = Annotated[str, typer.Option("--service-account", help="Who the pods run as; empty: as Kubeflow does.")]


def submit(
    source: Source = "",
    lake: Lake = "",
    redis: Store = "",
    as_of: Annotated[str, typer.Option(help="End of the day to learn from, e.g. 2026-01-31T03:00:00Z; default: when "
                                            "the run is made.")] = "",
    namespace: Namespace = "default",
    settings: SettingsUri = "",
    assignments: Assignments = [],  # noqa: B006
    force: Annotated[str | None, typer.Option(help="Let the challenger go live whatever the gate's rules say: the "
                                                   "reason, which is written down.")] = None,
    package: Package = None,
    nodes: Nodes = "",
    image: Image = "",
    host: Host = "",
    space: Space = "",
    experiment: Experiment = "",
    pipeline: Pipeline = PIPELINE,
    account: Account = ACCOUNT,
    detach: Annotated[bool, typer.Option("--detach", help="Start the run and leave.")] = False,
) -> None:  # fmt: skip
    """Run the pipeline on Kubeflow, follow it to its end, and say where the UI shows it.

    Example: `dawnlist submit --source postgresql://dawn@db/shop --lake gs://bucket/lake --redis redis://store:6379/0`
    """
    from dawnlist.pipelines.kubeflow.client import Client
    from dawnlist.pipelines.kubeflow.parameters import options
    from dawnlist.pipelines.kubeflow.submission import made_experiment, run
    from dawnlist.pipelines.kubeflow.words import show_run, show_submitted

    given = options(source, lake, redis, namespace, settings)
    given["as_of"] = arguments.checked_as_of(as_of) if as_of else NOW
    if force is not None:
        given["force"] = arguments.forced(force)
    client = Client(host, space)
    version, parameters = _chosen(client, pipeline, package, nodes, image, given, assignments)
    into = made_experiment(client, experiment or f"dawnlist-{namespace}")
    run_id = run(client, version, into, f"{pipeline} {namespace} {as_of or 'now'}", parameters, account)
    show_submitted(client, run_id, version)
    if not detach:
        raise typer.Exit(show_run(client, run_id, version, lake, namespace))


def schedule(
    cron: Annotated[str, typer.Argument(help="When, UTC: minute hour day month weekday, e.g. `0 3 * * *`; a sixth "
                                             "field in front is seconds.")],
    source: Source = "",
    lake: Lake = "",
    redis: Store = "",
    namespace: Namespace = "default",
    settings: SettingsUri = "",
    assignments: Assignments = [],  # noqa: B006
    catch_up: Annotated[bool, typer.Option("--catch-up", help="Run what was missed, too, once Kubeflow is back.")]
    = False,
    package: Package = None,
    nodes: Nodes = "",
    image: Image = "",
    host: Host = "",
    space: Space = "",
    experiment: Experiment = "",
    pipeline: Pipeline = PIPELINE,
    account: Account = ACCOUNT,
) -> None:  # fmt: skip
    """Let Kubeflow run the pipeline by itself: one recurring run, replaced only when it is to be another.

    Example: `dawnlist schedule '0 3 * * *' --source postgresql://dawn@db/shop --lake gs://bucket/lake --redis redis://store:6379/0`
    """
    from dawnlist.pipelines.kubeflow.client import Client
    from dawnlist.pipelines.kubeflow.cron import six_fields
    from dawnlist.pipelines.kubeflow.parameters import options
    from dawnlist.pipelines.kubeflow.recurring import Wanted, settle
    from dawnlist.pipelines.kubeflow.submission import made_experiment
    from dawnlist.pipelines.kubeflow.words import show_schedule

    when = six_fields(cron)
    given = {**options(source, lake, redis, namespace, settings), "as_of": SCHEDULED}
    client = Client(host, space)
    version, parameters = _chosen(client, pipeline, package, nodes, image, given, assignments)
    into = made_experiment(client, experiment or f"dawnlist-{namespace}")
    wanted = Wanted(into, f"{pipeline}-{namespace}", version, when, parameters, account, catch_up)
    show_schedule(settle(client, wanted), wanted)


def unschedule(
    namespace: Namespace = "default",
    host: Host = "",
    space: Space = "",
    experiment: Experiment = "",
    pipeline: Pipeline = PIPELINE,
) -> None:
    """End the schedule of a shop; runs that are under way go on.

    Example: `dawnlist unschedule --namespace shop`
    """
    from dawnlist.pipelines.kubeflow import recurring, submission
    from dawnlist.pipelines.kubeflow.client import Client

    client, name = Client(host, space), f"{pipeline}-{namespace}"
    into = submission.experiment(client, experiment or f"dawnlist-{namespace}")
    found = recurring.standing(client, into, name) if into else []
    recurring.remove(client, found)
    typer.echo(f"{name}: " + (f"no longer scheduled; it was: {_times(found)}" if found else "nothing was scheduled"))


def status(
    namespace: Namespace = "default",
    lake: Lake = "",
    redis: Store = "",
    host: Host = "",
    space: Space = "",
    experiment: Experiment = "",
    pipeline: Pipeline = PIPELINE,
    last: Annotated[int, typer.Option(min=1, max=100, help="So many runs.")] = 5,
    format_: Format = "table",
) -> None:
    """Say how the last runs went, when the next is due, and, from the lake or the store, what is live and how old.

    Example: `dawnlist status --namespace shop --lake gs://bucket/lake --redis redis://store:6379/0`
    """
    from dawnlist.pipelines.kubeflow.client import Client
    from dawnlist.pipelines.kubeflow.status import status as found
    from dawnlist.pipelines.kubeflow.words import show_status

    arguments.checked_format(format_)
    told = found(Client(host, space), f"{pipeline}-{namespace}", experiment or f"dawnlist-{namespace}", namespace, lake,
                 redis, last)  # fmt: skip
    if format_ == "json":
        typer.echo(json.dumps(told, indent=1))
    else:
        show_status(told)


def _chosen(
    client: "Client",
    pipeline: str,
    package: Path | None,
    nodes: str,
    image: str,
    given: dict[str, Any],
    assignments: list[str],
) -> "tuple[Version, dict[str, Any]]":
    """The version to run and its parameters; nothing is uploaded before they are checked."""
    from dawnlist.pipelines.kubeflow.parameters import checked, read_spec
    from dawnlist.pipelines.kubeflow.submission import newest, uploaded
    from dawnlist.pipelines.kubeflow.words import show_version

    if package and (nodes or image):
        raise ValueError("--package is compiled already: leave out --nodes and --image, or the package")
    with tempfile.TemporaryDirectory() as folder:
        if nodes or image:
            package = _compiled(Path(folder), nodes, image)
        found = None if package else newest(client, pipeline)
        if found is not None:
            show_version(found, uploaded=False, chosen=False)
            return found, checked(found.spec, given, assignments)
        package = package or _compiled(Path(folder), nodes, image)
        parameters = checked(read_spec(package), given, assignments)
        version, new = uploaded(client, pipeline, package)
    show_version(version, uploaded=new, chosen=True)
    return version, parameters


def _compiled(folder: Path, nodes: str, image: str) -> Path:
    from dawnlist.pipelines.package import write_package
    from dawnlist.pipelines.placement import Placement

    write_package(folder / f"{PIPELINE}.yaml", Placement(nodes or "cpu", image))
    return folder / f"{PIPELINE}.yaml"


def _times(found: list[Any]) -> str:
    from dawnlist.pipelines.kubeflow.recurring import traits

    return ", ".join(str(traits(one)["schedule"]) for one in found)
