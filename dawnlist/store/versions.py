"""Publish versions to the store, switch between them, and go back; layout.py describes the keys."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
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
from dawnlist.store.layout import (
    NothingPublishedError,
    StoreKeys,
    VersionMeta,
    read_active_meta,
    read_version_metas,
)
from dawnlist.store.memory import MemoryFigures
from dawnlist.store.toplists import TopLists
from dawnlist.store.version_reports import (
    ListedVersion,
    PublishReport,
    RestoredVersion,
    VersionHold,
    VersionReport,
    build_version_report,
    parse_hold,
    resolve_without_switch,
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
) -> PublishReport:
    """Write the lists as a new version, read a sample back, and switch to it in a single step.

    If the run has been published before, nothing is written and its report is returned again. If
    the store is lost, what was written stays, and the next publish of the run resumes it.

    Args:
        run: The name of the run that made the lists.
        as_of: The run's as_of.
        keep: The number of versions to keep, the active one included.
        announce: Is called with the report just before the switch. An exception stops the switch.

    Returns:
        The version's report, or the reason for which nothing has changed: as_of is not newer than
        the active version's, or a rollback holds its version.

    Raises:
        RuntimeError: the store has no room, what was read back differs from what was written, or
            another publisher took the version over. The active version has not changed.
        ValueError: `keep` is below 1.
    """
    keys = StoreKeys(namespace)
    if keep < 1:
        raise ValueError(f"keep = {keep}: at least one version, the active one, has to be kept")
    settled = resolve_without_switch(client, keys, run, as_of)
    if settled is not None:
        return settled
    content = VersionContent.from_lists(lists, namespace)
    content_meta = _describe_content(lists, content)
    digest = _compute_digest(lists, content_meta)
    builds.drop_leftovers(client, keys, run, digest)
    written_buckets = builds.count_written_buckets(client, keys, run, digest)
    memory = _ensure_memory(client, keys, content, written_buckets, keep)
    build = builds.begin_or_resume_build(client, keys, run, as_of, digest, content_meta)
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
        report = _switch_version(client, keys, build, meta)
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
    metas = read_version_metas(client, keys.versions)
    reports = []
    for _, meta in sorted(metas.items(), reverse=True):
        is_active = bool(current) and current == meta
        reports.append(from_json(ListedVersion, {**meta, "active": is_active}))
    return reports


def read_active_version(client: StoreClient, namespace: str) -> VersionReport | None:
    """Return the active version's report, or None if nothing has been published."""
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
        NothingPublishedError: the namespace has no active version.
    """
    keys = StoreKeys(namespace)

    def switch(pipe: Pipeline) -> RestoredVersion:
        metas = read_version_metas(pipe, keys.versions)
        current = read_active_meta(pipe, keys)
        if current is None:
            raise NothingPublishedError(namespace)
        target = _choose_rollback_target(metas, current["version"], version)
        check(build_version_report(metas[target]))
        since = format_iso(datetime.now(UTC).replace(microsecond=0))
        hold = VersionHold(target, current["version"], since)
        pipe.multi()
        pipe.set(keys.active, metas[target]["token"])
        pipe.set(keys.hold, json.dumps(to_json(hold)))
        return from_json(RestoredVersion, {**metas[target], "replaced": hold.replaced})

    return run_transaction(client, keys, switch)


def read_hold(client: Any, namespace: str) -> VersionHold | None:
    """Return what a rollback holds, or None if nothing is held."""
    return version_reports.read_hold(client, StoreKeys(namespace))


def release_hold(client: Any, namespace: str) -> VersionHold | None:
    """End the hold, so that the next publish changes the active version.

    Returns what `read_hold` would have returned.
    """
    return parse_hold(client.getdel(StoreKeys(namespace).hold))


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
    metas: dict[int, VersionMeta], current: int, version: int | None
) -> int:
    """Return the version to switch to: `version`, or the newest one below the current one.

    Raises:
        LookupError: there is no such version.
    """
    if version is None:
        older = [number for number in metas if number < current]
        if not older:
            raise LookupError(
                f"there is no version before {current}, which is active: nothing to go back to"
            )
        return max(older)
    if version not in metas:
        choice = ", ".join(map(str, sorted(metas)))
        raise LookupError(f"there is no version {version}: choose one of {choice}")
    return version


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


def _switch_version(
    client: StoreClient, keys: StoreKeys, build: Build, meta: VersionMeta
) -> PublishReport:
    """Make the version active, and return the publish's report.

    Nothing is switched if that must no longer happen; see `resolve_without_switch`.
    """
    field = str(build.version)

    def switch(pipe: Pipeline) -> PublishReport:
        settled = resolve_without_switch(pipe, keys, meta["run"], parse_as_of(meta["as_of"]))
        if settled is not None:
            pipe.multi()
            return settled
        builds.read_owned_entry(pipe, keys, build)
        current = read_active_meta(pipe, keys)
        previous = current["version"] if current else None
        final_meta = {**meta, "previous": previous}
        pipe.multi()
        pipe.hset(keys.versions, field, json.dumps(final_meta))
        pipe.set(keys.active, meta["token"])
        pipe.hdel(keys.building, field)
        return PublishReport(build_version_report(final_meta))

    return run_transaction(client, keys, switch)
