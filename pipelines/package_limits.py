"""Refuse packages that are larger than Kubeflow Pipelines and Argo can run.

Kubeflow makes a workflow of a package: an object that holds the specification of each component
and of each task as JSON texts (backend/src/v2/compiler/argocompiler of Kubeflow Pipelines).
"""

import json
from collections.abc import Iterator
from typing import Any, Final

ARGUMENT_BYTES: Final = 128 * 1024 - 1
"""The longest argument of a program on Linux (MAX_ARG_STRLEN, less the zero at its end). Up to
2.15 Kubeflow passes a component's specification to its driver as one argument."""
WORKFLOW_BYTES: Final = 720 * 1024
"""The largest workflow. Argo stores it in an object of at most 1 MiB (MAX_WORKFLOW_SIZE), where the
state of its nodes needs up to two fifths as much as the workflow itself, compressed."""
TEMPLATES_BYTES: Final = 13_000
"""The size of the templates that every workflow has: drivers, executor, entry point."""
TASK_BYTES: Final = 1_450
"""The size of the two tasks that a workflow has for each task, without the task's specification."""


def refuse_large_package(
    spec: dict[str, Any], platform: dict[str, Any], shards: int, kfp_version: str
) -> None:
    """Check that a package is small enough to run.

    Args:
        spec: The pipeline's specification.
        platform: What is specific to Kubernetes.
        shards: The number of nodes that share the search, for the message.
        kfp_version: The oldest version of Kubeflow Pipelines that has to run the package.

    Raises:
        ValueError: It is too large. The message says how many shards would do.
    """
    if kfp_version == "2.15":
        longest = measure_longest_argument(spec)
        if longest > ARGUMENT_BYTES:
            raise ValueError(
                f"--tune-shards {shards} is too much for Kubeflow Pipelines 2.15: its driver gets "
                f"the tasks as one argument of {longest:,} bytes, and Linux allows "
                f"{ARGUMENT_BYTES:,}. {_suggest_shards(shards, ARGUMENT_BYTES / longest)}"
            )
    size = measure_workflow(spec, platform)
    if size > WORKFLOW_BYTES:
        raise ValueError(
            f"--tune-shards {shards} is too much for Argo: the workflow has {size:,} bytes, and "
            f"at most {WORKFLOW_BYTES:,} leave room for the state of its steps in an object of "
            f"1 MiB. {_suggest_shards(shards, WORKFLOW_BYTES / size)}"
        )


def measure_longest_argument(spec: dict[str, Any]) -> int:
    """Compute the bytes of the longest specification that a driver gets as one argument."""
    return max(len(text) for text in _list_component_texts(spec))


def measure_workflow(spec: dict[str, Any], platform: dict[str, Any]) -> int:
    """Compute the bytes of the workflow that Kubeflow makes of a package."""
    size = TEMPLATES_BYTES
    for text in _list_shared_texts(spec):
        size += _measure_nested(text)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for executor in executors.values():
        size += _measure_nested(_encode(executor))
    for task in _list_tasks(spec):
        size += TASK_BYTES + _measure_nested(_encode(task))
    return size


def _list_shared_texts(spec: dict[str, Any]) -> list[bytes]:
    """List the specifications of components and containers as a workflow holds them.

    Components with the same container, such as the shards of a search, share one of each.
    """
    executors = spec["deploymentSpec"]["executors"]
    component_of_container: dict[bytes, bytes] = {}
    dags = [_encode(spec["root"])]
    for component in spec["components"].values():
        label = component.get("executorLabel")
        if label is None:
            dags.append(_encode(component))
        else:
            container = _encode(executors[label]["container"])
            component_of_container.setdefault(container, _encode(component))
    return [*dags, *component_of_container, *component_of_container.values()]


def _suggest_shards(shards: int, share: float) -> str:
    # The size does not grow quite in proportion, so a tenth fewer.
    return f"Give --tune-shards {max(int(shards * share * 0.9), 2)}"


def _list_component_texts(spec: dict[str, Any]) -> Iterator[bytes]:
    for component in (spec["root"], *spec["components"].values()):
        yield _encode(component)


def _list_tasks(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for component in (spec["root"], *spec["components"].values()):
        if "dag" in component:
            yield from component["dag"]["tasks"].values()


def _encode(value: dict[str, Any]) -> bytes:
    """Encode a specification as Kubeflow does: compact JSON, with <, > and & escaped for HTML."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _measure_nested(text: bytes) -> int:
    """Compute the bytes of a JSON text that is a value in a JSON text."""
    return len(json.dumps(text.decode(), ensure_ascii=False).encode())
