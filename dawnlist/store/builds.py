"""Versions on their way into the store or out of it: who writes them, how far they are, and how they go.

An entry of `building` is {run, as_of, digest, token, buckets, chunks, owner, done, at}: `owner` is drawn by each
publisher that begins or goes on with a version, and whoever finds another's there has been overtaken and stops. `done`
buckets are written, the last `at` that time. An entry without an owner is of a version that is being deleted: nobody
goes on with it, and the next publish finishes the deletion.
"""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from redis.client import Pipeline

from dawnlist.cuts import parse_as_of
from dawnlist.store import content
from dawnlist.store.client import StoreClient
from dawnlist.store.layout import StoreKeys, VersionMeta, read_active_meta, read_version_metas

PUBLISHER_TIMEOUT_SECONDS: Final = 900.0
"""A publisher that has written no batch for so long is taken for dead."""

T = TypeVar("T")


class OvertakenError(RuntimeError):
    """Another publisher went on with this version, or took it away."""


@dataclass(frozen=True)
class Build:
    """A version that is being written, by this publisher as long as `owner` says so."""

    version: int
    token: str
    owner: str
    done: int
    """Buckets that were there when it began."""


def run_transaction(client: Any, keys: StoreKeys, change: Callable[[Pipeline], T]) -> T:
    """Run `change`, again whenever another client changed the versions between its reads and its writes."""
    watched = keys.active, keys.versions, keys.building, keys.hold
    changed: T = client.transaction(change, *watched, value_from_callable=True)
    return changed


def count_written_buckets(client: StoreClient, keys: StoreKeys, run: str, digest: str) -> int:
    """Buckets of this content that an earlier publish of the run has left."""
    return next(
        (entry["done"] for entry in _find_resumable_entries(client, keys, run, digest).values()), 0
    )


def begin_or_resume_build(
    client: StoreClient, keys: StoreKeys, run: str, as_of: str, digest: str, about: VersionMeta
) -> Build:
    """Go on with what an earlier publish of the same run and content has left, or begin a new version."""
    owner = secrets.token_hex(8)

    def change(pipe: Pipeline) -> Build:
        for version, entry in _find_resumable_entries(pipe, keys, run, digest).items():
            pipe.multi()
            pipe.hset(
                keys.building,
                str(version),
                json.dumps({**entry, "owner": owner, "at": time.time()}),
            )
            return Build(version, entry["token"], owner, entry["done"])
        last: Any = pipe.get(keys.counter)
        # the counter may have been evicted, which no other key shows: its numbers are not given out again
        known = (int(name) for key in (keys.versions, keys.building) for name in pipe.hkeys(key))
        version = max(int(last or 0), *known, 0) + 1
        token = f"{version}-{secrets.token_hex(4)}"
        entry = {
            "run": run,
            "as_of": as_of,
            "digest": digest,
            "token": token,
            "owner": owner,
            "done": 0,
        }
        parts = {name: about[name] for name in ("buckets", "chunks")}
        pipe.multi()
        pipe.set(keys.counter, version)
        pipe.hset(keys.building, str(version), json.dumps({**entry, **parts, "at": time.time()}))
        return Build(version, token, owner, 0)

    return run_transaction(client, keys, change)


def checkpoint_build(client: StoreClient, keys: StoreKeys, build: Build, buckets: int) -> None:
    """Note that so many buckets are written; OvertakenError when the version is no longer this publisher's."""

    def change(pipe: Pipeline) -> None:
        entry = read_owned_entry(pipe, keys, build)
        pipe.multi()
        pipe.hset(
            keys.building,
            str(build.version),
            json.dumps({**entry, "done": buckets, "at": time.time()}),
        )

    run_transaction(client, keys, change)


def read_owned_entry(pipe: Any, keys: StoreKeys, build: Build) -> VersionMeta:
    """The version's entry; OvertakenError when it is no longer this publisher's."""
    found = pipe.hget(keys.building, str(build.version))
    entry: VersionMeta = json.loads(found) if found else {}
    if entry.get("owner") != build.owner:
        raise OvertakenError(
            f"another publisher took version {build.version} over, or away: this one has stopped and switched nothing"
        )
    return entry


