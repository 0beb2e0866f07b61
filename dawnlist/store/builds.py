"""Track unfinished versions in Redis: who writes each one, and how many buckets are written.

The hash `building` (see layout.py) has one `BuildEntry` for each version that is being written or
deleted.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Required, TypedDict, TypeVar

from redis.client import Pipeline

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.store import content
from dawnlist.store.client import StoreClient
from dawnlist.store.control_values import (
    parse_build_entry,
    read_active_meta,
    read_build_entries,
    read_given_numbers,
    read_version_metas,
)
from dawnlist.store.layout import StoreKeys, VersionMeta

PUBLISHER_TIMEOUT_SECONDS: Final = 900.0
"""A publisher that has written no batch for this many seconds counts as dead."""

_T = TypeVar("_T")


class BuildEntry(TypedDict, total=False):
    """One unfinished version, as JSON in the hash `building`.

    An entry that has no `owner` belongs to a version that is being deleted. No publisher resumes
    such a version. If the deletion was interrupted, the next publish finishes it.
    """

    run: str
    """The run that publishes the version."""
    as_of: str
    """The run's as_of, ISO-8601 in UTC."""
    digest: str
    """The digest of the content. An interrupted publish is only resumed with the same content."""
    token: Required[str]
    """The version's token, which is in all its keys."""
    buckets: Required[int]
    """The number of buckets of users that the version has when it is complete."""
    chunks: Required[dict[str, int]]
    """The number of chunks of the catalogue ("c") and of item factors ("f")."""
    owner: str | None
    """Random hex digits that each publisher draws when it begins or resumes the version.

    A publisher that finds another owner here has been overtaken, and stops.
    """
    done: int
    """The number of buckets that are written."""
    at: float
    """The time of the last written batch, in seconds since 1970."""


class OvertakenError(RuntimeError):
    """Another publisher resumed this version, or deleted it."""


@dataclass(frozen=True)
class Build:
    """A version that this publisher writes, as long as the store names it as the owner."""

    version: int
    token: str
    owner: str
    resumed_buckets: int
    """The number of buckets that an earlier publish had already written."""


def run_transaction(client: Any, keys: StoreKeys, change: Callable[[Pipeline], _T]) -> _T:
    """Run `change` in a Redis transaction and return its result.

    `change` reads, calls `pipe.multi()` and then writes. It runs again whenever another client
    changed the list of versions between its reads and its writes.
    """
    watched_keys = keys.active, keys.versions, keys.building, keys.hold
    result: _T = client.transaction(change, *watched_keys, value_from_callable=True)
    return result


def count_written_buckets(client: StoreClient, keys: StoreKeys, run: str, digest: str) -> int:
    """Count the buckets that an earlier publish of the same run and content has written."""
    for entry in _find_resumable_entries(client, keys, run, digest).values():
        return entry["done"]
    return 0


def begin_or_resume_build(
    client: StoreClient,
    keys: StoreKeys,
    run: str,
    as_of: datetime,
    digest: str,
    content_meta: VersionMeta,
    last_number: int = 0,
) -> Build:
    """Resume an earlier publish of the same run and content, or begin a new version.

    Args:
        last_number: A new version gets a number above this one.
    """
    owner = secrets.token_hex(8)

    def change(pipe: Pipeline) -> Build:
        for version, entry in _find_resumable_entries(pipe, keys, run, digest).items():
            pipe.multi()
            _put_entry(pipe, keys, version, {**entry, "owner": owner, "at": time.time()})
            return Build(version, entry["token"], owner, entry["done"])
        # The server may have evicted the counter, or have gone back to an older state of its data.
        version = max([last_number, *read_given_numbers(pipe, keys)]) + 1
        new_entry: BuildEntry = {
            "run": run,
            "as_of": format_iso(as_of),
            "digest": digest,
            "token": f"{version}-{secrets.token_hex(4)}",
            "owner": owner,
            "done": 0,
            "buckets": content_meta["buckets"],
            "chunks": content_meta["chunks"],
            "at": time.time(),
        }
        pipe.multi()
        pipe.set(keys.counter, version)
        _put_entry(pipe, keys, version, new_entry)
        return Build(version, new_entry["token"], owner, 0)

    return run_transaction(client, keys, change)


def checkpoint_build(client: StoreClient, keys: StoreKeys, build: Build, buckets: int) -> None:
    """Record that this many buckets are written.

    Raises:
        OvertakenError: the version no longer belongs to this publisher.
    """

    def change(pipe: Pipeline) -> None:
        entry = read_owned_entry(pipe, keys, build)
        pipe.multi()
        _put_entry(pipe, keys, build.version, {**entry, "done": buckets, "at": time.time()})

    run_transaction(client, keys, change)


def read_owned_entry(pipe: Any, keys: StoreKeys, build: Build) -> BuildEntry:
    """Read the entry of the version that this publisher writes.

    Raises:
        OvertakenError: the version no longer belongs to this publisher.
    """
    field = str(build.version)
    entry: Any = parse_build_entry(field.encode(), pipe.hget(keys.building, field) or b"")
    if entry is not None and entry.get("owner") == build.owner:
        owned_entry: BuildEntry = entry
        return owned_entry
    raise OvertakenError(
        f"another publisher took version {build.version} over, or deleted it. "
        "This publisher has stopped, and has not changed which version is active."
    )


