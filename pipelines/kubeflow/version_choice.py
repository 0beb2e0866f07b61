"""Choose the version of the pipeline that `submit` and `schedule` run, and upload it if need be."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dawnlist.pipelines.kubeflow.api_version import (
    RUN_END_VERSION,
    ApiVersion,
    format_api_version,
    knows_run_end,
    require_api_version,
)
from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.output import show_version
from dawnlist.pipelines.kubeflow.parameters import (
    SHOP_PARAMETERS,
    build_run_parameters,
    has_run_end,
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
        _refuse_run_end(client, package, api_version)
        parameters = build_run_parameters(read_spec(package), values, assignments)
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

    Its runs have no end where the API is too old for it.
    """
    from dawnlist.pipelines.package import write_package

    placement = choice.placement_options.build_placement()
    if choice.placement_options.run_hours is None and not knows_run_end(api_version):
        placement = replace(placement, run_hours=0)
    package = folder / "dawnlist-daily.yaml"
    defaults = {name: value for name, value in values.items() if name in SHOP_PARAMETERS}
    write_package(package, placement, defaults=defaults)
    return package


def _refuse_run_end(client: KfpClient, package: Path, api_version: ApiVersion | None) -> None:
    """Refuse a package whose runs end at a deadline, for an API that does not know deadlines.

    Such an API would leave out the secrets, the settings and the nodes of the package, too.
    """
    if knows_run_end(api_version) or not has_run_end(package):
        return
    least = format_api_version(RUN_END_VERSION)
    raise ValueError(
        f"the package ends a run after some hours, which Kubeflow Pipelines before {least} does not know "
        f"({client.api_url}): compile it with --run-hours 0"
    )
