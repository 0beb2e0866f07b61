"""The store's versions: written whole, switched to at once, gone back to; store_layout.py says where they lie."""

import contextlib
import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import redis
from redis.client import Pipeline

from components import store_content
from components.cuts import iso, parse_as_of
from components.store_layout import LAYOUT, Keys, Meta, NothingPublishedError, active_meta, metas
from components.toplists import TopLists

KEEP: Final = 3

Report = dict[str, Any]
Hook = Callable[[Report], None]


def publish(
    client: "redis.Redis",
    namespace: str,
    lists: TopLists,
    run: str,
    as_of: str,
    keep: int = KEEP,
    announce: Hook = lambda report: None,
) -> Report:
    """Write the lists as a new version, read a sample back, and make it the active one in a single switch.

    `announce` is given the report just before the switch; what it raises stops it. Returns `published` and, when that
    is False because as_of is not newer than the active version's, `reason`; nothing changes then. Else the version's
    report: version, token, run, as_of, winner, users, items, bytes (keys and values), seconds (to write and verify)
    and previous (the version that was active before, or None). A run that has been published before is left as it is
    and its report returned again. RuntimeError when what was read back differs or another publisher took the run
    over; the active version is untouched then.
    """
    keys, day = Keys(namespace), iso(parse_as_of(as_of))
    if keep < 1:
        raise ValueError(f"keep = {keep}: at least one version, the active one, has to be kept")
    if settled := _settled(client, keys, run, day):
        return settled
    _drop_leftovers(client, keys, run)
    version = int(client.incr(keys.counter))
    client.hset(keys.building, str(version), json.dumps({"run": run, "as_of": day}))
    try:
        meta = _written(client, keys, version, lists, run, day)
        announce(_report(meta))
        report = _switch(client, keys, meta)
    except BaseException:
        with contextlib.suppress(redis.RedisError):  # the next publish drops it otherwise
            _drop(client, keys, version)
        raise
    if report.get("version") != version:  # another run is newer now, or the same one, elsewhere, was quicker
        _drop(client, keys, version)
    _drop_old(client, keys, keep)
    return report


def versions(client: "redis.Redis", namespace: str) -> list[Report]:
    """The reports of all versions that can be active, newest first, each with `active`: bool."""
    keys = Keys(namespace)
    current = active_meta(client, keys)
    kept = sorted(metas(client, keys.versions).items(), reverse=True)
    return [{**_report(meta), "active": bool(current) and current == meta} for _, meta in kept]


def active(client: "redis.Redis", namespace: str) -> Report | None:
    """The active version's report, or None while nothing has been published."""
    meta = active_meta(client, Keys(namespace))
    return _report(meta) if meta else None


def rollback(
    client: "redis.Redis", namespace: str, version: int | None = None, check: Hook = lambda report: None
) -> Report:
    """Make `version`, or the newest one below the active one, active; returns its report with `replaced`.

    `check` is given its report before the switch; what it raises stops it. LookupError when there is no such version.
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
        pipe.multi()
        pipe.set(keys.active, kept[target]["token"])
        return {**_report(kept[target]), "replaced": current["version"]}

    return _atomically(client, keys, move)


def _report(meta: Meta) -> Report:
    return {name: meta[name] for name in meta if name not in ("k", "layout", "catalogue_chunks")}


def _settled(client: "redis.Redis", keys: Keys, run: str, as_of: str) -> Report | None:
    """What `publish` returns when there is nothing to switch: the run has a version, or is not newer; else None."""
    for meta in metas(client, keys.versions).values():
        if meta["run"] == run:
            return {**_report(meta), "published": True}
    current = active_meta(client, keys)
    if current is None or parse_as_of(as_of) > parse_as_of(current["as_of"]):
        return None
    reason = (
        f"run {run!r} of {as_of} is not newer than version {current['version']} of {current['as_of']}, which is "
        "active; roll back to an older version first if it is meant to go live"
    )
    return {"published": False, "reason": reason}


def _written(client: "redis.Redis", keys: Keys, version: int, lists: TopLists, run: str, as_of: str) -> Meta:
    """Write and verify a version; returns its meta but for `previous`."""
    started = time.perf_counter()
    counts = store_content.write(client, keys, version, lists)
    store_content.verify(client, keys, version, lists)
    return {
        "version": version,
        "token": f"{version}-{secrets.token_hex(4)}",
        "run": run,
        "as_of": as_of,
        "winner": lists.meta.get("winner"),
        "items": lists.catalogue.num_rows,
        **counts,
        "seconds": round(time.perf_counter() - started, 3),
        "k": lists.k,
        "layout": LAYOUT,
    }


def _switch(client: "redis.Redis", keys: Keys, meta: Meta) -> Report:
    """Make the version active unless that was settled meanwhile; returns publish's report."""
    field = str(meta["version"])

    def move(pipe: Pipeline) -> Report:
        if settled := _settled(pipe, keys, meta["run"], meta["as_of"]):
            pipe.multi()
            return settled
        if not pipe.hexists(keys.building, field):
            raise RuntimeError(f"another publisher took run {meta['run']!r} over: version {field} is not switched")
        current = active_meta(pipe, keys)
        switched = {**meta, "previous": current["version"] if current else None}
        pipe.multi()
        pipe.hset(keys.versions, field, json.dumps(switched))
        pipe.set(keys.active, meta["token"])
        pipe.hdel(keys.building, field)
        return {**_report(switched), "published": True}

    return _atomically(client, keys, move)


def _atomically(client: "redis.Redis", keys: Keys, change: Callable[[Pipeline], Report]) -> Report:
    """Run `change`, again whenever another client changed the versions between its reads and its writes."""
    transaction: Any = client.transaction  # redis-py's annotation forgets that the callable's value may be returned
    changed: Report = transaction(change, keys.active, keys.versions, keys.building, value_from_callable=True)
    return changed


def _drop_leftovers(client: "redis.Redis", keys: Keys, run: str) -> None:
    """Delete half-written versions that can never be switched to: of this run, or not newer than the active one."""
    current = active_meta(client, keys)
    for version, entry in metas(client, keys.building).items():
        late = current and parse_as_of(entry["as_of"]) <= parse_as_of(current["as_of"])
        if late or entry["run"] == run:
            _drop(client, keys, version)


def _drop_old(client: "redis.Redis", keys: Keys, keep: int) -> None:
    """Take the oldest versions beyond `keep` out of the choice, the active one never, then delete what they hold."""
    doomed: list[int] = []

    def take_out(pipe: Pipeline) -> Report:
        kept, current = metas(pipe, keys.versions), active_meta(pipe, keys)
        others = sorted((v for v in kept if not current or v != current["version"]), reverse=True)
        doomed[:] = others[keep - 1 :]
        pipe.multi()
        for version in doomed:  # into `building`, so that a deletion cut short is finished by the next publish
            pipe.hset(keys.building, str(version), json.dumps(kept[version]))
            pipe.hdel(keys.versions, str(version))
        return {}

    _atomically(client, keys, take_out)
    for version in doomed:
        _drop(client, keys, version)


def _drop(client: "redis.Redis", keys: Keys, version: int) -> None:
    store_content.delete(client, keys, version)
    client.hdel(keys.building, str(version))
