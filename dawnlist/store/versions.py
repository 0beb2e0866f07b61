"""Publish versions to the store, switch between them, and go back; layout.py describes the keys."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from redis.client import Pipeline

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.dataclass_json import from_json, to_json
from dawnlist.store import builds, version_reports
from dawnlist.store import content as store_content
from dawnlist.store import memory as store_memory
from dawnlist.store.builds import Build, run_transaction
from dawnlist.store.client import STORE_ERRORS, StoreClient
from dawnlist.store.content import VersionContent
from dawnlist.store.control_values import (
    ControlValueError,
    describe_foreign_fields,
    read_active_meta,
    read_version_metas,
)
from dawnlist.store.damage import Damage, DamagedVersionError, find_damage
from dawnlist.store.layout import NothingPublishedError, StoreKeys, VersionMeta
from dawnlist.store.memory import MemoryFigures
from dawnlist.store.publish_decision import (
    StoreState,
    find_reference_damage,
    is_switch_lost,
    resolve_without_switch,
)
from dawnlist.store.toplists import TopLists
from dawnlist.store.version_reports import (
    UNREADABLE_HOLD,
    ListedVersion,
    PublishReport,
    RestoredVersion,
    VersionHold,
    VersionReport,
    build_version_report,
)

VERSIONS_TO_KEEP: Final = 3
_LIST_META_FIELDS: Final = (
    "winner",
    "engine",
    "configured",
    "model",
    "metrics",
    "config",
    "event_weights",
)
"""The fields of a top lists' meta that a version's meta takes over."""
VersionHook = Callable[[VersionReport], None]
"""Is called with a version's report before a switch. An exception stops the switch."""


def publish_version(
    client: StoreClient,
    namespace: str,
    lists: TopLists,
    run: str,
    as_of: datetime,
    keep: int = VERSIONS_TO_KEEP,
    announce: VersionHook = lambda report: None,
    last_number: int = 0,
) -> PublishReport:
    """Write the lists as a new version, read a sample back, and switch to it in a single step.

    If the run's version is live and whole, nothing is written and its report is returned again. If
    it is the last one while the store has lost which one is active, it is made active again. If the
    live version is damaged, a run of its day or a later one replaces it. If the store is lost, what
    was written stays, and the next publish of the run resumes it.

    Args:
        run: The name of the run that made the lists.
        as_of: The run's as_of.
        keep: The number of versions to keep, the active one included.
        announce: Is called with the report just before the switch. An exception stops the switch.
        last_number: The last version's number as others remember it. The new version's is above
            it, even if the store went back to an older state of its data.

    Returns:
        The version's report, or the reason for which nothing has changed: as_of is not newer than
        the active version's, a rollback holds its version, or the run's version was live before.

    Raises:
        RuntimeError: the store has no room, what was read back differs from what was written, or
            another publisher took the version over. The active version has not changed.
        ValueError: `keep` is below 1, or a control key holds something that Dawnlist did not write.
    """
    keys = StoreKeys(namespace)
    if keep < 1:
        raise ValueError(f"keep = {keep}: at least one version, the active one, has to be kept")
    state = StoreState.read(client, keys)
    damage = find_reference_damage(client, keys, state, as_of)
    settled = resolve_without_switch(state, run, as_of, damage)
    if is_switch_lost(state, run, damage):
        settled = _repeat_lost_switch(client, keys, run, damage) or settled
    if settled is not None:
        return settled
    content = VersionContent.from_lists(lists, namespace)
    content_meta = _describe_content(lists, content)
    digest = _compute_digest(lists, content_meta)
    builds.drop_leftovers(client, keys, run, digest)
    written_buckets = builds.count_written_buckets(client, keys, run, digest)
    memory = _ensure_memory(client, keys, content, written_buckets, keep)
    build = builds.begin_or_resume_build(
        client, keys, run, as_of, digest, content_meta, last_number
    )
    meta = {
        "version": build.version,
        "token": build.token,
        "run": run,
        "as_of": format_iso(as_of),
        "digest": digest,
        **content_meta,
    }
    try:
        meta["seconds"] = _write_and_verify(client, keys, build, content)
        meta["resumed"] = build.resumed_buckets
        meta["memory"] = to_json(memory)
        announce(build_version_report(meta))
        report = _switch_version(client, keys, build, meta, damage)
    except STORE_ERRORS:
        raise
    except Exception:
        # If the store is lost meanwhile, the next publish deletes the version.
        with suppress(*STORE_ERRORS):
            builds.abandon_build(client, keys, build, content_meta)
        raise
    if report.version is None or report.version.token != build.token:
        # A newer run was published meanwhile, or the same run by another publisher.
        builds.abandon_build(client, keys, build, content_meta)
    builds.drop_old_versions(client, keys, keep - 1)
    return report


