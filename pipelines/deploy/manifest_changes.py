"""What differs between an object as it stands on a cluster and as it will: field by field, without secrets."""

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.urls import mask_passwords, replace_unprintable

ABSENT_FIELD = object()
SERVER_FIELDS = (
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "selfLink",
)
LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
SECRET_NAME_PATTERN = re.compile(r"password|passwd|secret|token|credential|_key$", re.IGNORECASE)
SHOWN_VALUE_LENGTH = 100
"""Characters of a value that are shown."""


def describe_field_changes(before: KubernetesObject, after: KubernetesObject) -> list[str]:
    """A line for each field that differs: its path, the old value, the new one; none when nothing does.

    Values of secrets and of environment variables are `***`, and so are passwords in URLs; texts of several lines show
    the lines that differ. What the server itself keeps (status, versions) is no difference.
    """
    kind = after.get("kind", "")
    return [
        line
        for path, old, new in _diff_leaves(
            (), _strip_server_fields(before), _strip_server_fields(after)
        )
        for line in _format_change(kind, path, old, new)
    ]


def _strip_server_fields(document: KubernetesObject) -> KubernetesObject:
    metadata = {
        name: value
        for name, value in document.get("metadata", {}).items()
        if name not in SERVER_FIELDS
    }
    notes = {
        name: value
        for name, value in metadata.get("annotations", {}).items()
        if name != LAST_APPLIED_ANNOTATION
    }
    return {**document, "metadata": {**metadata, "annotations": notes}, "status": None}


def _diff_leaves(
    path: tuple[str, ...], old: Any, new: Any
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """The leaves that differ; a part that is new or gone is told leaf by leaf, too, so that each can be masked."""
    before, after = _index_children(old), _index_children(new)
    if before is not None and after is not None and (before or after):
        for name in dict.fromkeys((*before, *after)):
            yield from _diff_leaves(
                (*path, name), before.get(name, ABSENT_FIELD), after.get(name, ABSENT_FIELD)
            )
    elif old != new:
        yield path, old, new


def _index_children(value: Any) -> dict[str, Any] | None:
    """The parts of a mapping or list by their step in a path; None for a leaf.

    Elements go by their `name`, where all have one, so that a new first one does not make all others differ.
    """
    if value is ABSENT_FIELD:
        return {}
    if isinstance(value, dict):
        return {f".{name}": part for name, part in value.items()}
    if not isinstance(value, list):
        return None
    names = [str(part["name"]) for part in value if isinstance(part, dict) and "name" in part]
    named = len(set(names)) == len(value)
    return {f"[{names[number] if named else number}]": part for number, part in enumerate(value)}


def _format_change(kind: str, path: tuple[str, ...], old: Any, new: Any) -> Iterator[str]:
    place = "".join(path).removeprefix(".")
    if _is_secret(kind, path):
        yield f"{place}: {'absent' if old is ABSENT_FIELD else '***'} → {'absent' if new is ABSENT_FIELD else '***'}"
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        yield f"{place}:"
        differing = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
        yield from (
            f"  {_mask_text(line)}"
            for line in differing
            if not line.startswith(("---", "+++", "@@"))
        )
    else:
        yield f"{place}: {_format_leaf(old)} → {_format_leaf(new)}"


def _is_secret(kind: str, path: tuple[str, ...]) -> bool:
    if kind == "Secret":
        return path[:1] in ((".data",), (".stringData",))
    if kind == "ConfigMap":
        return bool(SECRET_NAME_PATTERN.search(path[-1]))
    return ".env" in path and path[-1] == ".value"


def _format_leaf(value: Any) -> str:
    if value is ABSENT_FIELD:
        return "absent"
    return _mask_text(
        value if isinstance(value, str) and value.strip() else json.dumps(value, ensure_ascii=False)
    )


def _mask_text(text: str) -> str:
    plain = replace_unprintable(mask_passwords(text))
    return plain if len(plain) <= SHOWN_VALUE_LENGTH else f"{plain[:SHOWN_VALUE_LENGTH]}…"
