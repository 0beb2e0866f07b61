"""What differs between an object as it stands on a cluster and as it will: field by field, without secrets."""

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

from components.urls import masked, printable
from pipelines.rendered import Tree

ABSENT = object()
OF_THE_SERVER = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SECRET = re.compile(r"password|passwd|secret|token|credential|_key$", re.IGNORECASE)
LONGEST = 100
"""Characters of a value that are shown."""


def changes(before: Tree, after: Tree) -> list[str]:
    """A line for each field that differs: its path, the old value, the new one; none when nothing does.

    Values of secrets and of environment variables are `***`, and so are passwords in URLs; texts of several lines show
    the lines that differ. What the server itself keeps (status, versions) is no difference.
    """
    kind = after.get("kind", "")
    return [
        line
        for path, old, new in _differences((), _plain(before), _plain(after))
        for line in _lines(kind, path, old, new)
    ]


def _plain(document: Tree) -> Tree:
    metadata = {name: value for name, value in document.get("metadata", {}).items() if name not in OF_THE_SERVER}
    notes = {name: value for name, value in metadata.get("annotations", {}).items() if name != LAST_APPLIED}
    return {**document, "metadata": {**metadata, "annotations": notes}, "status": None}


def _differences(path: tuple[str, ...], old: Any, new: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _differences((*path, f".{name}"), old.get(name, ABSENT), new.get(name, ABSENT))
    elif isinstance(old, list) and isinstance(new, list):
        before, after = _by_name(old), _by_name(new)
        for name in dict.fromkeys((*before, *after)):
            yield from _differences((*path, f"[{name}]"), before.get(name, ABSENT), after.get(name, ABSENT))
    elif old != new:
        yield path, old, new


def _by_name(values: list[Any]) -> dict[str, Any]:
    """The elements by their `name`, where all have one, so that a new first one does not make all others differ."""
    names = [str(value["name"]) for value in values if isinstance(value, dict) and "name" in value]
    if len(set(names)) == len(values):
        return dict(zip(names, values, strict=True))
    return {str(number): value for number, value in enumerate(values)}


def _lines(kind: str, path: tuple[str, ...], old: Any, new: Any) -> Iterator[str]:
    place = "".join(path).removeprefix(".")
    if _is_secret(kind, path):
        yield f"{place}: {'absent' if old is ABSENT else '***'} → {'absent' if new is ABSENT else '***'}"
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        yield f"{place}:"
        differing = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
        yield from (f"  {_shown(line)}" for line in differing if not line.startswith(("---", "+++", "@@")))
    else:
        yield f"{place}: {_value(old, path)} → {_value(new, path)}"


def _is_secret(kind: str, path: tuple[str, ...]) -> bool:
    if kind == "Secret":
        return path[:1] in ((".data",), (".stringData",))
    if kind == "ConfigMap":
        return bool(SECRET.search(path[-1]))
    return ".env" in path and path[-1] == ".value"


def _value(value: Any, path: tuple[str, ...]) -> str:
    if value is ABSENT:
        return "absent"
    if isinstance(value, str) and value.strip():
        return _shown(value)
    return _shown(json.dumps(_hidden(value, ".env" in path), ensure_ascii=False))


def _hidden(value: Any, environment: bool) -> Any:
    """The value without those of environment variables."""
    if isinstance(value, list):
        return [_hidden(element, environment) for element in value]
    if not isinstance(value, dict):
        return value
    return {
        name: "***" if environment and name == "value" else _hidden(element, environment or name == "env")
        for name, element in value.items()
    }


def _shown(text: str) -> str:
    plain = printable(masked(text))
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}…"
