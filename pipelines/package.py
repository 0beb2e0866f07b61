"""Compile the pipeline to a package, a YAML file that Kubeflow Pipelines can run."""

import ast
import hashlib
import importlib
import re
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from dawnlist.pipelines.output_files import require_package
from dawnlist.pipelines.placement import Placement

DEFAULT_OBJECT: Final = re.compile(r"(# +\w+: dict \[Default: )(\{.*\})(\])")
"""The line of a package's comment about a parameter that is an object."""


def build_version_name(package: bytes) -> str:
    """Name a package as a version of the pipeline: the code's version and a digest of the bytes.

    The same bytes always get the same name.
    """
    digest = hashlib.sha256(package).hexdigest()[:12]
    return f"{version('dawnlist')}-{digest}"


def write_package(
    output: Path,
    placement: Placement,
    kubernetes: bool = False,
    defaults: Mapping[str, str] | None = None,
) -> None:
    """Compile the daily pipeline to a file. When it fails, the file stays as it was.

    Args:
        output: The YAML file to write.
        placement: Where and how the steps run.
        kubernetes: Whether to write the objects Pipeline and PipelineVersion, for an installation
            that keeps pipelines as Kubernetes objects. The version is named by the package's
            digest, because an object's specification may not change.
        defaults: Default values of parameters. Whoever starts a run in the UI then need not know
            where the source, the lake and the store are.

    Raises:
        ValueError: The file's name does not end in .yaml or .yml, or the package is too large.
        FileNotFoundError: The file's folder does not exist.
    """
    from google.protobuf import json_format  # type: ignore[import-untyped]

    from dawnlist.pipelines.daily import build_daily_pipeline
    from dawnlist.pipelines.package_limits import refuse_large_package

    _require_yaml_output(output)
    pipeline = build_daily_pipeline(placement)
    refuse_large_package(
        json_format.MessageToDict(pipeline.pipeline_spec),
        json_format.MessageToDict(pipeline.platform_spec),
        placement.tune_shards,
        placement.kfp_version,
    )
    parameters = dict(defaults or {})
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        staged = Path(folder) / "pipeline.yaml"
        _compile_package(pipeline, parameters, staged)
        if kubernetes:
            version_name = build_version_name(staged.read_bytes())
            _compile_kubernetes_objects(pipeline, parameters, version_name, staged)
        staged.replace(output)


def write_component(output: Path, step: str, image: str = "") -> None:
    """Compile one step to a file, from which a pipeline of somebody else can load it.

    Args:
        output: The YAML file to write. When it fails, the file stays as it was.
        step: The name of a step, e.g. clean or filter-bots.
        image: The step's container image; empty for the image of this version.

    Raises:
        ValueError: There is no such step, or the file's name does not end in .yaml or .yml.
        FileNotFoundError: The file's folder does not exist.
    """
    from kfp import compiler, dsl

    from dawnlist.components.image import IMAGE
    from dawnlist.pipelines.resources.step_resources import STEP_RESOURCES

    _require_yaml_output(output)
    if step.replace("_", "-") not in STEP_RESOURCES:
        raise ValueError(f"the component is {step!r}: give one of {', '.join(STEP_RESOURCES)}")
    name = step.replace("-", "_")
    module = importlib.import_module(f"dawnlist.components.{name}.component")
    function = getattr(module, name).python_func
    component = dsl.component(base_image=image or IMAGE, install_kfp_package=False)(function)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        staged = Path(folder) / "component.yaml"
        compiler.Compiler().compile(component, str(staged))
        staged.replace(output)


def _require_yaml_output(output: Path) -> None:
    from dawnlist.pipelines.output_files import require_output_folder

    if output.suffix not in (".yaml", ".yml"):
        raise ValueError(f"the output is {str(output)!r}: give a file that ends in .yaml")
    require_output_folder(output)


def _compile_package(pipeline: Any, parameters: dict[str, str], file: Path) -> None:
    from kfp import compiler

    compiler.Compiler().compile(pipeline, str(file), pipeline_parameters=parameters)
    _sort_comments(file)


def _sort_comments(file: Path) -> None:
    """Sort the keys of objects in the comment at the top, whose order kfp leaves to chance.

    The version's name is a digest of the file, so the same code has to give the same bytes.
    """
    lines = file.read_text("utf-8").split("\n")
    for number, line in enumerate(lines):
        if not line.startswith("#"):
            break
        comment = DEFAULT_OBJECT.fullmatch(line)
        if comment:
            start, value, end = comment.groups()
            entries = sorted(ast.literal_eval(value).items())
            lines[number] = f"{start}{dict(entries)}{end}"
    file.write_text("\n".join(lines), "utf-8")


def _compile_kubernetes_objects(
    pipeline: Any, parameters: dict[str, str], version_name: str, file: Path
) -> None:
    from kfp import compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    options = KubernetesManifestOptions(
        pipeline_version_name=f"{pipeline.name}-{version_name}",
        pipeline_version_display_name=version_name,
        include_pipeline_manifest=True,
    )
    compiler.Compiler().compile(
        pipeline,
        str(file),
        pipeline_parameters=parameters,
        kubernetes_manifest_options=options,
        kubernetes_manifest_format=True,
    )
    _write_descriptions(file)


def _write_descriptions(file: Path) -> None:
    """Give the two objects the descriptions that an upload would give them."""
    import yaml

    from dawnlist.pipelines.kubeflow.descriptions import describe_pipeline, describe_version

    uploaded, version = yaml.load_all(file.read_bytes(), yaml.CSafeLoader)
    spec = version["spec"]["pipelineSpec"]
    uploaded["spec"]["description"] = describe_pipeline(spec)
    version["spec"]["description"] = describe_version(spec)
    file.write_text(yaml.dump_all([uploaded, version], sort_keys=True))


def load_package(path: Path) -> Any:
    """Load a compiled pipeline so that it can be called under kfp.local.

    Raises:
        FileNotFoundError: There is no such file.
    """
    from kfp import components

    return components.load_component_from_file(str(require_package(path)))