def list_versions(client: StoreClient, namespace: str) -> list[ListedVersion]:
    """Return the reports of all versions that can be active, the newest first."""
    keys = StoreKeys(namespace)
    current = read_active_meta(client, keys)
    metas = read_version_metas(client, keys)
    reports = []
    for _, meta in sorted(metas.items(), reverse=True):
        is_active = bool(current) and current == meta
        reports.append(from_json(ListedVersion, {**meta, "active": is_active}))
    return reports


def list_foreign_values(client: StoreClient, namespace: str) -> list[str]:
    """Return a line about each value among the versions that Dawnlist did not write."""
    return describe_foreign_fields(client, StoreKeys(namespace))


def read_active_version(client: StoreClient, namespace: str) -> VersionReport | None:
    """Return the active version's report, or None if no version is active."""
    meta = read_active_meta(client, StoreKeys(namespace))
    return build_version_report(meta) if meta else None


def roll_back_version(
    client: StoreClient,
    namespace: str,
    version: int | None = None,
    check: VersionHook = lambda report: None,
) -> RestoredVersion:
    """Switch to an older version and hold it: no publish changes it until `release_hold`.

    Args:
        version: The version to switch to. None: the newest one below the active one.
        check: Is called with the version's report before the switch. An exception stops the
            switch.

    Returns:
        The version's report, with the version that it `replaced`.

    Raises:
        LookupError: there is no such version.
        DamagedVersionError: a part of the version is gone.
        NothingPublishedError: the namespace has no version, or none is active and no `version` is
            given.
    """
    keys = StoreKeys(namespace)

    def switch(pipe: Pipeline) -> RestoredVersion:
        metas = read_version_metas(pipe, keys)
        current = read_active_meta(pipe, keys)
        replaced = current["version"] if current else None
        if not metas or (current is None and version is None):
            raise NothingPublishedError(namespace, metas)
        target = metas[_choose_rollback_target(metas, replaced, version)]
        check(build_version_report(target))
        _check_whole(client, keys, target, metas)
        since = format_iso(datetime.now(UTC).replace(microsecond=0))
        hold = VersionHold(target["version"], replaced, since)
        pipe.multi()
        pipe.set(keys.active, target["token"])
        pipe.set(keys.hold, json.dumps(to_json(hold)))
        return from_json(RestoredVersion, {**target, "replaced": replaced})

    return run_transaction(client, keys, switch)


def read_hold(client: Any, namespace: str) -> VersionHold | None:
    """Return what a rollback holds, or None if nothing is held.

    Raises:
        ControlValueError: the key holds something that Dawnlist did not write.
    """
    return version_reports.read_hold(client, StoreKeys(namespace))


def release_hold(client: Any, namespace: str) -> VersionHold | None:
    """End the hold, so that the next publish changes the active version.

    Returns what `read_hold` would have returned, and UNREADABLE_HOLD where it raises an error.
    """
    keys = StoreKeys(namespace)
    try:
        hold = version_reports.read_hold(client, keys)
    except ControlValueError:
        hold = UNREADABLE_HOLD
    client.delete(keys.hold)
    return hold


def _describe_content(lists: TopLists, content: VersionContent) -> VersionMeta:
    """Describe the content and the model behind it, for the version's meta."""
    content_meta = content.about()
    for name in _LIST_META_FIELDS:
        content_meta[name] = lists.meta.get(name)
    return content_meta


def _compute_digest(lists: TopLists, content_meta: VersionMeta) -> str:
    """Return a digest of the content; empty if the lists have none, so nothing can be resumed."""
    if not lists.digest:
        return ""
    return hashlib.sha256(json.dumps([lists.digest, content_meta]).encode()).hexdigest()[:16]


def _choose_rollback_target(
    metas: dict[int, VersionMeta], current: int | None, version: int | None
) -> int:
    """Return the version to switch to: `version`, or the newest one below the current one.

    Raises:
        LookupError: there is no such version.
    """
    if version is None and current is not None:
        older = [number for number in metas if number < current]
        if not older:
            raise LookupError(
                f"there is no version before {current}, which is active: nothing to go back to"
            )
        return max(older)
    if version is None or version not in metas:
        choice = ", ".join(map(str, sorted(metas)))
        raise LookupError(f"there is no version {version}: choose one of {choice}")
    return version


