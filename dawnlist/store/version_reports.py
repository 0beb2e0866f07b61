"""What the store reports of its versions, and the reasons for which a publish does not switch."""

import json
from datetime import datetime
from typing import Any, Final

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.store.layout import StoreKeys, VersionMeta, read_active_meta, read_version_metas

REPORT_FIELDS: Final = (
    "version", "token", "run", "as_of", "winner", "users", "items", "bytes", "history_bytes", "memory", "seconds",
    "resumed", "previous", "model", "metrics",
)  # fmt: skip
"""The fields of a version's meta that its report has."""

VersionReport = dict[str, Any]
"""What the store tells of a version; see `versions.publish_version`."""


def read_hold(client: Any, keys: StoreKeys) -> VersionReport | None:
    """Return what a rollback holds; see `versions.read_hold`."""
    text = client.get(keys.hold)
    return json.loads(text) if text else None


def select_report_fields(meta: VersionMeta) -> VersionReport:
    """Return the part of a version's meta that its report has."""
    return {name: meta[name] for name in REPORT_FIELDS if name in meta}


def resolve_without_switch(
    client: Any, keys: StoreKeys, run: str, as_of: datetime
) -> VersionReport | None:
    """Return the result of a publish that must not switch, or None if it may.

    A publish does not switch if the run has a version already, if a rollback holds its version, or
    if the active version is at least as new.
    """
    for meta in read_version_metas(client, keys.versions).values():
        if meta["run"] == run:
            return {**select_report_fields(meta), "published": True}
    hold = read_hold(client, keys)
    if hold:
        reason = (
            f"version {hold['version']} is held since it was rolled back to at {hold['since']}; "
            "to let the next run go live: `dawnlist release`"
        )
        return {"published": False, "held": hold, "reason": reason}
    current = read_active_meta(client, keys)
    if current is None or as_of > parse_as_of(current["as_of"]):
        return None
    reason = (
        f"run {run!r} of {format_iso(as_of)} is not newer than version {current['version']} of "
        f"{current['as_of']}, which is active; "
        "roll back to an older version first if it is meant to go live"
    )
    return {"published": False, "reason": reason}
