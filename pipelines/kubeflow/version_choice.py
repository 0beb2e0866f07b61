"""Choose the version of the pipeline that `submit` and `schedule` run, and upload it if need be."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dawnlist.pipelines.kubeflow.api_version import (
    ApiVersion,
    choose_kfp_version,
    format_api_version,
    require_api_version,
)
from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.output import show_version
from dawnlist.pipelines.kubeflow.parameters import (
    SHOP_PARAMETERS,
    build_run_parameters,
    read_needed_version,
    read_node_kind,
    read_spec,
    unwrap_pipeline_spec,
)
from dawnlist.pipelines.kubeflow.recurring_runs import find_recurring_runs, read_version
from dawnlist.pipelines.kubeflow.submission import (
    PipelineVersion,
    ensure_version_uploaded,
    find_experiment,
    find_newest_version,
)
from dawnlist.pipelines.placement_options import PlacementOptions


@dataclass(frozen=True)
class PackageChoice:
    """What the options say about the package to run."""

    pipeline: str
    """The name of the pipeline in the UI."""
    package: Path | None
    """A compiled package."""
    placement_options: PlacementOptions
    """Sizes, nodes and limits to compile for."""
    experiment: str
    """The name of the experiment of the shop's runs."""
    recurring_run: str
    """The name of the shop's recurring run."""

    def __post_init__(self) -> None:
        if self.package and self.needs_compiling:
            raise ValueError(
                "--package is compiled already: leave out the options of `dawnlist compile` (--nodes, --image, "
                "sizes), or the package"
            )

    @property
    def needs_compiling(self) -> bool:
        """Whether the options ask for a package of the code's own pipeline."""
        return self.placement_options.given


def choose_version(
    client: KfpClient, choice: PackageChoice, values: dict[str, Any], assignments: list[str]
) -> tuple[PipelineVersion, dict[str, Any]]:
    """Return the version to run and the run's parameters.

    A package is uploaded after the parameters have been checked against it. It has the shop's
    values as defaults. Without a package to upload, the newest version at the API is chosen that
    was compiled for the nodes of the shop's schedule, or for cpu nodes.

    Args:
        client: The client of the API.
        choice: What the options say about the package.
        values: Values of the parameters that have an option.
        assignments: Texts NAME=VALUE of --set.

    Raises:
        ValueError: A parameter is unknown, missing, given twice or of another type. Or the API is
            too old, for Dawnlist or for the package.
    """
    api_version = require_api_version(client)
    if choice.package is None and not choice.needs_compiling:
        nodes = _read_scheduled_nodes(client, choice)
        newest = find_newest_version(client, choice.pipeline, nodes)
        if newest is not None:
            show_version(newest, uploaded=False, chosen=False)
            return newest, build_run_parameters(newest.spec, values, assignments)
    with tempfile.TemporaryDirectory() as folder:
        package = choice.package or _compile_package(Path(folder), choice, api_version, values)
        parameters = build_run_parameters(read_spec(package), values, assignments)
        _refuse_newer_package(client, package, api_version)
        version, uploaded = ensure_version_uploaded(client, choice.pipeline, package)
    show_version(version, uploaded=uploaded, chosen=True)
    return version, parameters


def _read_scheduled_nodes(client: KfpClient, choice: PackageChoice) -> str:
    """Return the kind of nodes that the shop's schedule runs on; "cpu" without a schedule."""
    experiment_id = find_experiment(client, choice.experiment)
    if experiment_id is None:
        return "cpu"
    for run in find_recurring_runs(client, experiment_id, choice.recurring_run):
        version = read_version(client, run)
        if version is not None:
            return read_node_kind(unwrap_pipeline_spec(version.pipeline_spec))
    return "cpu"


def _compile_package(
    folder: Path, choice: PackageChoice, api_version: ApiVersion | None, values: dict[str, Any]
) -> Path:
    """Compile the code's pipeline, with the shop's values as defaults.

    It lacks what the API is too old for.
    """
    from dawnlist.pipelines.package import write_package

    placement = choice.placement_options.build_placement(choose_kfp_version(api_version))
    package = folder / "dawnlist-daily.yaml"
    defaults = {name: value for name, value in values.items() if name in SHOP_PARAMETERS}
    write_package(package, placement, defaults=defaults)
    return package


def _refuse_newer_package(client: KfpClient, package: Path, api_version: ApiVersion | None) -> None:
    """Refuse a package that the API is too old for.

    The API would refuse its runs, or leave out the secrets, the settings and the nodes of the
    package. An API whose version is not known may be new enough.
    """
    needed = read_needed_version(package)
    if api_version is None or api_version >= needed:
        return
    version = format_api_version(api_version)
    raise ValueError(
        f"the package needs Kubeflow Pipelines {format_api_version(needed)} or newer, and "
        f"{client.api_url} is {version}: compile it with --kfp-version {version}"
    )
