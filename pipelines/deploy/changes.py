"""What differs between an object as it stands on a cluster and as it will: field by field, without secrets."""

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

from dawnlist.pipelines.deploy.rendered import Tree
from dawnlist.urls import masked, printable

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
    """The leaves that differ; a part that is new or gone is told leaf by leaf, too, so that each can be masked."""
    before, after = _parts(old), _parts(new)
    if before is not None and after is not None and (before or after):
        for name in dict.fromkeys((*before, *after)):
            yield from _differences((*path, name), before.get(name, ABSENT), after.get(name, ABSENT))
    elif old != new:
        yield path, old, new


def _parts(value: Any) -> dict[str, Any] | None:
    """The parts of a mapping or list by their step in a path; None for a leaf.

    Elements go by their `name`, where all have one, so that a new first one does not make all others differ.
    """
    if value is ABSENT:
        return {}
    if isinstance(value, dict):
        return {f".{name}": part for name, part in value.items()}
    if not isinstance(value, list):
        return None
    names = [str(part["name"]) for part in value if isinstance(part, dict) and "name" in part]
    named = len(set(names)) == len(value)
    return {f"[{names[number] if named else number}]": part for number, part in enumerate(value)}


def _lines(kind: str, path: tuple[str, ...], old: Any, new: Any) -> Iterator[str]:
    place = "".join(path).removeprefix(".")
    if _is_secret(kind, path):
        yield f"{place}: {'absent' if old is ABSENT else '***'} → {'absent' if new is ABSENT else '***'}"
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        yield f"{place}:"
        differing = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
        yield from (f"  {_shown(line)}" for line in differing if not line.startswith(("---", "+++", "@@")))
    else:
        yield f"{place}: {_value(old)} → {_value(new)}"


def _is_secret(kind: str, path: tuple[str, ...]) -> bool:
    if kind == "Secret":
        return path[:1] in ((".data",), (".stringData",))
    if kind == "ConfigMap":
        return bool(SECRET.search(path[-1]))
    return ".env" in path and path[-1] == ".value"


def _value(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    return _shown(value if isinstance(value, str) and value.strip() else json.dumps(value, ensure_ascii=False))


def _shown(text: str) -> str:
    plain = printable(masked(text))
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}…"
