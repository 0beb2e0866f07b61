"""Turn dataclasses into JSON values and back, field by field and in the order of the fields."""

import dataclasses
from types import NoneType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

_T = TypeVar("_T")

JSON_KEY: Final = "json_key"
"""In a field's metadata: the key in JSON, where it is not the field's name."""
OMIT_NONE: Final = "omit_none"
"""In a field's metadata: JSON has no key for the field if its value is None."""


def to_json(record: Any) -> dict[str, Any]:
    """Return a dataclass as a dictionary for JSON, with everything that is nested in it."""
    values = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value is not None or not field.metadata.get(OMIT_NONE):
            values[field.metadata.get(JSON_KEY, field.name)] = _write_value(value)
    return values


def from_json(record_type: type[_T], values: dict[str, Any]) -> _T:
    """Return a dataclass of what `to_json` returned.

    Unknown keys are ignored. A field without a key gets its default, as in older records.

    Raises:
        TypeError: A field without a default has no key.
    """
    types = get_type_hints(record_type)
    arguments = {}
    for field in dataclasses.fields(record_type):  # type: ignore[arg-type]  # any dataclass
        key = field.metadata.get(JSON_KEY, field.name)
        if key in values:
            arguments[field.name] = _read_value(types[field.name], values[key])
    return record_type(**arguments)


def _write_value(value: Any) -> Any:
    if isinstance(value, str | int | float):
        return value
    if dataclasses.is_dataclass(value):
        return to_json(value)
    if isinstance(value, dict):
        return {key: _write_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_write_value(item) for item in value]
    return value


def _holds_dataclasses(declared: Any) -> bool:
    return dataclasses.is_dataclass(declared) or any(map(_holds_dataclasses, get_args(declared)))


def _read_value(declared: Any, value: Any) -> Any:
    """Return a JSON value as the declared type: a dataclass, or a list, dict or None of some."""
    if value is None:
        return None
    if dataclasses.is_dataclass(declared):
        return from_json(declared, value)  # type: ignore[arg-type]  # it is a type
    arguments = [argument for argument in get_args(declared) if argument is not NoneType]
    if not any(map(_holds_dataclasses, arguments)):
        return value
    if get_origin(declared) is list:
        return [_read_value(arguments[0], item) for item in value]
    if get_origin(declared) is dict:
        return {key: _read_value(arguments[1], item) for key, item in value.items()}
    return _read_value(arguments[0], value)  # X | None
