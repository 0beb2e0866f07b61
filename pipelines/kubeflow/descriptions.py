"""Describe a package for people, as Kubeflow's UI shows it beside a pipeline and a version.

The UI shows descriptions there, and none in the form of a new run. It takes them for Markdown, so a
blank line is between two paragraphs.
"""

import json
from typing import Any, Final

from dawnlist.pipelines.kubeflow.parameters import (
    PipelineSpec,
    get_declared_parameters,
    get_description,
    read_node_kind,
)

MAX_DESCRIPTION: Final = 3000
"""The most letters of a description. An upload has it in its address, which proxies limit to 8 KB."""


def describe_pipeline(spec: PipelineSpec) -> str:
    """Describe what the pipeline does, and what each parameter is."""
    return _join_paragraphs([get_description(spec), *_describe_parameters(spec)])


def describe_version(spec: PipelineSpec) -> str:
    """Describe what a version was compiled for, what its defaults are, and what each parameter is."""
    images = []
    for executor in spec.get("deploymentSpec", {}).get("executors", {}).values():
        image = executor.get("container", {}).get("image", "")
        if image not in images:
            images.append(image)
    compiled_for = f"Compiled for {read_node_kind(spec)} nodes, with the image {', '.join(images)}."
    return _join_paragraphs([compiled_for, *_describe_parameters(spec)])


def _describe_parameters(spec: PipelineSpec) -> list[str]:
    """Describe each parameter in a paragraph, in the order of the form."""
    paragraphs = ["Parameters of a run:"]
    for name, declared in sorted(get_declared_parameters(spec).items()):
        text = " ".join(declared.get("description", "").split())
        paragraphs.append(f"{name} ({_format_default(declared)}): {text}")
    return paragraphs


def _format_default(declared: dict[str, Any]) -> str:
    """Format a parameter's default. A dictionary is too long for a description."""
    default = declared.get("defaultValue")
    if default is None:
        return "no default"
    if isinstance(default, dict):
        return "default: the whole search"
    if isinstance(default, float):
        return f"default: {default:g}"
    if isinstance(default, str):
        return f"default: {default}"
    return f"default: {json.dumps(default)}"


def _join_paragraphs(paragraphs: list[str]) -> str:
    return "\n\n".join(paragraphs)[:MAX_DESCRIPTION]
