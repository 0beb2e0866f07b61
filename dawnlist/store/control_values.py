"""Read the store's control keys. What Dawnlist did not write there is left out, and can be named.

Other programs, and people with redis-cli, may have written to these keys, and a server that evicts
keys may have lost some. A foreign field of a hash stops nobody: it is left out, and
`describe_foreign_fields` says how to remove it. `active` and `counter` are written anew by the next
publish or rollback. Only a key of the wrong type, and a hold that can't be read, are errors.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import redis

from dawnlist.cuts import parse_as_of
from dawnlist.store.layout import StoreKeys, VersionMeta

MAX_COUNTER: Final = 10**12
"""A larger counter was not written by Dawnlist."""
_NUMBER: Final = re.compile(rb"[1-9][0-9]{0,14}")
_TOKEN: Final = re.compile(rb"([1-9][0-9]{0,14})-[0-9a-zA-Z]{1,64}")
_DATA_FIELDS: Final[Mapping[str, type]] = {"token": str, "buckets": int, "chunks": dict}
"""What is needed of every version, at least to delete it."""
_VERSION_FIELDS: Final[Mapping[str, type]] = {"version": int, "run": str, "as_of": str}
"""What is needed beside it of a version that can be active."""
_BUILD_FIELDS: Final[Mapping[str, Any]] = {
    "run": str,
    "as_of": str,
    "digest": str,
    "done": int,
    "at": (int, float),
}
"""What is needed beside it of a version that a publisher writes."""
_FIGURES: Final = ("users", "items", "bytes", "history_bytes")


class ControlValueError(ValueError):
    """A control key holds something that Dawnlist did not write."""


def read_control_text(client: Any, key: str) -> bytes | None:
    """Read a control key that is a string, with a client or within a transaction.

    Raises:
        ControlValueError: the key is no string.
    """
    try:
        text: bytes | None = client.get(key)
    except redis.ResponseError as error:
        raise _explain_type_error(key, "string", error) from None
    return text


def read_control_hash(client: Any, key: str) -> dict[bytes, bytes]:
    """Read a control key that is a hash, with a client or within a transaction.

    Raises:
        ControlValueError: the key is no hash.
    """
    try:
        fields: dict[bytes, bytes] = client.hgetall(key)
    except redis.ResponseError as error:
        raise _explain_type_error(key, "hash", error) from None
    return fields


def read_version_metas(client: Any, keys: StoreKeys) -> dict[int, VersionMeta]:
    """Read the versions that can be made active, without foreign fields.

    Raises:
        ControlValueError: the key `versions` is no hash.
    """
    metas = {}
    for field, text in read_control_hash(client, keys.versions).items():
        meta = parse_version_meta(field, text)
        if meta is not None:
            metas[int(field)] = meta
    return metas


def read_build_entries(client: Any, keys: StoreKeys) -> dict[int, dict[str, Any]]:
    """Read the versions that are being written or deleted, without foreign fields.

    Raises:
        ControlValueError: the key `building` is no hash.
    """
    entries = {}
    for field, text in read_control_hash(client, keys.building).items():
        entry = parse_build_entry(field, text)
        if entry is not None:
            entries[int(field)] = entry
    return entries


def read_active_token(client: Any, keys: StoreKeys) -> str | None:
    """Read the active version's token; None if the key is lost or holds no token."""
    try:
        text = read_control_text(client, keys.active)
    except ControlValueError:
        return None
    if text is None or not _TOKEN.fullmatch(text):
        return None
    return text.decode()


def read_active_meta(client: Any, keys: StoreKeys) -> VersionMeta | None:
    """Read the active version's meta.

    None if nothing is active: nothing has been published, `active` is lost or damaged, or it names
    a version that the store no longer has.

    Raises:
        ControlValueError: the key `versions` is no hash.
    """
    token = read_active_token(client, keys)
    if token is None:
        return None
    meta = read_version_metas(client, keys).get(parse_version_number(token))
    if meta is None or meta["token"] != token:
        return None
    return meta


