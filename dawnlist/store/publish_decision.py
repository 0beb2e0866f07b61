"""Decide whether a publish switches to its version, from what the store says at the moment.

A publish compares itself with the live version. If `active` is lost it compares itself with the
version that was published last. A version that is damaged is no reason to publish nothing: a run of
its day, or of a later one, replaces it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.store.client import StoreClient
from dawnlist.store.control_values import read_active_meta, read_version_metas
from dawnlist.store.damage import Damage, find_damage
from dawnlist.store.layout import StoreKeys, VersionMeta
from dawnlist.store.version_reports import (
    PublishReport,
    VersionHold,
    build_version_report,
    read_hold,
)


@dataclass(frozen=True)
class StoreState:
    """The store's control keys at one moment."""

    metas: dict[int, VersionMeta]
    """The versions that can be made active, by number."""
    active: VersionMeta | None
    """The live version; None if there is none, or if it is not known which one it is."""
    hold: VersionHold | None
    """What a rollback holds."""

    @classmethod
    def read(cls, client: Any, keys: StoreKeys) -> "StoreState":
        """Read the state, with a client or within a transaction.

        Raises:
            ControlValueError: a control key holds something that Dawnlist did not write.
        """
        metas = read_version_metas(client, keys)
        return cls(metas, read_active_meta(client, keys), read_hold(client, keys))

    @property
    def reference(self) -> VersionMeta | None:
        """The version that a publish is compared with: the live or else the last one."""
        if self.active is not None or not self.metas:
            return self.active
        return self.metas[max(self.metas)]

    def find_version(self, run: str) -> VersionMeta | None:
        """Return the newest version of a run, or None."""
        numbers = [number for number, meta in self.metas.items() if meta["run"] == run]
        return self.metas[max(numbers)] if numbers else None

    def is_damaged(self, damage: Damage | None) -> bool:
        """Say whether the damage is one of the reference version."""
        if damage is None or self.reference is None:
            return False
        return bool(damage.token == self.reference["token"])


def find_reference_damage(
    client: StoreClient, keys: StoreKeys, state: StoreState, as_of: datetime
) -> Damage | None:
    """Check the reference version, if the decision may depend on it.

    It does not for a later run than the reference, unless a rollback holds it.
    """
    reference = state.reference
    if reference is None:
        return None
    is_later = as_of > parse_as_of(reference["as_of"])
    if is_later and state.hold is None:
        return None
    return find_damage(client, keys, reference, read_buckets=not is_later)


def is_switch_lost(state: StoreState, run: str, damage: Damage | None) -> bool:
    """Say whether the run's version is the last one and whole, while no version is active."""
    own = state.find_version(run)
    if own is None or state.active is not None or own != state.reference:
        return False
    if state.hold is not None and state.hold.version != own["version"]:
        return False
    return not state.is_damaged(damage)


def resolve_without_switch(
    state: StoreState, run: str, as_of: datetime, damage: Damage | None
) -> PublishReport | None:
    """Return the result of a publish that must not write a version, or None if it may.

    A publish writes no version if the run's version is live and whole, if a rollback holds another
    version, or if the live version is at least as new and whole.

    Args:
        damage: What is wrong with the reference version, as far as it is known.
    """
    reference = state.reference
    own = state.find_version(run)
    if own is not None and own == state.active and not state.is_damaged(damage):
        return PublishReport(build_version_report(own))
    is_replacement = state.is_damaged(damage) and own is not None and own == reference
    if state.hold is not None:
        is_held_version = own is not None and state.hold.version == own["version"]
        if not (is_replacement and is_held_version):
            reason = _explain_hold(state, state.hold, damage)
            return PublishReport(held=state.hold, reason=reason)
    if reference is None or is_replacement:
        return None
    if own is not None:
        return PublishReport(reason=_explain_other_version(state, own))
    reference_as_of = parse_as_of(reference["as_of"])
    may_replace = state.is_damaged(damage) and as_of == reference_as_of
    if as_of > reference_as_of or may_replace:
        return None
    return PublishReport(reason=_explain_age(state, run, as_of, damage))


def _explain_hold(state: StoreState, hold: VersionHold, damage: Damage | None) -> str:
    reason = f"version {hold.version} is held since it was rolled back to at {hold.since}"
    if state.active is None and hold.version in state.metas:
        reason += f", and no version is active: `dawnlist rollback {hold.version}` sets it again"
    elif state.is_damaged(damage):
        return f"{reason}, and {damage}: `dawnlist release`, then run the publish step again"
    return f"{reason}; to let the next run go live: `dawnlist release`"


def _explain_other_version(state: StoreState, own: VersionMeta) -> str:
    """Say what is live instead of the run's own version, which was published before."""
    reference = state.reference or own
    name = f"version {reference['version']} of {reference['as_of']} (run {reference['run']!r})"
    reason = f"run {own['run']!r} was published as version {own['version']} before, and {name} is "
    if state.active is None:
        advice = f"`dawnlist rollback {reference['version']}` makes it active"
        return f"{reason}the last one in the store, where none is active: {advice}"
    return f"{reason}live now; `dawnlist rollback {own['version']}` goes back to the run's version"


def _explain_age(state: StoreState, run: str, as_of: datetime, damage: Damage | None) -> str:
    """Say that the run is not newer than the reference version, and what works."""
    reference = state.reference or {}
    reason = (
        f"run {run!r} of {format_iso(as_of)} is not newer than version {reference['version']} of "
        f"{reference['as_of']}, "
    )
    if state.is_damaged(damage):
        return (
            f"{reason}which is damaged ({damage}): a run of {reference['as_of']} or later replaces "
            "it, or `dawnlist rollback` to another version"
        )
    if state.active is None:
        advice = f"`dawnlist rollback {reference['version']}` makes it active"
        return f"{reason}the last one in the store, where none is active: {advice}"
    return f"{reason}which is active; roll back to an older version first if it is meant to go live"