def abandon_build(
    client: StoreClient, keys: StoreKeys, build: Build, content_meta: VersionMeta
) -> None:
    """Delete a version that will not be made active.

    Nothing is deleted if another publisher has resumed the version or made it active.
    """
    deleted_entry = {**content_meta, "token": build.token}

    def change(pipe: Pipeline) -> bool:
        can_delete = _can_abandon(pipe, keys, build)
        pipe.multi()
        if can_delete:
            _put_entry(pipe, keys, build.version, deleted_entry)
        return can_delete

    if run_transaction(client, keys, change):
        delete_version(client, keys, build.version, deleted_entry)


def drop_leftovers(client: StoreClient, keys: StoreKeys, run: str, digest: str) -> None:
    """Delete the unfinished versions that can never become active.

    These are versions whose deletion was interrupted, versions that are not newer than the active
    one, what this run left of other content, and what publishers left that died.
    """
    leftovers: dict[int, BuildEntry] = {}

    def change(pipe: Pipeline) -> None:
        active = read_active_meta(pipe, keys)
        entries = _read_entries(pipe, keys)
        resumable = _find_resumable_entries(pipe, keys, run, digest)
        pipe.multi()
        leftovers.clear()
        for version, entry in entries.items():
            if version in resumable:
                continue
            if entry.get("run") == run or _is_dead(entry, active):
                leftovers[version] = entry
                _put_entry(pipe, keys, version, {**entry, "owner": None})

    run_transaction(client, keys, change)
    for version, entry in leftovers.items():
        delete_version(client, keys, version, entry)


def drop_old_versions(client: StoreClient, keys: StoreKeys, others: int) -> bool:
    """Delete all versions but the active one and the newest `others` beside it.

    The versions are first removed from the hash `versions`, so that none of them can become
    active, and then their data is deleted. Returns False if there was nothing to delete.
    """
    removed: dict[int, BuildEntry] = {}

    def change(pipe: Pipeline) -> None:
        versions = read_version_metas(pipe, keys)
        active = read_active_meta(pipe, keys)
        active_version = active["version"] if active else None
        candidates = [version for version in versions if version != active_version]
        removed.clear()
        pipe.multi()
        for version in sorted(candidates, reverse=True)[others:]:
            removed[version] = unlist_version(pipe, keys, versions[version])

    run_transaction(client, keys, change)
    for version, entry in removed.items():
        delete_version(client, keys, version, entry)
    return bool(removed)


def unlist_version(pipe: Pipeline, keys: StoreKeys, meta: VersionMeta) -> BuildEntry:
    """Take a version out of those that can be made active, within a transaction.

    Returns its entry in `building`, as a version that is being deleted.
    """
    entry: BuildEntry = {
        "token": meta["token"],
        "buckets": meta["buckets"],
        "chunks": meta["chunks"],
    }
    _put_entry(pipe, keys, meta["version"], entry)
    pipe.hdel(keys.versions, str(meta["version"]))
    return entry


def _read_entries(client: Any, keys: StoreKeys) -> dict[int, BuildEntry]:
    entries: dict[int, Any] = read_build_entries(client, keys)
    return entries


def _put_entry(pipe: Pipeline, keys: StoreKeys, version: int, entry: object) -> None:
    pipe.hset(keys.building, str(version), json.dumps(entry))


def _find_resumable_entries(
    client: Any, keys: StoreKeys, run: str, digest: str
) -> dict[int, BuildEntry]:
    """Find the entry, if any, of the same run with the same content.

    Content without a digest is never resumed.
    """
    resumable = {}
    for version, entry in _read_entries(client, keys).items():
        if not entry.get("owner") or entry["run"] != run:
            continue
        if digest and entry["digest"] == digest:
            resumable[version] = entry
    return resumable


def _can_abandon(pipe: Pipeline, keys: StoreKeys, build: Build) -> bool:
    """Say whether no other publisher has resumed the version or made it active."""
    entry = _read_entries(pipe, keys).get(build.version)
    if entry is not None:
        return entry.get("owner") in (None, build.owner)
    # Another publisher deleted the entry, perhaps before this one's last batch, or made it active.
    versions = read_version_metas(pipe, keys)
    return all(meta["token"] != build.token for meta in versions.values())


def _is_dead(entry: BuildEntry, active: VersionMeta | None) -> bool:
    """Say whether the version is being deleted, was left by a dead publisher, or is outdated."""
    if not entry.get("owner") or entry["at"] < time.time() - PUBLISHER_TIMEOUT_SECONDS:
        return True
    return active is not None and parse_as_of(entry["as_of"]) <= parse_as_of(active["as_of"])


def delete_version(
    client: StoreClient, keys: StoreKeys, version: int, entry: Mapping[str, Any]
) -> None:
    """Delete the data of a version that can't become active, and its entry in `building`."""
    content.delete_content(client, keys, entry)
    client.hdel(keys.building, str(version))