def read_given_numbers(client: Any, keys: StoreKeys) -> list[int]:
    """Return the counter and every number that is in use, in foreign entries too."""
    numbers = []
    for key in (keys.versions, keys.building):
        for field in read_control_hash(client, key):
            if _NUMBER.fullmatch(field):
                numbers.append(int(field))
    try:
        counter = read_control_text(client, keys.counter)
    except ControlValueError:
        counter = None  # it is written anew with the next number
    if counter is not None and _NUMBER.fullmatch(counter) and int(counter) <= MAX_COUNTER:
        numbers.append(int(counter))
    return numbers


def parse_version_number(token: str) -> int:
    """Return the number of the version that a token belongs to.

    Raises:
        ControlValueError: it is no token.
    """
    match = _TOKEN.fullmatch(token.encode(errors="replace"))
    if match is None:
        raise ControlValueError(
            f"the store's key of the active version holds {token[:40]!r}, which is no version: "
            "`dawnlist rollback N` sets it to version N; `dawnlist versions` lists them"
        )
    return int(match[1])


def parse_version_meta(field: bytes, text: bytes) -> VersionMeta | None:
    """Return the meta in a field of `versions`; None if Dawnlist did not write it."""
    meta = _parse_entry(field, text)
    if meta is None or not _has_types(meta, _VERSION_FIELDS) or meta["version"] != int(field):
        return None
    figures = [meta[name] for name in _FIGURES if name in meta]
    if not all(isinstance(figure, int) for figure in figures):
        return None
    return meta if _is_time(meta["as_of"]) else None


def parse_build_entry(field: bytes, text: bytes) -> dict[str, Any] | None:
    """Return the entry in a field of `building`; None if Dawnlist did not write it."""
    entry = _parse_entry(field, text)
    if entry is None or not entry.get("owner"):
        return entry
    if not _has_types(entry, _BUILD_FIELDS) or not _is_time(entry["as_of"]):
        return None
    return entry


def describe_foreign_fields(client: Any, keys: StoreKeys) -> list[str]:
    """Return a line for each field of `versions` and `building` that Dawnlist did not write."""
    lines = []
    for key, parse in ((keys.versions, parse_version_meta), (keys.building, parse_build_entry)):
        for field, text in sorted(read_control_hash(client, key).items()):
            if parse(field, text) is None:
                lines.append(_describe_foreign_field(key, field, text))
    return lines


def _describe_foreign_field(key: str, field: bytes, text: bytes) -> str:
    name = field.decode(errors="replace")[:40]
    return (
        f"the field {name!r} of the store's key {key} is no version that Dawnlist wrote "
        f"({quote_value(text)}) and is ignored: remove it with `redis-cli HDEL '{key}' '{name}'`"
    )


def quote_value(text: bytes) -> str:
    """Return the beginning of a value for a message."""
    return repr(text[:40].decode(errors="replace"))


def _parse_entry(field: bytes, text: bytes) -> dict[str, Any] | None:
    """Return an entry of `versions` or `building`, with what is needed of every version."""
    if not _NUMBER.fullmatch(field):
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not _has_types(entry, _DATA_FIELDS):
        return None
    if not entry["token"].startswith(f"{field.decode()}-") or entry["buckets"] < 0:
        return None
    chunks = entry["chunks"]
    has_chunks = all(isinstance(chunks.get(kind), int) for kind in ("c", "f"))
    return entry if has_chunks else None


def _has_types(entry: Mapping[str, Any], types: Mapping[str, Any]) -> bool:
    return all(isinstance(entry.get(name), expected) for name, expected in types.items())


def _is_time(text: str) -> bool:
    try:
        parse_as_of(text)
    except ValueError:
        return False
    return True


def _explain_type_error(key: str, kind: str, error: redis.ResponseError) -> Exception:
    """Return an error that names the key, if the key has the wrong type; else the error itself."""
    if not str(error).startswith("WRONGTYPE"):
        return error
    return ControlValueError(
        f"the store's key {key} is no {kind}, so Dawnlist did not write it: "
        f"remove it with `redis-cli DEL '{key}'` and publish again"
    )
