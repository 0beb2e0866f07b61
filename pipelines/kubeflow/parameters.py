"""What a compiled pipeline takes, and values for it that are checked before anything is sent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from dawnlist.pipelines.deploy.rendered import LOADER
from dawnlist.pipelines.package import existing
from dawnlist.urls import REDIS_PASSWORD, SOURCE_PASSWORD, refuse_password

Spec = dict[str, Any]
"""A pipeline's specification, as a package or the API holds it."""

OPTIONS: Final = ("source", "lake", "redis", "as_of", "namespace", "settings", "force")
"""Parameters that have an option of their own."""


def read_spec(package: Path) -> Spec:
    """The specification within a compiled package; ValueError when it is none."""
    data = existing(package).read_bytes()
    try:
        spec = next(iter(yaml.load_all(data, LOADER)))
        assert "root" in spec and "components" in spec
    except (yaml.YAMLError, StopIteration, AssertionError, TypeError):
        raise ValueError(
            f"{str(package)!r} is no compiled pipeline: `dawnlist compile --output FILE.yaml` writes one"
        ) from None
    return dict(spec)


def plain(found: Any) -> Spec:
    """The specification as the API answers it, which holds what Kubernetes is told beside it, if anything is."""
    return dict(found.get("pipeline_spec", found)) if found else {}


def steps(spec: Spec) -> set[str]:
    """Names of the tasks that run something, also those inside conditions and exit handlers."""
    parts = spec["components"]
    tasks = [task for part in (spec["root"], *parts.values()) for task in part.get("dag", {}).get("tasks", {}).items()]
    return {name for name, task in tasks if "executorLabel" in parts[task["componentRef"]["name"]]}


def options(source: str, lake: str, redis: str, namespace: str, settings: str) -> dict[str, str]:
    """Parameter -> its value, of those that were given; ValueError for what can't be meant for a cluster's pods."""
    from dawnlist.namespace import checked_namespace

    refuse_password(source, SOURCE_PASSWORD)
    refuse_password(redis, REDIS_PASSWORD)
    if lake and not lake.startswith(("gs://", "s3://")):
        raise ValueError(f"lake {lake!r} is nothing that all pods see: give gs://BUCKET/PATH or s3://BUCKET/PATH")
    if redis and "://" not in redis:
        raise ValueError(f"redis {redis!r} is nothing that pods reach: give a URL, e.g. redis://HOST:6379/0")
    given = {"source": source, "lake": lake, "redis": redis, "settings": settings}
    return {"namespace": checked_namespace(namespace), **{name: value for name, value in given.items() if value}}


def checked(spec: Spec, given: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """What a run is given: the options and NAME=VALUE texts, each by the type that the pipeline declares.

    ValueError names what is unknown, twice there, of another type, or missing.
    """
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    values = dict(given)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set {assignment!r} has no '=': give NAME=VALUE, e.g. k=10")
        if name in OPTIONS:
            raise ValueError(f"--set {name}=…: {name} has an option, or is set by the command")
        if name in values:
            raise ValueError(f"--set {name}=… is given twice")
        values[name] = _typed(name, text, declared[name]["parameterType"]) if name in declared else text
    if unknown := sorted(set(values) - set(declared)):
        raise ValueError(f"the pipeline has no parameter {', '.join(unknown)}: it has {', '.join(sorted(declared))}")
    required = {name for name, about in declared.items() if not (about.get("isOptional") or "defaultValue" in about)}
    if missing := sorted(required - set(values)):
        ways = ", ".join(f"--{name.replace('_', '-')}" if name in OPTIONS else f"--set {name}=…" for name in missing)
        raise ValueError(f"the pipeline needs a value for {', '.join(missing)}: give {ways}")
    return values


def _typed(name: str, text: str, kind: str) -> Any:
    """The value that a text means as a parameter's type; ValueError when it means none."""
    kinds: dict[str, tuple[Callable[[str], Any], str]] = {
        "STRING": (str, "a text"),
        "NUMBER_INTEGER": (int, "a whole number"),
        "NUMBER_DOUBLE": (_number, "a number"),
        "BOOLEAN": (_truth, "true or false"),
        "LIST": (_list, "a list, e.g. 32,64"),
        "STRUCT": (_struct, 'a JSON object, e.g. {"a": 1}'),
    }
    read, wanted = kinds[kind]
    try:
        return read(text)
    except ValueError:
        raise ValueError(f"--set {name}={text!r}: {name} is {wanted}") from None


def _number(text: str) -> float:
    value = json.loads(text, parse_constant=_refused)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(text)
    return float(value)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _list(text: str) -> list[Any]:
    if not text.startswith("["):
        return [_number(part) for part in text.split(",")]
    value = json.loads(text, parse_constant=_refused)
    if not isinstance(value, list):
        raise ValueError(text)
    return value


def _struct(text: str) -> dict[str, Any]:
    value = json.loads(text, parse_constant=_refused)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def _refused(text: str) -> Any:
    raise ValueError(text)