def _check_whole(
    client: StoreClient, keys: StoreKeys, target: VersionMeta, metas: dict[int, VersionMeta]
) -> None:
    """Refuse to switch to a version of which a part is gone.

    Raises:
        DamagedVersionError: it is.
    """
    damage = find_damage(client, keys, target, read_buckets=False)
    if damage is None:
        return
    others = [str(number) for number in sorted(metas) if number != damage.version]
    advice = f"run the pipeline for {target['as_of']} or later"
    if others:
        advice = f"choose one of {', '.join(others)}, or {advice}"
    raise DamagedVersionError(
        f"version {damage.version} can't be made active, since {damage}: {advice}"
    )


def _ensure_memory(
    client: StoreClient, keys: StoreKeys, content: VersionContent, written_buckets: int, keep: int
) -> MemoryFigures:
    """Check that the version fits into the store's memory, and return the figures.

    If it does not fit, the versions that would be dropped after the switch are dropped now.

    Raises:
        RuntimeError: the version does not fit even then.
    """
    needed = content.estimate_memory(written_buckets)
    users = len(content.lists.user_ids)
    try:
        return store_memory.check_room(client, needed, users)
    except RuntimeError:
        if not builds.drop_old_versions(client, keys, max(0, keep - 2)):
            raise
        return store_memory.check_room(client, needed, users)


def _write_and_verify(
    client: StoreClient, keys: StoreKeys, build: Build, content: VersionContent
) -> float:
    """Write the content and read a sample back; returns the seconds that it took."""
    started = time.perf_counter()

    def checkpoint(buckets: int) -> None:
        builds.checkpoint_build(client, keys, build, buckets)

    store_content.write_content(
        client, keys, build.token, content, build.resumed_buckets, checkpoint
    )
    store_content.verify_content(client, keys, build.token, content)
    return round(time.perf_counter() - started, 3)


def _repeat_lost_switch(
    client: StoreClient, keys: StoreKeys, run: str, damage: Damage | None
) -> PublishReport | None:
    """Make the run's version active again if the store has lost that it was.

    Returns its report, or None if nothing was to be done.
    """

    def switch(pipe: Pipeline) -> PublishReport | None:
        state = StoreState.read(pipe, keys)
        own = state.find_version(run)
        pipe.multi()
        if own is None or not is_switch_lost(state, run, damage):
            return None
        pipe.set(keys.active, own["token"])
        return PublishReport(build_version_report(own))

    return run_transaction(client, keys, switch)


def _switch_version(
    client: StoreClient,
    keys: StoreKeys,
    build: Build,
    meta: VersionMeta,
    damage: Damage | None,
) -> PublishReport:
    """Make the version active, and return the publish's report.

    The damaged version that it replaces is deleted, and a hold on that one passes to this one.
    Nothing is switched if that must no longer happen; see `resolve_without_switch`.
    """
    field = str(build.version)
    replaced: dict[int, builds.BuildEntry] = {}

    def switch(pipe: Pipeline) -> PublishReport:
        replaced.clear()
        state = StoreState.read(pipe, keys)
        as_of = parse_as_of(meta["as_of"])
        settled = resolve_without_switch(state, meta["run"], as_of, damage)
        if settled is not None:
            pipe.multi()
            return settled
        builds.read_owned_entry(pipe, keys, build)
        previous = state.active["version"] if state.active else None
        final_meta = {**meta, "previous": previous}
        pipe.multi()
        pipe.hset(keys.versions, field, json.dumps(final_meta))
        pipe.set(keys.active, meta["token"])
        pipe.hdel(keys.building, field)
        if damage is not None and state.is_damaged(damage):
            damaged_meta = state.metas[damage.version]
            replaced[damage.version] = builds.unlist_version(pipe, keys, damaged_meta)
        if state.hold is not None:
            hold = replace(state.hold, version=build.version)
            pipe.set(keys.hold, json.dumps(to_json(hold)))
        return PublishReport(build_version_report(final_meta))

    report = run_transaction(client, keys, switch)
    for version, entry in replaced.items():
        builds.delete_version(client, keys, version, entry)
    return report