def abandon_build(client: StoreClient, keys: StoreKeys, build: Build, about: VersionMeta) -> None:
    """Delete a version that will not be switched to; what another publisher goes on with, or switched to, stays."""

    def change(pipe: Pipeline) -> bool:
        entry = read_version_metas(pipe, keys.building).get(build.version)
        if (
            entry is None
        ):  # taken away meanwhile, maybe before this publisher's last batch; or switched to
            gone = all(
                meta["token"] != build.token
                for meta in read_version_metas(pipe, keys.versions).values()
            )
        else:
            gone = entry.get("owner") in (None, build.owner)
        pipe.multi()
        if gone:
            pipe.hset(
                keys.building, str(build.version), json.dumps({**about, "token": build.token})
            )
        return gone

    if run_transaction(client, keys, change):
        _delete_version(client, keys, build.version, {**about, "token": build.token})


def drop_leftovers(client: StoreClient, keys: StoreKeys, run: str, digest: str) -> None:
    """Delete what can never be switched to.

    That is what was being deleted, what is not newer than the active version, what this run has left of other content,
    and what was left by publishers that died.
    """
    doomed: dict[int, VersionMeta] = {}

    def change(pipe: Pipeline) -> None:
        active, entries = read_active_meta(pipe, keys), read_version_metas(pipe, keys.building)
        useful = _find_resumable_entries(pipe, keys, run, digest)
        pipe.multi()
        doomed.clear()
        for version, entry in entries.items():
            if version not in useful and (entry.get("run") == run or _is_dead(entry, active)):
                doomed[version] = entry
                pipe.hset(keys.building, str(version), json.dumps({**entry, "owner": None}))

    run_transaction(client, keys, change)
    for version, entry in doomed.items():
        _delete_version(client, keys, version, entry)


def drop_old_versions(client: StoreClient, keys: StoreKeys, others: int) -> bool:
    """Take all but the active version and the newest `others` out of the choice, then delete what they hold.

    False when there was nothing to take out.
    """
    doomed: dict[int, VersionMeta] = {}

    def change(pipe: Pipeline) -> None:
        kept, active = read_version_metas(pipe, keys.versions), read_active_meta(pipe, keys)
        rest = sorted(
            (version for version in kept if not active or version != active["version"]),
            reverse=True,
        )
        doomed.clear()
        pipe.multi()
        for version in rest[others:]:
            doomed[version] = {name: kept[version][name] for name in ("token", "buckets", "chunks")}
            pipe.hset(keys.building, str(version), json.dumps(doomed[version]))
            pipe.hdel(keys.versions, str(version))

    run_transaction(client, keys, change)
    for version, entry in doomed.items():
        _delete_version(client, keys, version, entry)
    return bool(doomed)


def _find_resumable_entries(
    client: Any, keys: StoreKeys, run: str, digest: str
) -> dict[int, VersionMeta]:
    """The entry, if any, of the run with the same content; content without a digest is never gone on with."""
    entries = read_version_metas(client, keys.building)
    mine = {
        version: entry
        for version, entry in entries.items()
        if entry.get("owner") and entry["run"] == run
    }
    return {
        version: entry for version, entry in mine.items() if digest and entry["digest"] == digest
    }


def _is_dead(entry: VersionMeta, active: VersionMeta | None) -> bool:
    if not entry.get("owner") or entry["at"] < time.time() - PUBLISHER_TIMEOUT_SECONDS:
        return True
    return active is not None and parse_as_of(entry["as_of"]) <= parse_as_of(active["as_of"])


def _delete_version(client: StoreClient, keys: StoreKeys, version: int, entry: VersionMeta) -> None:
    content.delete_content(client, keys, entry)
    client.hdel(keys.building, str(version))
