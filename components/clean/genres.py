"""Parse the genres of items: lists as JSON, Python, PostgreSQL and people write them."""

import ast
import csv
import json
import re
from typing import Any

import pyarrow as pa

NO_GENRES = "(no genres listed)"
"""What MovieLens writes for a film without genres."""
NAME_KEYS = ("name", "title", "label")
"""The keys under which an object of a list has the name of a genre, as in {"id": 16, "name": "Drama"}."""
_MAX_PARSED_CHARACTERS = 100_000
"""Python's parser is slow and needs much memory for long text."""
_LIST = re.compile(r"[\[{](?P<inside>.*)[\]}]", re.DOTALL)
"""A list as PostgreSQL, JSON and Python write it."""
_UNREADABLE = (ValueError, SyntaxError, RecursionError, MemoryError, TypeError)


def parse_genres(texts: Any) -> pa.Array:
    """Parse 'A|B', 'A, B', '{A,"B, C"}', '["A", "B"]' or '[{"name": "A"}]'. NULL stays NULL."""
    genre_lists = [_parse_genre_list(text) for text in texts.to_pylist()]
    return pa.array(genre_lists, pa.list_(pa.string()))


def _parse_genre_list(text: str | None) -> list[str] | None:
    if text is None:
        return None
    genres = list(dict.fromkeys(_split_genres(text)))
    return [] if genres == [NO_GENRES] else genres


def _split_genres(text: str) -> list[str]:
    if text.startswith(("[", "{", "(")):
        value = _parse_literal(text)
        if value is not None:
            return _collect_names(value)
    match = _LIST.fullmatch(text)
    if match is None:
        return _strip_names(text.replace(",", "|").split("|"), None)
    inside = match["inside"]
    if '"' in inside:
        return _strip_names(_split_quoted(inside), None)
    return _strip_names(inside.replace(",", "|").split("|"), " \t\"'")


def _parse_literal(text: str) -> Any:
    """Parse text as JSON, or else as Python's repr; None when it is neither."""
    for parse in (json.loads, _parse_python):
        try:
            value = parse(text)
        except _UNREADABLE:
            continue
        # {1, 2} is an array of PostgreSQL rather than a set, whose order Python does not keep.
        return None if isinstance(value, set) else value
    return None


def _parse_python(text: str) -> Any:
    if len(text) > _MAX_PARSED_CHARACTERS:
        raise ValueError("the text is too long")
    return ast.literal_eval(text)


def _split_quoted(inside: str) -> list[str]:
    """Split the elements of PostgreSQL's array: an element with a comma is quoted."""
    reader = csv.reader([inside], quotechar='"', escapechar="\\", skipinitialspace=True)
    try:
        return next(reader)
    except csv.Error:
        return inside.split(",")


def _strip_names(names: list[str], characters: str | None) -> list[str]:
    stripped = [name.strip(characters) for name in names]
    return [name for name in stripped if name]


def _collect_names(value: Any) -> list[str]:
    """Collect the texts of a list, and the names of its objects.

    Amazon's categories are lists of paths, which are lists.
    """
    if isinstance(value, list | tuple):
        names = []
        for element in value:
            names.extend(_collect_names(element))
        return names
    if isinstance(value, dict):
        return _find_object_name(value)
    if isinstance(value, str) and value.strip():
        return [value.strip()]
    return []


def _find_object_name(value: dict[Any, Any]) -> list[str]:
    """Find the name of an object by its key, whatever the key's case."""
    keys = {str(key).lower(): key for key in value}
    for name in NAME_KEYS:
        if name in keys:
            return _collect_names(value[keys[name]])
    return []
