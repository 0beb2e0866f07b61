"""Command-line options of the commands that talk to Kubeflow Pipelines."""

from pathlib import Path
from typing import Annotated

import typer

ClusterSourceOption = Annotated[
    str,
    typer.Option(
        help="Where interactions come from, as the pods reach it (see --source of `dawnlist run`, "
        "and docs/SOURCES.md)."
    ),
]
ClusterLakeOption = Annotated[str, typer.Option(help="`gs://` or `s3://` URI of the lake.")]
ClusterStoreOption = Annotated[
    str, typer.Option(help="URL of the store, e.g. `redis://HOST:6379/0`, without a password.")
]
ClusterSettingsOption = Annotated[
    str,
    typer.Option(
        "--settings",
        help="URI of the shop's settings, as the pods reach it; default: `/settings/settings.yaml`, "
        "where each pod mounts the config map `dawnlist-settings`, if there is one.",
    ),
]
ShopFileOption = Annotated[
    str,
    typer.Option(
        "--shop",
        help="The shop's settings file, as this machine reads it. Its section `shop` has what is not "
        "given by --source, --lake, --redis, --namespace and --settings.",
    ),
]
ShopNameOption = Annotated[
    str,
    typer.Option(
        "--namespace",
        help="The shop's name. It prefixes every path and key. Default: the one of --shop, else "
        "`default`.",
    ),
]
SubmitAsOfOption = Annotated[
    str,
    typer.Option(
        help="End of the day to learn from, e.g. 2026-01-31T03:00:00Z; default: the time when the "
        "run's first step begins."
    ),
]
AssignmentsOption = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Any other parameter of the pipeline; repeatable."
    ),
]
PackageOption = Annotated[
    Path | None,
    typer.Option(
        help="A compiled package. It is uploaded unless the same bytes are there. Without it, and "
        "without an option of `compile`, the newest uploaded version runs."
    ),
]
KfpHostOption = Annotated[
    str,
    typer.Option(
        help="URL of the API; default: KF_PIPELINES_ENDPOINT, else the cluster that kfp finds."
    ),
]
KfpNamespaceOption = Annotated[
    str,
    typer.Option("--kfp-namespace", help="Your profile, in a Kubeflow with several users."),
]
ExperimentOption = Annotated[
    str, typer.Option(help="Group of runs in the UI; default: dawnlist-NAMESPACE.")
]
PipelineNameOption = Annotated[
    str, typer.Option("--pipeline-name", help="Name of the pipeline in the UI.")
]
ServiceAccountOption = Annotated[
    str,
    typer.Option(
        "--service-account",
        help="Service account of the pods; empty for the one that Kubeflow chooses.",
    ),
]
CatchUpOption = Annotated[
    bool,
    typer.Option(
        "--catch-up",
        help="Also run the days that were missed, now: the oldest first, one after the other, each "
        "with its own as_of. They are found in the lake.",
    ),
]
PendingMinutesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="End the run when a pod of it has waited for so many minutes; default: only --run-hours ends "
        "it.",
    ),
]
