"""Read the parameters of a compiled pipeline, and check their values before anything is sent."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dawnlist.model.hyper_parameters import BY_NAME
from dawnlist.pipelines.deploy.manifests import YAML_LOADER
from dawnlist.pipelines.kubeflow.api_version import (
    LEAST_VERSION,
    RUN_END_VERSION,
    STEP_USER_VERSION,
    ApiVersion,
)
from dawnlist.pipelines.package import require_package
from dawnlist.records.run_parameters import PARAMETER_OPTIONS, parse_search
from dawnlist.urls import REDIS_PASSWORD, SOURCE_PASSWORD, refuse_password
from dawnlist.yaml_documents import parse_yaml_documents

PipelineSpec = dict[str, Any]
"""The specification of a pipeline, as in a package or at the API."""

SEARCH_KINDS: Final = {
    "search_mode": "STRING",
    "metric": "STRING",
    "iterations": "NUMBER_INTEGER",
    "seed": "NUMBER_INTEGER",
    **dict.fromkeys(BY_NAME, "LIST"),
}
"""Entries of the parameter `search`, which --set takes as it takes parameters, with their types."""


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


def collect_option_values(
    source: str, lake: str, redis: str, namespace: str, settings: str
) -> dict[str, str]:
    """Collect the parameters that were given as options, by name.

    Raises:
        ValueError: A URL contains a password, or the pods of a cluster can't use the value.
    """
    from dawnlist.namespace import check_namespace

    refuse_password(source, SOURCE_PASSWORD)
    refuse_password(redis, REDIS_PASSWORD)
    if lake and not lake.startswith(("gs://", "s3://")):
        raise ValueError(
            f"pods can't reach the lake {lake!r}: give gs://BUCKET/PATH or s3://BUCKET/PATH"
        )
    if redis and "://" not in redis:
        raise ValueError(
            f"pods can't reach the store {redis!r}: give a URL, e.g. redis://HOST:6379/0"
        )
    values = {"shop": check_namespace(namespace)}
    options = {
        "shop_source": source,
        "shop_lake": lake,
        "shop_store": redis,
        "shop_settings": settings,
    }
    for name, value in options.items():
        if value:
            values[name] = value
    return values


def build_run_parameters(
    spec: PipelineSpec, values: dict[str, Any], assignments: list[str]
) -> dict[str, Any]:
    """Build the parameters of a run, and check them against those that the pipeline declares.

    Args:
        spec: The specification of the pipeline.
        values: Values of parameters that have an option.
        assignments: Texts NAME=VALUE of --set. Each value is parsed by the parameter's type.

    Raises:
        ValueError: A parameter is unknown, given twice, of another type, or missing.
    """
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    kinds = {name: parameter["parameterType"] for name, parameter in declared.items()}
    parameters = {**values, **parse_assignments(assignments, kinds)}
    _refuse_unknown_parameters(parameters, declared)
    _refuse_missing_parameters(parameters, declared)
    return parameters


def parse_assignments(assignments: Sequence[str], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Parse texts NAME=VALUE of --set. A name is that of a parameter or of an entry of `search`.

    Args:
        assignments: The texts, e.g. list_length=10 or factors=32,64.
        kinds: kfp's names of the parameters' types, by parameter.

    Returns:
        The parameters by name. One that `kinds` does not have is a text.

    Raises:
        ValueError: A text has no equals sign, or a value is given twice, has an option of its own,
            is of another type, or is nothing that a search takes.
    """
    parameters: dict[str, Any] = {}
    search_entries: dict[str, Any] = {}
    for assignment in assignments:
        name, text = split_assignment(assignment)
        if name in parameters or name in search_entries:
            raise ValueError(f"--set {name}=… is given twice")
        if name in kinds:
            parameters[name] = parse_parameter_value(name, text, kinds[name])
        elif name in SEARCH_KINDS and "search" in kinds:
            search_entries[name] = parse_parameter_value(name, text, SEARCH_KINDS[name])
        else:
            parameters[name] = text
    if search_entries:
        parameters["search"] = {**parameters.get("search", {}), **search_entries}
    if kinds.get("search") == "STRUCT":
        parse_search(parameters.get("search", {}))
    return parameters


def split_assignment(assignment: str) -> tuple[str, str]:
    """Split NAME=VALUE of --set. ValueError without an equals sign, or where NAME has an option."""
    name, equals, text = assignment.partition("=")
    if not equals:
        raise ValueError(f"--set {assignment!r} has no '=': give NAME=VALUE, e.g. list_length=10")
    if name in PARAMETER_OPTIONS:
        raise ValueError(f"--set {name}=…: give {name} by {PARAMETER_OPTIONS[name]}")
    return name, text


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
        if not has_default:
            missing.append(name)
    if missing:
        options = ", ".join(map(_name_option, missing))
        raise ValueError(f"the pipeline needs a value for {', '.join(missing)}: give {options}")


def _name_option(parameter: str) -> str:
    """Name the option that sets a parameter."""
    return PARAMETER_OPTIONS.get(parameter, f"--set {parameter}=…")


def parse_parameter_value(name: str, text: str, kind: str) -> Any:
    """Parse a text as a parameter's type. ValueError when it is not of that type."""
    parsers: dict[str, tuple[Callable[[str], Any], str]] = {
        "STRING": (str, "a text"),
        "NUMBER_INTEGER": (int, "a whole number"),
        "NUMBER_DOUBLE": (_parse_number, "a number"),
        "BOOLEAN": (_parse_boolean, "true or false"),
        "LIST": (_parse_list, "a list, e.g. 32,64"),
        "STRUCT": (_parse_struct, 'a JSON object, e.g. {"a": 1}'),
    }
    parse, description = parsers[kind]
    try:
        return parse(text)
    except ValueError:
        raise ValueError(f"--set {name}={text!r}: {name} is {description}") from None


def _parse_number(text: str) -> float:
    value = json.loads(text, parse_constant=_refuse_constant)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(text)
    return float(value)


def _parse_boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _parse_list(text: str) -> list[Any]:
    if not text.startswith("["):
        return [_parse_number(number) for number in text.split(",")]
    value = json.loads(text, parse_constant=_refuse_constant)
    if not isinstance(value, list):
        raise ValueError(text)
    return value


def _parse_struct(text: str) -> dict[str, Any]:
    value = json.loads(text, parse_constant=_refuse_constant)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def _refuse_constant(text: str) -> Any:
    raise ValueError(text)
