"""What the store reports of its versions, and the reasons for which a publish does not switch."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.dataclass_json import OMIT_NONE, from_json, to_json
from dawnlist.store.layout import StoreKeys, VersionMeta, read_active_meta, read_version_metas
from dawnlist.store.memory import MemoryFigures


@dataclass(frozen=True, kw_only=True)
class VersionReport:
    """What the store tells of a version: the part of its meta that is not for readers only."""

    version: int
    """The version's number."""
    token: str
    """The text that the names of its keys contain."""
    run: str
    """The run that made its lists."""
    as_of: str
    """The run's as_of, ISO-8601 in UTC."""
    winner: str | None = None
    """Whose configuration the lists have: `challenger`, `popularity`, or the renewed `incumbent`."""
    engine: str | None = field(default=None, metadata={OMIT_NONE: True})
    """What ranks the lists: `als` or `popularity`."""
    configured: str | None = field(default=None, metadata={OMIT_NONE: True})
    """The as_of of the run in which the configuration won, ISO-8601 in UTC."""
    users: int = 0
    """The number of users who have a list."""
    items: int = 0
    """The number of items in the catalogue."""
    bytes: int = 0
    """The size of all values but the histories."""
    history_bytes: int = 0
    """The size of the histories."""
    memory: MemoryFigures | None = None
    """The server's memory before the version was written."""
    seconds: float = 0.0
    """How long it took to write and to verify the version."""
    resumed: int = 0
    """The buckets that an earlier publish of the same run and lists had written."""
    previous: int | None = None
    """The version that was active before."""
    model: str | None = None
    """The model's name in the lake."""
    metrics: dict[str, float] | None = None
    """The winner's scores in the holdout."""


@dataclass(frozen=True, kw_only=True)
class ListedVersion(VersionReport):
    """A version among all that can be active."""

    active: bool
    """Whether it is the one that is served."""


@dataclass(frozen=True, kw_only=True)
class RestoredVersion(VersionReport):
    """A version that a rollback has made active."""

    replaced: int
    """The version that was active before the rollback."""


@dataclass(frozen=True)
class VersionHold:
    """What a rollback holds: no publish changes the active version meanwhile."""

    version: int
    """The version that is active."""
    replaced: int
    """The version that was active before the rollback."""
    since: str
    """When it was rolled back, ISO-8601 in UTC."""


@dataclass(frozen=True)
class PublishReport:
    """What a publish did. Without a `version` it has changed nothing."""

    version: VersionReport | None = None
    """The run's version, if it was published by this call or an earlier one."""
    held: VersionHold | None = None
    """The hold that kept the active version."""
    reason: str = ""
    """Why nothing was published; empty if it was."""

    @property
    def is_published(self) -> bool:
        """Whether the run has a version that went live."""
        return self.version is not None

    def as_dict(self) -> dict[str, Any]:
        """Return the report as the run record has it: the version's fields, or the reason."""
        if self.version is not None:
            return {**to_json(self.version), "published": True}
        held = {"held": to_json(self.held)} if self.held is not None else {}
        return {"published": False, **held, "reason": self.reason}


def parse_hold(text: bytes | None) -> VersionHold | None:
    """Return the hold that the store keeps as JSON, or None if it keeps none."""
    return from_json(VersionHold, json.loads(text)) if text else None


def read_hold(client: Any, keys: StoreKeys) -> VersionHold | None:
    """Return what a rollback holds; see `versions.read_hold`."""
    return parse_hold(client.get(keys.hold))


def build_version_report(meta: VersionMeta) -> VersionReport:
    """Return the part of a version's meta that its report has."""
    return from_json(VersionReport, meta)


def resolve_without_switch(
    client: Any, keys: StoreKeys, run: str, as_of: datetime
) -> PublishReport | None:
    """Return the result of a publish that must not switch, or None if it may.

    A publish does not switch if the run has a version already, if a rollback holds its version, or
    if the active version is at least as new.
    """
    for meta in read_version_metas(client, keys.versions).values():
        if meta["run"] == run:
            return PublishReport(build_version_report(meta))
    hold = read_hold(client, keys)
    if hold:
        reason = (
            f"version {hold.version} is held since it was rolled back to at {hold.since}; "
            "to let the next run go live: `dawnlist release`"
        )
        return PublishReport(held=hold, reason=reason)
    current = read_active_meta(client, keys)
    if current is None or as_of > parse_as_of(current["as_of"]):
        return None
    reason = (
        f"run {run!r} of {format_iso(as_of)} is not newer than version {current['version']} of "
        f"{current['as_of']}, which is active; "
        "roll back to an older version first if it is meant to go live"
    )
    return PublishReport(reason=reason)
