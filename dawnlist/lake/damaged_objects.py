"""Name an object of the lake that holds something that Dawnlist did not write, and what to do."""

import json
from collections.abc import Mapping
from typing import Any, Final

RESTORE_ADVICE = "restore it from the bucket's versions or a backup"
_REMEDIES: Final[Mapping[str, str]] = {
    "champion.json": f"{RESTORE_ADVICE}; or delete it, and the next publish or rollback writes it again "
    "from the store, without what was live before",
    "publications": f"{RESTORE_ADVICE}; or delete it, and its version is no incumbent and no target of a "
    "rollback any more",
    "models": f"{RESTORE_ADVICE}; or delete its folder if no publication names it, and the next run fits "
    "it again",
    "leases": "delete it: nobody holds the lease then",
    "runs": "delete it: the run's report then says that the step did not run",
    "challengers": "delete it: the next fit starts from another day's challenger",
    "holdouts": "delete it: the next run of that day writes it again",
    "outbox": "delete it: its message is lost",
    "tables": "delete it: delta-rs then reads the log without it",
}
"""What to do about an object that can't be read, by the first part of its path."""
_OTHER_REMEDY: Final = "delete it: the next run writes it again"
_EXCERPT: Final = 40
JsonTypes = Mapping[str, Any]
"""The type, or the types, that each key of an object must have."""


class DamagedObjectError(ValueError):
    """An object of the lake is not what Dawnlist wrote."""


def parse_json(uri: str, path: str, data: bytes) -> Any:
    """Return the JSON value that an object of the lake holds.

    Args:
        uri: The lake's URI, for the message.
        path: The object's path in the lake.

    Raises:
        DamagedObjectError: it holds no JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise build_damage_error(uri, path, f"is no JSON ({quote_bytes(data)})") from None


def parse_json_object(uri: str, path: str, data: bytes, types: JsonTypes) -> dict[str, Any]:
    """Return the JSON object that an object of the lake holds.

    Args:
        uri: The lake's URI, for the message.
        path: The object's path in the lake.
        data: The content of the object.
        types: The keys that it must have, with their types.

    Raises:
        DamagedObjectError: it holds anything else.
    """
    value = parse_json(uri, path, data)
    if not isinstance(value, dict):
        raise build_damage_error(uri, path, f"is no JSON object ({quote_bytes(data)})")
    for key, expected in types.items():
        if not isinstance(value.get(key), expected):
            raise build_damage_error(uri, path, f"has no {key!r} as Dawnlist writes it")
    return value


def build_damage_error(uri: str, path: str, problem: str) -> DamagedObjectError:
    """Return the error that names the object, what is wrong with it, and what to do."""
    remedy = _REMEDIES.get(path.split("/")[0], _OTHER_REMEDY)
    return DamagedObjectError(f"{path} of the lake {uri} {problem}: {remedy}")


def quote_bytes(data: bytes) -> str:
    """Return the beginning of an object for a message."""
    if not data:
        return "it is empty"
    return repr(data[:_EXCERPT].decode(errors="replace"))
