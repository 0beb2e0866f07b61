"""What the store reports of its versions, of a publish, and of a hold."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from dawnlist.dataclass_json import OMIT_NONE, from_json, to_json
from dawnlist.store.control_values import ControlValueError, quote_value, read_control_text
from dawnlist.store.layout import StoreKeys, VersionMeta
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

    replaced: int | None
    """The version that was active before the rollback; None if none was."""


@dataclass(frozen=True)
class VersionHold:
    """What a rollback holds: no publish changes the active version meanwhile."""

    version: int
    """The version that is active."""
    replaced: int | None
    """The version that was active before the rollback; None if none was."""
    since: str
    """When it was rolled back, ISO-8601 in UTC."""


UNREADABLE_HOLD: Final = VersionHold(0, None, "")
"""What `versions.release_hold` returns for a hold that Dawnlist did not write."""


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


def parse_hold(key: str, text: bytes | None) -> VersionHold | None:
    """Return the hold that the store keeps as JSON, or None if it keeps none.

    Raises:
        ControlValueError: Dawnlist did not write it. It may be meant as a hold all the same.
    """
    if text is None:
        return None
    try:
        hold = from_json(VersionHold, json.loads(text))
    except (ValueError, TypeError, RecursionError):
        hold = UNREADABLE_HOLD
    if not isinstance(hold.version, int) or hold.version < 1 or not isinstance(hold.since, str):
        raise ControlValueError(
            f"the store's key {key} is no hold that Dawnlist wrote ({quote_value(text)}), so "
            "nothing goes live: `dawnlist release` removes it"
        )
    return hold


def read_hold(client: Any, keys: StoreKeys) -> VersionHold | None:
    """Return what a rollback holds; see `versions.read_hold`."""
    return parse_hold(keys.hold, read_control_text(client, keys.hold))


def build_version_report(meta: VersionMeta) -> VersionReport:
    """Return the part of a version's meta that its report has."""
    return from_json(VersionReport, meta)
