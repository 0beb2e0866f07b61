"""Server-side apply's view of an object: its leaves, each owned by who applied it.

Lists are told apart as Kubernetes' own schemas say (x-kubernetes-list-map-keys): elements with keys, or one leaf.
In custom kinds, whose schemas nobody ships, a list whose elements all have names goes by these, as in the CRDs.
"""

import json
from functools import cache
from pathlib import Path as File
from typing import Any, Final

import kubernetes_validate

Tree = dict[str, Any]
Key = tuple[tuple[str, Any], ...]
"""An element of a list by the fields that tell it from the others."""
Path = tuple[str | Key, ...]
Leaves = dict[Path, Any]
KNOWN_BY_URL: Final = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))
"""What everybody who applies an object says, and nobody owns."""


def leaves(tree: Tree) -> Leaves:
    """All leaves of an object; empty mappings and lists are leaves, too."""
    found: Leaves = {}
    _collect(found, (), tree, _schema(tree["apiVersion"], tree["kind"]))
    return {path: value for path, value in found.items() if path not in KNOWN_BY_URL}


def tree_of(found: Leaves, root: Tree) -> Tree:
    """The object that has these leaves; `root` says its kind and name."""
    tree: Tree = {"apiVersion": root["apiVersion"], "kind": root["kind"]}
    _set(tree, ("metadata", "name"), root["metadata"]["name"])
    for path, value in found.items():
        _set(tree, path, value)
    return tree


def element_of(path: Path) -> Path | None:
    """The element of a list whose key this leaf is: without the key it is gone."""
    for number in range(len(path) - 1, 0, -1):
        step = path[number - 1]
        if isinstance(step, tuple) and number == len(path) - 1 and path[-1] in dict(step):
            return path[:number]
    return None


def written(path: Path) -> str:
    """The path as the server writes it in a conflict."""
    return "".join(
        f".{step}"
        if isinstance(step, str)
        else f"[{','.join(f'{name}={json.dumps(value)}' for name, value in step)}]"
        for step in path
    )


def _collect(found: Leaves, path: Path, value: Any, schema: Tree) -> None:
    if isinstance(value, dict) and value:
        for name, element in value.items():
            _collect(found, (*path, name), element, _below(schema, name))
    elif isinstance(value, list) and (keys := _keys(value, schema)):
        items = _resolved(schema.get("items") or {})
        for element in value:
            key = tuple((name, element.get(name, _default(items, name))) for name in keys)
            _collect(found, (*path, key), element, items)
    else:
        found[path] = value


def _keys(values: list[Any], schema: Tree) -> list[str]:
    if schema:
        return list(schema.get("x-kubernetes-list-map-keys") or []) if values else []
    names = [value.get("name") for value in values if isinstance(value, dict)]
    return ["name"] if names and len(set(names)) == len(values) and None not in names else []


def _default(items: Tree, name: str) -> Any:
    return _below(items, name).get("default", "TCP" if name == "protocol" else None)


def _set(tree: Tree, path: Path, value: Any) -> None:
    place: Any = tree
    for step, after in zip(path, (*path[1:], None), strict=True):
        if after is None:
            place[step] = value
        elif isinstance(step, str):
            place = place.setdefault(step, [] if isinstance(after, tuple) else {})
        else:
            known = [
                one for one in place if all(one.get(name, value) == value for name, value in step)
            ]
            if not known:
                place.append(dict(step))
            place = known[0] if known else place[-1]


@cache
def _definitions() -> Tree:
    folder = File(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    file = folder / f"v{kubernetes_validate.latest_version()}-local" / "_definitions.json"
    return dict(json.loads(file.read_text())["$defs"])


@cache
def _schema(version: str, kind: str) -> Tree:
    """The schema of a core kind; empty for others."""
    group, _, number = version.rpartition("/")
    wanted = {"group": group, "kind": kind, "version": number}
    found = (
        one
        for one in _definitions().values()
        if wanted in (one.get("x-kubernetes-group-version-kind") or [])
    )
    return dict(next(found, {}))


def _resolved(schema: Tree) -> Tree:
    name = schema.get("$ref", "").rpartition("/")[2]
    return {**_definitions()[name], **schema} if name else schema


def _below(schema: Tree, name: str) -> Tree:
    below = (schema.get("properties") or {}).get(name) or schema.get("additionalProperties") or {}
    return _resolved(below) if isinstance(below, dict) else {}
