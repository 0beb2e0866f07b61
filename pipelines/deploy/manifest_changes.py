"""Describe how an object on a cluster changes, field by field, without showing secrets."""

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.urls import mask_passwords, replace_unprintable

ABSENT_FIELD = object()
"""Stands for the value of a field that an object does not have."""
SERVER_FIELDS = (
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "selfLink",
)
"""Fields of the metadata that the server sets."""
LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
SECRET_NAME_PATTERN = re.compile(r"password|passwd|secret|token|credential|_key$", re.IGNORECASE)
SHOWN_VALUE_LENGTH = 100
"""The most characters of a value that are shown."""

FieldPath = tuple[str, ...]
"""The steps to a field, such as (".spec", ".replicas"). Joined they read ".spec.replicas"."""


def describe_field_changes(before: KubernetesObject, after: KubernetesObject) -> list[str]:
    """Describe each field that differs by a line with its path, the old value and the new one.

    Values of secrets and of environment variables are shown as `***`, as are passwords in URLs. Of
    texts with several lines, the lines that differ are shown. Fields that the server sets, such as
    the status, are ignored.
    """
    kind = after.get("kind", "")
    old_object, new_object = _strip_server_fields(before), _strip_server_fields(after)
    lines: list[str] = []
    for path, old, new in _diff_leaves((), old_object, new_object):
        lines += _format_change(kind, path, old, new)
    return lines


def _strip_server_fields(document: KubernetesObject) -> KubernetesObject:
    metadata = dict(document.get("metadata", {}))
    for name in SERVER_FIELDS:
        metadata.pop(name, None)
    annotations = dict(metadata.get("annotations", {}))
    annotations.pop(LAST_APPLIED_ANNOTATION, None)
    metadata["annotations"] = annotations
    return {**document, "metadata": metadata, "status": None}


def _diff_leaves(path: FieldPath, old: Any, new: Any) -> Iterator[tuple[FieldPath, Any, Any]]:
    """Yield each leaf that differs, with its old and its new value.

    A mapping or list that is new or gone is also yielded leaf by leaf, so that each leaf can be
    masked.
    """
    old_children, new_children = _index_children(old), _index_children(new)
    if old_children is None or new_children is None or not (old_children or new_children):
        if old != new:
            yield path, old, new
        return
    for name in dict.fromkeys((*old_children, *new_children)):
        old_child = old_children.get(name, ABSENT_FIELD)
        new_child = new_children.get(name, ABSENT_FIELD)
        yield from _diff_leaves((*path, name), old_child, new_child)


def _index_children(value: Any) -> dict[str, Any] | None:
    """Map the steps of a path to the children of a mapping or list; None for a leaf.

    List elements that all have a `name` are indexed by it. An element that is inserted in front then
    does not make all others differ.
    """
    if value is ABSENT_FIELD:
        return {}
    if isinstance(value, dict):
        return {f".{name}": child for name, child in value.items()}
    if not isinstance(value, list):
        return None
    names = []
    for element in value:
        if isinstance(element, dict) and "name" in element:
            names.append(str(element["name"]))
    if len(set(names)) == len(value):
        return {f"[{name}]": element for name, element in zip(names, value, strict=True)}
    return {f"[{index}]": element for index, element in enumerate(value)}


def _format_change(kind: str, path: FieldPath, old: Any, new: Any) -> Iterator[str]:
    field = "".join(path).removeprefix(".")
    if _is_secret(kind, path):
        yield f"{field}: {_format_secret(old)} → {_format_secret(new)}"
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        yield f"{field}:"
        diff = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
        for line in diff:
            if not line.startswith(("---", "+++", "@@")):
                yield f"  {_mask_text(line)}"
    else:
        yield f"{field}: {_format_leaf(old)} → {_format_leaf(new)}"


def _is_secret(kind: str, path: FieldPath) -> bool:
    if kind == "Secret":
        return path[:1] in ((".data",), (".stringData",))
    if kind == "ConfigMap":
        return bool(SECRET_NAME_PATTERN.search(path[-1]))
    return ".env" in path and path[-1] == ".value"


def _format_secret(value: Any) -> str:
    return "absent" if value is ABSENT_FIELD else "***"


def _format_leaf(value: Any) -> str:
    if value is ABSENT_FIELD:
        return "absent"
    if isinstance(value, str) and value.strip():
        return _mask_text(value)
    return _mask_text(json.dumps(value, ensure_ascii=False))


def _mask_text(text: str) -> str:
    masked = replace_unprintable(mask_passwords(text))
    if len(masked) <= SHOWN_VALUE_LENGTH:
        return masked
    return f"{masked[:SHOWN_VALUE_LENGTH]}…"
