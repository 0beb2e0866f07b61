"""Read the parameters of a compiled pipeline, and check their values before anything is sent."""

from pathlib import Path
from typing import Any, Final

from dawnlist.pipelines.deploy.manifests import YAML_LOADER
from dawnlist.pipelines.kubeflow.api_version import (
    LEAST_VERSION,
    RUN_END_VERSION,
    STEP_USER_VERSION,
    ApiVersion,
)
from dawnlist.pipelines.kubeflow.assignments import parse_assignments
from dawnlist.pipelines.output_files import require_package
from dawnlist.records.run_parameters import PARAMETER_OPTIONS
from dawnlist.settings import MOUNTED_SETTINGS
from dawnlist.yaml_documents import parse_yaml_documents

PipelineSpec = dict[str, Any]
"""The specification of a pipeline, as in a package or at the API."""

SHOP_PARAMETERS: Final = ("shop", "shop_lake", "shop_settings", "shop_source", "shop_store")
"""Parameters that say where the shop is. They have no default of the pipeline's own in a run."""


def read_spec(package: Path) -> PipelineSpec:
    """Read the specification from a compiled package.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a compiled pipeline.
    """
    data = require_package(package).read_bytes()
    try:
        spec = next(parse_yaml_documents(data, YAML_LOADER))
        assert "root" in spec and "components" in spec
    except (ValueError, StopIteration, AssertionError, TypeError):
        raise ValueError(
            f"{str(package)!r} is not a compiled pipeline: `dawnlist compile --output FILE.yaml` writes one"
        ) from None
    return dict(spec)


def read_needed_version(package: Path) -> ApiVersion:
    """Read which version of Kubeflow Pipelines a compiled package needs at least."""
    data = require_package(package).read_bytes()
    needed = LEAST_VERSION
    for document in parse_yaml_documents(data, YAML_LOADER):
        kubernetes = (document.get("platforms") or {}).get("kubernetes") or {}
        if kubernetes.get("pipelineConfig"):
            return RUN_END_VERSION
        executors = (kubernetes.get("deploymentSpec") or {}).get("executors") or {}
        if any("securityContext" in executor for executor in executors.values()):
            needed = STEP_USER_VERSION
    return needed


def get_declared_parameters(spec: PipelineSpec) -> dict[str, Any]:
    """Return the parameters that a pipeline declares: name -> type, default, description."""
    return dict(spec["root"].get("inputDefinitions", {}).get("parameters", {}))


def get_description(spec: PipelineSpec) -> str:
    """Return the description that a pipeline has in its package, in one paragraph."""
    return " ".join(spec.get("pipelineInfo", {}).get("description", "").split())


def read_node_kind(spec: PipelineSpec) -> str:
    """Return the kind of nodes that a package was compiled for: "gpu" or "cpu"."""
    for executor in spec.get("deploymentSpec", {}).get("executors", {}).values():
        if "accelerator" in executor.get("container", {}).get("resources", {}):
            return "gpu"
    return "cpu"


def unwrap_pipeline_spec(answer: Any) -> PipelineSpec:
    """Return the specification from an answer of the API.

    The API wraps the specification when it also holds options for Kubernetes.
    """
    if not answer:
        return {}
    return dict(answer.get("pipeline_spec", answer))


def collect_step_names(spec: PipelineSpec) -> set[str]:
    """Collect the names of the tasks that run a container.

    Tasks inside conditions and exit handlers are among them.
    """
    components = spec["components"]
    step_names = set()
    for component in (spec["root"], *components.values()):
        tasks = component.get("dag", {}).get("tasks", {})
        for name, task in tasks.items():
            task_component = components[task["componentRef"]["name"]]
            if "executorLabel" in task_component:
                step_names.add(name)
    return step_names


def build_run_parameters(
    spec: PipelineSpec, values: dict[str, Any], assignments: list[str]
) -> dict[str, Any]:
    """Build the parameters of a run, and check them against those that the pipeline declares.

    Where the package was compiled for the run's shop, its values of the shop are filled in. Those
    of another shop don't count.

    Args:
        spec: The specification of the pipeline.
        values: Values of parameters that have an option.
        assignments: Texts NAME=VALUE of --set. Each value is parsed by the parameter's type.

    Raises:
        ValueError: A parameter is unknown, given twice, of another type, or missing.
    """
    declared = get_declared_parameters(spec)
    if "shop" not in declared:
        raise ValueError(
            "the package was compiled by an older release, whose parameters had other names: compile it anew, or "
            "give an option of `dawnlist compile`, such as --image"
        )
    kinds = {name: parameter["parameterType"] for name, parameter in declared.items()}
    shop_values = _read_shop_values(declared, values.get("shop"))
    parameters = {**shop_values, **values, **parse_assignments(assignments, kinds)}
    _refuse_unknown_parameters(parameters, declared)
    _refuse_missing_parameters(parameters, declared)
    return parameters


def _read_shop_values(declared: dict[str, Any], shop: str | None) -> dict[str, str]:
    """Read the shop's values that a package was compiled with; of another shop's package none."""
    defaults = {name: declared.get(name, {}).get("defaultValue") for name in SHOP_PARAMETERS}
    if shop not in (None, defaults["shop"]):
        defaults = {"shop_settings": MOUNTED_SETTINGS}
    return {name: value for name, value in defaults.items() if value and name in declared}


def _refuse_unknown_parameters(parameters: dict[str, Any], declared: dict[str, Any]) -> None:
    unknown = sorted(set(parameters) - set(declared))
    if unknown:
        raise ValueError(
            f"the pipeline has no parameter {', '.join(unknown)}: it has {', '.join(sorted(declared))}"
        )


def _refuse_missing_parameters(parameters: dict[str, Any], declared: dict[str, Any]) -> None:
    missing = []
    for name in sorted(set(declared) - set(parameters)):
        has_default = declared[name].get("isOptional") or "defaultValue" in declared[name]
        if not has_default or name in SHOP_PARAMETERS:
            missing.append(name)
    if missing:
        options = ", ".join(map(_name_option, missing))
        raise ValueError(f"the pipeline needs a value for {', '.join(missing)}: give {options}")


def _name_option(parameter: str) -> str:
    """Name the option that sets a parameter."""
    return PARAMETER_OPTIONS.get(parameter, f"--set {parameter}=…")
