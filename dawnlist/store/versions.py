"""The store's versions: written whole, switched to at once, gone back to; store_layout.py says where they lie."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from redis.client import Pipeline

from dawnlist.cuts import iso, parse_as_of
from dawnlist.store import building
from dawnlist.store import content as store_content
from dawnlist.store import memory as store_memory
from dawnlist.store.building import Build, atomically
from dawnlist.store.client import ERRORS, Client
from dawnlist.store.content import Content
from dawnlist.store.layout import Keys, Meta, NothingPublishedError, active_meta, metas
from dawnlist.store.toplists import TopLists

KEEP: Final = 3
_ABOUT_LISTS: Final = ("winner", "model", "metrics", "config", "event_weights")
_REPORTED: Final = (
    "version", "token", "run", "as_of", "winner", "users", "items", "bytes", "history_bytes", "memory", "seconds",
    "resumed", "previous", "model", "metrics",
)  # fmt: skip

Report = dict[str, Any]
Hook = Callable[[Report], None]


def publish(
    client: Client,
    namespace: str,
    lists: TopLists,
    run: str,
    as_of: str,
    keep: int = KEEP,
    announce: Hook = lambda report: None,
) -> Report:
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
    keys, day = Keys(namespace), iso(parse_as_of(as_of))
    if keep < 1:
        raise ValueError(f"keep = {keep}: at least one version, the active one, has to be kept")
    if settled := _settled(client, keys, run, day):
        return settled
    content = Content.of(lists, namespace)
    about = {**content.about(), **{name: lists.meta.get(name) for name in _ABOUT_LISTS}}
    digest = hashlib.sha256(json.dumps([lists.digest, about]).encode()).hexdigest()[:16] if lists.digest else ""
    building.drop_leftovers(client, keys, run, digest)
    memory = _room(client, keys, content, building.done(client, keys, run, digest), keep)
    build = building.begin(client, keys, run, day, digest, about)
    try:
        started = time.perf_counter()
        _write(client, keys, build, content)
        took = {"seconds": round(time.perf_counter() - started, 3), "resumed": build.done, "memory": memory}
        named = {"version": build.version, "token": build.token, "run": run, "as_of": day, "digest": digest}
        meta = {**named, **about, **took}
        announce(_report(meta))
        report = _switch(client, keys, build, meta)
    except ERRORS:
        raise
    except Exception:
        with suppress(*ERRORS):  # the next publish finishes it otherwise
            building.give_up(client, keys, build, about)
        raise
    if report.get("token") != build.token:  # another run is newer now, or the same one, elsewhere, was quicker
        building.give_up(client, keys, build, about)
    building.drop_old(client, keys, keep - 1)
    return report


def versions(client: Client, namespace: str) -> list[Report]:
    """The reports of all versions that can be active, newest first, each with `active`: bool."""
    keys = Keys(namespace)
    current = active_meta(client, keys)
    kept = sorted(metas(client, keys.versions).items(), reverse=True)
    return [{**_report(meta), "active": bool(current) and current == meta} for _, meta in kept]


def active(client: Client, namespace: str) -> Report | None:
    """The active version's report, or None while nothing has been published."""
    meta = active_meta(client, Keys(namespace))
    return _report(meta) if meta else None


def rollback(client: Client, namespace: str, version: int | None = None, check: Hook = lambda report: None) -> Report:
    """Make `version`, or the newest one below the active one, active, and hold it; returns its report with `replaced`.

    Until `release` no publish switches to another. `check` is given its report before the switch; what it raises stops
    it. LookupError when there is no such version.
    """
    keys = Keys(namespace)

    def move(pipe: Pipeline) -> Report:
        kept, current = metas(pipe, keys.versions), active_meta(pipe, keys)
        if current is None:
            raise NothingPublishedError(namespace)
        target = version if version is not None else max((v for v in kept if v < current["version"]), default=None)
        if target is None:
            raise LookupError(
                f"there is no version before {current['version']}, which is active: nothing to go back to"
            )
        if target not in kept:
            raise LookupError(f"there is no version {target}: choose one of {', '.join(map(str, sorted(kept)))}")
        check(_report(kept[target]))
        since = iso(datetime.now(UTC).replace(microsecond=0))
        pipe.multi()
        pipe.set(keys.active, kept[target]["token"])
        pipe.set(keys.hold, json.dumps({"version": target, "replaced": current["version"], "since": since}))
        return {**_report(kept[target]), "replaced": current["version"]}

    return atomically(client, keys, move)


def hold(client: Any, namespace: str) -> Report | None:
    """What holds since a rollback: the version that is live, the one that it replaced, and since when; or None."""
    found = client.get(Keys(namespace).hold)
    return json.loads(found) if found else None


def release(client: Any, namespace: str) -> Report | None:
    """End the hold, so that the next publish goes live; returns what it was, None when there was none."""
    found = client.getdel(Keys(namespace).hold)
    return json.loads(found) if found else None


def _report(meta: Meta) -> Report:
    return {name: meta[name] for name in _REPORTED if name in meta}


def _settled(client: Any, keys: Keys, run: str, as_of: str) -> Report | None:
    """What `publish` returns when there is nothing to switch: the run has a version, or may not go live; else None."""
    for meta in metas(client, keys.versions).values():
        if meta["run"] == run:
            return {**_report(meta), "published": True}
    if held := hold(client, keys.namespace):
        reason = (
            f"version {held['version']} is held since it was rolled back to at {held['since']}; to let the next run go "
            "live: `dawnlist release`"
        )
        return {"published": False, "held": held, "reason": reason}
    current = active_meta(client, keys)
    if current is None or parse_as_of(as_of) > parse_as_of(current["as_of"]):
        return None
    reason = (
        f"run {run!r} of {as_of} is not newer than version {current['version']} of {current['as_of']}, which is "
        "active; roll back to an older version first if it is meant to go live"
    )
    return {"published": False, "reason": reason}


def _room(client: Client, keys: Keys, content: Content, done: int, keep: int) -> Report:
    """The memory that the version needs and the store has; what would be dropped afterwards goes first if it must."""
    needed, users = content.memory(done), len(content.lists.user_ids)
    try:
        return store_memory.check_room(client, needed, users)
    except RuntimeError:
        if not building.drop_old(client, keys, max(0, keep - 2)):
            raise
        return store_memory.check_room(client, needed, users)


def _write(client: Client, keys: Keys, build: Build, content: Content) -> None:
    """Write and verify a version."""

    def tell(buckets: int) -> None:
        building.checkpoint(client, keys, build, buckets)

    store_content.write(client, keys, build.token, content, build.done, tell)
    store_content.verify(client, keys, build.token, content)


def _switch(client: Client, keys: Keys, build: Build, meta: Meta) -> Report:
    """Make the version active unless that was settled meanwhile; returns publish's report."""
    field = str(build.version)

    def move(pipe: Pipeline) -> Report:
        if settled := _settled(pipe, keys, meta["run"], meta["as_of"]):
            pipe.multi()
            return settled
        building.owned(pipe, keys, build)
        current = active_meta(pipe, keys)
        switched = {**meta, "previous": current["version"] if current else None}
        pipe.multi()
        pipe.hset(keys.versions, field, json.dumps(switched))
        pipe.set(keys.active, meta["token"])
        pipe.hdel(keys.building, field)
        return {**_report(switched), "published": True}

    return atomically(client, keys, move)
