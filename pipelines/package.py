"""The compiled pipeline, as a file that Kubeflow takes."""

import hashlib
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dawnlist.pipelines.placement import Placement


def build_version_name(package: bytes) -> str:
    """What a package is called as a version: the code's version and a digest, so that the same bytes meet again."""
    return f"{version('dawnlist')}-{hashlib.sha256(package).hexdigest()[:12]}"


def write_package(
    output: Path,
    placement: Placement,
    kubernetes: bool = False,
    defaults: Mapping[str, str] | None = None,
) -> None:
    """Compile the daily pipeline to `output`, whole or not at all; ValueError for an unusable suffix.

    `defaults` of parameters, so that who starts a run in the UI need not know where things are.
    With `kubernetes` as the objects Pipeline and PipelineVersion, for an installation that keeps pipelines so. The
    version is named by the package's digest, since an object's specification may not change.
    """
    from kfp import compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    from dawnlist.pipelines.daily import build_daily_pipeline

    if output.suffix not in (".yaml", ".yml"):
        raise ValueError(f"the output is {str(output)!r}: give a file that ends in .yaml")
    if not output.parent.is_dir():
        raise FileNotFoundError(
            f"the output's folder {str(output.parent)!r} does not exist: make it first"
        )
    pipeline = build_daily_pipeline(placement)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        staged = Path(folder) / "pipeline.yaml"
        values = dict(defaults or {})
        compiler.Compiler().compile(pipeline, str(staged), pipeline_parameters=values)
        if kubernetes:
            named = build_version_name(staged.read_bytes())
            names = KubernetesManifestOptions(
                pipeline_version_name=f"{pipeline.name}-{named}", pipeline_version_display_name=named,
                include_pipeline_manifest=True,
            )  # fmt: skip
            compiler.Compiler().compile(
                pipeline, str(staged), pipeline_parameters=values, kubernetes_manifest_options=names,
                kubernetes_manifest_format=True,
            )  # fmt: skip
        staged.replace(output)


def load_package(path: Path) -> Any:
    """A compiled pipeline as something that can be called under kfp.local."""
    from kfp import components

    return components.load_component_from_file(str(require_package(path)))


def require_package(path: Path) -> Path:
    """The path of a package; FileNotFoundError, with the command that writes one, when there is none."""
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no package {str(path)!r}: `dawnlist compile --output {path}` writes it"
        )
    return path
