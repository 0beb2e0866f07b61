"""Whether a publish writes a version and switches to it, from what the store says."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from dawnlist.store.damage import Damage
from dawnlist.store.publish_decision import StoreState, is_switch_lost, resolve_without_switch
from dawnlist.store.version_reports import VersionHold


def meta_of(version: int, run: str, day: int) -> dict[str, Any]:
    as_of = f"2026-03-{day:02}T03:00:00Z"
    return {"version": version, "token": f"{version}-a", "run": run, "as_of": as_of}


METAS = {1: meta_of(1, "a", 1), 2: meta_of(2, "b", 2), 3: meta_of(3, "a", 3)}


def test_the_reference_is_the_live_version_or_else_the_last() -> None:
    assert StoreState(METAS, METAS[1], None).reference == METAS[1]
    assert StoreState(METAS, None, None).reference == METAS[3]
    assert StoreState({}, None, None).reference is None


def test_a_run_is_found_by_its_newest_version() -> None:
    state = StoreState(METAS, METAS[1], None)
    assert [state.find_version(run) for run in ("a", "b", "c")] == [METAS[3], METAS[2], None]


def test_damage_is_of_the_reference_alone() -> None:
    live, other = Damage(3, "3-a", 5, 1, 0), Damage(1, "1-a", 5, 1, 0)
    state = StoreState(METAS, METAS[3], None)
    assert state.is_damaged(live)
    assert not state.is_damaged(other) and not state.is_damaged(None)
    assert not StoreState({}, None, None).is_damaged(live)


HOLD_2, HOLD_3 = (VersionHold(number, None, "2026-03-09T00:00:00Z") for number in (2, 3))
LIVE_DAMAGE = Damage(3, "3-a", 5, 1, 0)
SWITCH = None
"""The publish may switch."""


@pytest.mark.parametrize(
    ("active_number", "hold", "run", "day", "damage", "outcome"),
    [
        (3, None, "a", 3, None, "is live"),
        (3, None, "a", 3, LIVE_DAMAGE, SWITCH),
        (3, None, "new", 4, None, SWITCH),
        (3, None, "new", 3, None, "is not newer than version 3 .* which is active"),
        (3, None, "new", 3, LIVE_DAMAGE, SWITCH),
        (3, None, "new", 2, LIVE_DAMAGE, "which is damaged"),
        (3, None, "new", 2, None, "is not newer"),
        (3, None, "b", 2, None, "is live now; `dawnlist rollback 2`"),
        (3, None, "b", 2, LIVE_DAMAGE, "is live now"),
        (3, HOLD_3, "new", 4, None, "version 3 is held .* `dawnlist release`"),
        (3, HOLD_3, "new", 4, LIVE_DAMAGE, "is held .* then run the publish step again"),
        (3, HOLD_3, "a", 3, LIVE_DAMAGE, SWITCH),
        (3, HOLD_2, "a", 3, LIVE_DAMAGE, "version 2 is held"),
        (3, HOLD_3, "a", 3, None, "is live"),
        (None, None, "new", 4, None, SWITCH),
        (None, None, "new", 3, None, "the last one in the store, where none is active"),
        (None, None, "b", 2, None, "where none is active: `dawnlist rollback 3`"),
        (None, HOLD_2, "new", 4, None, "no version is active: `dawnlist rollback 2` sets it again"),
        (None, VersionHold(9, None, ""), "new", 4, None, "to let the next run go live"),
    ],
)
def test_when_a_publish_writes_nothing(
    active_number: int | None,
    hold: VersionHold | None,
    run: str,
    day: int,
    damage: Damage | None,
    outcome: str | None,
) -> None:
    state = StoreState(METAS, METAS.get(active_number or 0), hold)
    as_of = datetime(2026, 3, day, 3, tzinfo=UTC)
    report = resolve_without_switch(state, run, as_of, damage)
    if outcome is SWITCH:
        assert report is None
        return
    assert report is not None
    assert report.is_published == (outcome == "is live")
    if outcome == "is live":
        assert report.version is not None and report.version.version == 3
    else:
        assert re.search(outcome, report.reason), report.reason
    assert (report.held is not None) == (hold is not None and not report.is_published)


@pytest.mark.parametrize(
    ("active_number", "hold", "run", "damage", "is_lost"),
    [
        (None, None, "a", None, True),
        (None, None, "b", None, False),
        (None, None, "new", None, False),
        (3, None, "a", None, False),
        (None, HOLD_3, "a", None, True),
        (None, HOLD_2, "a", None, False),
        (None, None, "a", LIVE_DAMAGE, False),
    ],
)
def test_when_a_switch_was_lost(
    active_number: int | None,
    hold: VersionHold | None,
    run: str,
    damage: Damage | None,
    is_lost: bool,
) -> None:
    state = StoreState(METAS, METAS.get(active_number or 0), hold)
    assert is_switch_lost(state, run, damage) is is_lost
