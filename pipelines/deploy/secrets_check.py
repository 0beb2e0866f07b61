"""Find secrets that objects need and that are missing on a cluster."""

from collections.abc import Iterable, Iterator
from typing import Any

from dawnlist.pipelines.deploy.cluster import KubernetesCluster, format_object_name
from dawnlist.pipelines.deploy.manifests import KubernetesObject

SecretKeys = dict[str, bool]
"""The keys of a secret that objects use, and whether every use of a key is optional."""


def describe_missing_secrets(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> Iterator[str]:
    """Describe each secret that the objects use and the cluster lacks, wholly or in part.

    Only the names of keys are compared; values are not used.
    """
    new_secrets = {one["metadata"]["name"] for one in documents if one["kind"] == "Secret"}
    for (namespace, name), keys in _collect_secret_keys(cluster, documents).items():
        if name in new_secrets:
            continue
        reference: KubernetesObject = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
        }
        try:
            secret = cluster.find(reference)
        except PermissionError as error:
            object_name = format_object_name(reference)
            yield f"{object_name} can't be read, so its keys were not checked: {error}"
            continue
        yield from _describe_missing_keys(format_object_name(reference), secret, keys)


def _describe_missing_keys(
    object_name: str, secret: KubernetesObject | None, keys: SecretKeys
) -> Iterator[str]:
    present_keys = (secret or {}).get("data") or {}
    missing = sorted(set(keys) - set(present_keys))
    required = [key for key in missing if not keys[key]]
    if required:
        yield f"{object_name} lacks {', '.join(required)}: pods that need it won't start"
    elif missing:
        state = "is not there" if secret is None else "lacks some keys"
        yield f"{object_name} {state}; optional: {', '.join(missing)}"


def _collect_secret_keys(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> dict[tuple[str | None, str], SecretKeys]:
    """Collect the keys that variables and files refer to, by namespace and name of the secret."""
    keys_of_secret: dict[tuple[str | None, str], SecretKeys] = {}
    for document in documents:
        for name, key, is_optional in _list_references(document):
            keys = keys_of_secret.setdefault((cluster.namespace_of(document), name), {})
            keys[key] = keys.get(key, True) and is_optional
    return keys_of_secret


def _list_references(document: KubernetesObject) -> Iterator[tuple[str, str, bool]]:
    """List the keys that an object's pods get: the secret, the key, and whether it is optional."""
    for reference in _find_mappings(document, "secretKeyRef"):
        yield reference["name"], reference["key"], bool(reference.get("optional"))
    for volume in _find_mappings(document, "secret"):
        for item in volume.get("items") or ():
            yield volume["secretName"], item["key"], bool(volume.get("optional"))


def _find_mappings(tree: Any, name: str) -> Iterator[Any]:
    """Find the mappings under a name, at any depth."""
    children: Iterable[Any] = ()
    if isinstance(tree, dict):
        if isinstance(tree.get(name), dict):
            yield tree[name]
        children = tree.values()
    elif isinstance(tree, list):
        children = tree
    for child in children:
        yield from _find_mappings(child, name)
