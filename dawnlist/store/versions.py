"""The store's versions: written whole, switched to at once, gone back to; store_layout.py says where they lie."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from redis.client import Pipeline

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.store import builds
from dawnlist.store import content as store_content
from dawnlist.store import memory as store_memory
from dawnlist.store.builds import Build, run_transaction
from dawnlist.store.client import STORE_ERRORS, StoreClient
from dawnlist.store.content import VersionContent
from dawnlist.store.layout import (
    NothingPublishedError,
    StoreKeys,
    VersionMeta,
    read_active_meta,
    read_version_metas,
)
from dawnlist.store.toplists import TopLists

VERSIONS_TO_KEEP: Final = 3
_LIST_META_FIELDS: Final = ("winner", "model", "metrics", "config", "event_weights")
_REPORT_FIELDS: Final = (
    "version", "token", "run", "as_of", "winner", "users", "items", "bytes", "history_bytes", "memory", "seconds",
    "resumed", "previous", "model", "metrics",
)  # fmt: skip

VersionReport = dict[str, Any]
VersionHook = Callable[[VersionReport], None]


def publish_version(
    client: StoreClient,
    namespace: str,
    lists: TopLists,
    run: str,
    as_of: str,
    keep: int = VERSIONS_TO_KEEP,
    announce: VersionHook = lambda report: None,
) -> VersionReport:
    """Write the lists as a new version, read a sample back, and make it the active one in a single switch.

    `announce` is given the report just before the switch; what it raises stops it. Returns `published` and, when that
    is False, `reason`: as_of is not newer than the active version's, or since a rollback nothing may go live (`held`).
    Nothing changes then. Else the version's report: version, token, run, as_of, winner, users, items, bytes (of all
    values but histories), history_bytes, memory (bytes of the server's memory `needed`, and `free` before), seconds (to
    write and verify), resumed (buckets that an earlier publish of the same run and lists had left) and previous (the
    version that was active before, or None). A run that has been published before is left as it is and its report
    returned again. RuntimeError when the store has no room, what was read back differs, or another publisher took the
    version over; the active version is untouched then. What is written when the store is lost is gone on from.
    """
    keys, day = StoreKeys(namespace), format_iso(parse_as_of(as_of))
    if keep < 1:
        raise ValueError(f"keep = {keep}: at least one version, the active one, has to be kept")
    if settled := _resolve_without_switch(client, keys, run, day):
        return settled
    content = VersionContent.of(lists, namespace)
    about = {**content.about(), **{name: lists.meta.get(name) for name in _LIST_META_FIELDS}}
    digest = (
        hashlib.sha256(json.dumps([lists.digest, about]).encode()).hexdigest()[:16]
        if lists.digest
        else ""
    )
    builds.drop_leftovers(client, keys, run, digest)
    memory = _ensure_memory(
        client, keys, content, builds.count_written_buckets(client, keys, run, digest), keep
    )
    build = builds.begin_or_resume_build(client, keys, run, day, digest, about)
    try:
        started = time.perf_counter()
        _write_and_verify(client, keys, build, content)
        took = {
            "seconds": round(time.perf_counter() - started, 3),
            "resumed": build.resumed_buckets,
            "memory": memory,
        }
        named = {
            "version": build.version,
            "token": build.token,
            "run": run,
            "as_of": day,
            "digest": digest,
        }
        meta = {**named, **about, **took}
        announce(_select_report_fields(meta))
        report = _switch_version(client, keys, build, meta)
    except STORE_ERRORS:
        raise
    except Exception:
        with suppress(*STORE_ERRORS):  # the next publish finishes it otherwise
            builds.abandon_build(client, keys, build, about)
        raise
    if (
        report.get("token") != build.token
    ):  # another run is newer now, or the same one, elsewhere, was quicker
        builds.abandon_build(client, keys, build, about)
    builds.drop_old_versions(client, keys, keep - 1)
    return report


def list_versions(client: StoreClient, namespace: str) -> list[VersionReport]:
    """The reports of all versions that can be active, newest first, each with `active`: bool."""
    keys = StoreKeys(namespace)
    current = read_active_meta(client, keys)
    kept = sorted(read_version_metas(client, keys.versions).items(), reverse=True)
    return [
        {**_select_report_fields(meta), "active": bool(current) and current == meta}
        for _, meta in kept
    ]


def read_active_version(client: StoreClient, namespace: str) -> VersionReport | None:
    """The active version's report, or None while nothing has been published."""
    meta = read_active_meta(client, StoreKeys(namespace))
    return _select_report_fields(meta) if meta else None


