"""What a compiled pipeline takes, and values for it that are checked before anything is sent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from dawnlist.pipelines.deploy.manifests import YAML_LOADER
from dawnlist.pipelines.package import require_package
from dawnlist.urls import REDIS_PASSWORD, SOURCE_PASSWORD, refuse_password

PipelineSpec = dict[str, Any]
"""A pipeline's specification, as a package or the API holds it."""

OPTION_PARAMETERS: Final = ("source", "lake", "redis", "as_of", "namespace", "settings", "force")
"""Parameters that have an option of their own."""


def read_spec(package: Path) -> PipelineSpec:
    """The specification within a compiled package; ValueError when it is none."""
    data = require_package(package).read_bytes()
    try:
        spec = next(iter(yaml.load_all(data, YAML_LOADER)))
        assert "root" in spec and "components" in spec
    except (yaml.YAMLError, StopIteration, AssertionError, TypeError):
        raise ValueError(
            f"{str(package)!r} is no compiled pipeline: `dawnlist compile --output FILE.yaml` writes one"
        ) from None
    return dict(spec)


def unwrap_pipeline_spec(found: Any) -> PipelineSpec:
    """The specification as the API answers it, which holds what Kubernetes is told beside it, if anything is."""
    return dict(found.get("pipeline_spec", found)) if found else {}


def collect_step_names(spec: PipelineSpec) -> set[str]:
    """Names of the tasks that run something, also those inside conditions and exit handlers."""
    parts = spec["components"]
    tasks = [
        task
        for part in (spec["root"], *parts.values())
        for task in part.get("dag", {}).get("tasks", {}).items()
    ]
    return {name for name, task in tasks if "executorLabel" in parts[task["componentRef"]["name"]]}


def collect_option_values(
    source: str, lake: str, redis: str, namespace: str, settings: str
) -> dict[str, str]:
    """Parameter -> its value, of those that were given; ValueError for what can't be meant for a cluster's pods."""
    from dawnlist.namespace import check_namespace

    refuse_password(source, SOURCE_PASSWORD)
    refuse_password(redis, REDIS_PASSWORD)
    if lake and not lake.startswith(("gs://", "s3://")):
        raise ValueError(
            f"lake {lake!r} is nothing that all pods see: give gs://BUCKET/PATH or s3://BUCKET/PATH"
        )
    if redis and "://" not in redis:
        raise ValueError(
            f"redis {redis!r} is nothing that pods reach: give a URL, e.g. redis://HOST:6379/0"
        )
    given = {"source": source, "lake": lake, "redis": redis, "settings": settings}
    return {
        "namespace": check_namespace(namespace),
        **{name: value for name, value in given.items() if value},
    }


def build_run_parameters(
    spec: PipelineSpec, given: dict[str, Any], assignments: list[str]
) -> dict[str, Any]:
    """What a run is given: the options and NAME=VALUE texts, each by the type that the pipeline declares.

    ValueError names what is unknown, twice there, of another type, or missing.
    """
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    values = dict(given)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set {assignment!r} has no '=': give NAME=VALUE, e.g. k=10")
        if name in OPTION_PARAMETERS:
            raise ValueError(f"--set {name}=…: {name} has an option, or is set by the command")
        if name in values:
            raise ValueError(f"--set {name}=… is given twice")
        values[name] = (
            _parse_value(name, text, declared[name]["parameterType"]) if name in declared else text
        )
    if unknown := sorted(set(values) - set(declared)):
        raise ValueError(
            f"the pipeline has no parameter {', '.join(unknown)}: it has {', '.join(sorted(declared))}"
        )
    required = {
        name
        for name, about in declared.items()
        if not (about.get("isOptional") or "defaultValue" in about)
    }
    if missing := sorted(required - set(values)):
        ways = ", ".join(
            f"--{name.replace('_', '-')}" if name in OPTION_PARAMETERS else f"--set {name}=…"
            for name in missing
        )
        raise ValueError(f"the pipeline needs a value for {', '.join(missing)}: give {ways}")
    return values


def _parse_value(name: str, text: str, kind: str) -> Any:
    """The value that a text means as a parameter's type; ValueError when it means none."""
    kinds: dict[str, tuple[Callable[[str], Any], str]] = {
        "STRING": (str, "a text"),
        "NUMBER_INTEGER": (int, "a whole number"),
        "NUMBER_DOUBLE": (_parse_number, "a number"),
        "BOOLEAN": (_parse_boolean, "true or false"),
        "LIST": (_parse_list, "a list, e.g. 32,64"),
        "STRUCT": (_parse_struct, 'a JSON object, e.g. {"a": 1}'),
    }
    read, wanted = kinds[kind]
    try:
        return read(text)
    except ValueError:
        raise ValueError(f"--set {name}={text!r}: {name} is {wanted}") from None


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
        return [_parse_number(part) for part in text.split(",")]
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
