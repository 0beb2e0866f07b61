"""The compiled pipeline, as a file that Kubeflow takes."""

import tempfile
from pathlib import Path
from typing import Any

from pipelines.placement import Placement


def write_package(output: Path, placement: Placement) -> None:
    """Compile the daily pipeline to `output`, whole or not at all; ValueError for an unusable suffix."""
    from kfp import compiler

    from pipelines.daily import daily_pipeline

    if output.suffix not in (".yaml", ".yml"):
        raise ValueError(f"the output is {str(output)!r}: give a file that ends in .yaml")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"the output's folder {str(output.parent)!r} does not exist: make it first")
    pipeline = daily_pipeline(placement)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        staged = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(staged))
        staged.replace(output)


def load_package(path: Path) -> Any:
    """A compiled pipeline as something that can be called under kfp.local."""
    from kfp import components

    if not path.exists():
        raise FileNotFoundError(f"there is no package {str(path)!r}: `dawnlist compile --output {path}` writes it")
    return components.load_component_from_file(str(path))