def roll_back_version(
    client: StoreClient,
    namespace: str,
    version: int | None = None,
    check: VersionHook = lambda report: None,
) -> VersionReport:
    """Make `version`, or the newest one below the active one, active, and hold it; returns its report with `replaced`.

    Until `release` no publish switches to another. `check` is given its report before the switch; what it raises stops
    it. LookupError when there is no such version.
    """
    keys = StoreKeys(namespace)

    def move(pipe: Pipeline) -> VersionReport:
        kept, current = read_version_metas(pipe, keys.versions), read_active_meta(pipe, keys)
        if current is None:
            raise NothingPublishedError(namespace)
        target = (
            version
            if version is not None
            else max((v for v in kept if v < current["version"]), default=None)
        )
        if target is None:
            raise LookupError(
                f"there is no version before {current['version']}, which is active: nothing to go back to"
            )
        if target not in kept:
            raise LookupError(
                f"there is no version {target}: choose one of {', '.join(map(str, sorted(kept)))}"
            )
        check(_select_report_fields(kept[target]))
        since = format_iso(datetime.now(UTC).replace(microsecond=0))
        pipe.multi()
        pipe.set(keys.active, kept[target]["token"])
        pipe.set(
            keys.hold,
            json.dumps({"version": target, "replaced": current["version"], "since": since}),
        )
        return {**_select_report_fields(kept[target]), "replaced": current["version"]}

    return run_transaction(client, keys, move)


def read_hold(client: Any, namespace: str) -> VersionReport | None:
    """What holds since a rollback: the version that is live, the one that it replaced, and since when; or None."""
    found = client.get(StoreKeys(namespace).hold)
    return json.loads(found) if found else None


def release_hold(client: Any, namespace: str) -> VersionReport | None:
    """End the hold, so that the next publish goes live; returns what it was, None when there was none."""
    found = client.getdel(StoreKeys(namespace).hold)
    return json.loads(found) if found else None


def _select_report_fields(meta: VersionMeta) -> VersionReport:
    return {name: meta[name] for name in _REPORT_FIELDS if name in meta}


def _resolve_without_switch(
    client: Any, keys: StoreKeys, run: str, as_of: str
) -> VersionReport | None:
    """What `publish` returns when there is nothing to switch: the run has a version, or may not go live; else None."""
    for meta in read_version_metas(client, keys.versions).values():
        if meta["run"] == run:
            return {**_select_report_fields(meta), "published": True}
    if held := read_hold(client, keys.namespace):
        reason = (
            f"version {held['version']} is held since it was rolled back to at {held['since']}; to let the next run go "
            "live: `dawnlist release`"
        )
        return {"published": False, "held": held, "reason": reason}
    current = read_active_meta(client, keys)
    if current is None or parse_as_of(as_of) > parse_as_of(current["as_of"]):
        return None
    reason = (
        f"run {run!r} of {as_of} is not newer than version {current['version']} of {current['as_of']}, which is "
        "active; roll back to an older version first if it is meant to go live"
    )
    return {"published": False, "reason": reason}


def _ensure_memory(
    client: StoreClient, keys: StoreKeys, content: VersionContent, done: int, keep: int
) -> VersionReport:
    """The memory that the version needs and the store has; what would be dropped afterwards goes first if it must."""
    needed, users = content.estimate_memory(done), len(content.lists.user_ids)
    try:
        return store_memory.check_room(client, needed, users)
    except RuntimeError:
        if not builds.drop_old_versions(client, keys, max(0, keep - 2)):
            raise
        return store_memory.check_room(client, needed, users)


def _write_and_verify(
    client: StoreClient, keys: StoreKeys, build: Build, content: VersionContent
) -> None:
    """Write and verify a version."""

    def tell(buckets: int) -> None:
        builds.checkpoint_build(client, keys, build, buckets)

    store_content.write_content(client, keys, build.token, content, build.resumed_buckets, tell)
    store_content.verify_content(client, keys, build.token, content)


def _switch_version(
    client: StoreClient, keys: StoreKeys, build: Build, meta: VersionMeta
) -> VersionReport:
    """Make the version active unless that was settled meanwhile; returns publish's report."""
    field = str(build.version)

    def move(pipe: Pipeline) -> VersionReport:
        if settled := _resolve_without_switch(pipe, keys, meta["run"], meta["as_of"]):
            pipe.multi()
            return settled
        builds.read_owned_entry(pipe, keys, build)
        current = read_active_meta(pipe, keys)
        switched = {**meta, "previous": current["version"] if current else None}
        pipe.multi()
        pipe.hset(keys.versions, field, json.dumps(switched))
        pipe.set(keys.active, meta["token"])
        pipe.hdel(keys.building, field)
        return {**_select_report_fields(switched), "published": True}

    return run_transaction(client, keys, move)
