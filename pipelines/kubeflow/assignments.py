"""Parse NAME=VALUE of --set into parameters of a pipeline."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dawnlist.model.hyper_parameters import BY_NAME
from dawnlist.records.run_parameters import PARAMETER_OPTIONS, parse_search

SEARCH_KINDS: Final = {
    "search_mode": "STRING",
    "metric": "STRING",
    "iterations": "NUMBER_INTEGER",
    "seed": "NUMBER_INTEGER",
    **dict.fromkeys(BY_NAME, "LIST"),
}
"""Entries of the parameter `search`, which --set takes as it takes parameters, with their types."""


def parse_assignments(assignments: Sequence[str], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Parse texts NAME=VALUE of --set. A name is that of a parameter or of an entry of `search`.

    Args:
        assignments: The texts, e.g. list_length=10 or factors=32,64.
        kinds: kfp's names of the parameters' types, by parameter.

    Returns:
        The parameters by name. One that `kinds` does not have is a text.

    Raises:
        ValueError: A text has no equals sign, or a value is given twice, has an option of its own,
            is of another type, or is nothing that a search takes.
    """
    parameters: dict[str, Any] = {}
    search_entries: dict[str, Any] = {}
    for assignment in assignments:
        name, text = split_assignment(assignment)
        if name in parameters or name in search_entries:
            raise ValueError(f"--set {name}=… is given twice")
        if name in kinds:
            parameters[name] = parse_parameter_value(name, text, kinds[name])
        elif name in SEARCH_KINDS and "search" in kinds:
            search_entries[name] = parse_parameter_value(name, text, SEARCH_KINDS[name])
        else:
            parameters[name] = text
    if search_entries:
        parameters["search"] = {**parameters.get("search", {}), **search_entries}
    if kinds.get("search") == "STRUCT":
        parse_search(parameters.get("search", {}))
    return parameters


def split_assignment(assignment: str) -> tuple[str, str]:
    """Split NAME=VALUE of --set. ValueError without an equals sign, or where NAME has an option."""
    name, equals, text = assignment.partition("=")
    if not equals:
        raise ValueError(f"--set {assignment!r} has no '=': give NAME=VALUE, e.g. list_length=10")
    if name in PARAMETER_OPTIONS:
        raise ValueError(f"--set {name}=…: give {name} by {PARAMETER_OPTIONS[name]}")
    return name, text


def parse_parameter_value(name: str, text: str, kind: str) -> Any:
    """Parse a text as a parameter's type. ValueError when it is not of that type."""
    parsers: dict[str, tuple[Callable[[str], Any], str]] = {
        "STRING": (str, "a text"),
        "NUMBER_INTEGER": (int, "a whole number"),
        "NUMBER_DOUBLE": (_parse_number, "a number"),
        "BOOLEAN": (_parse_boolean, "true or false"),
        "LIST": (_parse_list, "a list, e.g. 32,64"),
        "STRUCT": (_parse_struct, 'a JSON object, e.g. {"a": 1}'),
    }
    parse, description = parsers[kind]
    try:
        return parse(text)
    except ValueError:
        raise ValueError(f"--set {name}={text!r}: {name} is {description}") from None


def _parse_number(text: str) -> float:
    value = json.loads(text, parse_constant=_refuse_constant)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(text)
    return float(value)


def _parse_boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _parse_list(text: str) -> list[Any]:
    if not text.startswith("["):
        return [_parse_number(number) for number in text.split(",")]
    value = json.loads(text, parse_constant=_refuse_constant)
    if not isinstance(value, list):
        raise ValueError(text)
    return value


def _parse_struct(text: str) -> dict[str, Any]:
    value = json.loads(text, parse_constant=_refuse_constant)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def _refuse_constant(text: str) -> Any:
    raise ValueError(text)
