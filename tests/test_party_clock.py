"""The watch party's rules for clocks and drift (sync.js), as a browser runs them."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.chromium import Tab, chromium, needs_chromium
from tests.support.party_members import party_process

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def tab(valkey_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    profile = tmp_path_factory.mktemp("chromium")
    with party_process(valkey_server) as (address, _), chromium(profile) as browser:
        tab = browser.open_tab(f"{address}/")
        load = "Object.assign(window, module)"
        tab.evaluate(f'import("/static/sync.js").then((module) => {{ {load}; }})')
        yield tab


def read_clock(tab: Tab, samples: list[tuple[float, float, float, float]]) -> list[float]:
    """Give a clock these stamps; its offset and its round trip."""
    code = "clock.addSample(...stamps)"
    expression = (
        f"(() => {{ const clock = new ServerClock(() => 100);"
        f" for (const stamps of {json.dumps(samples)}) {code};"
        f" return [clock.offset, clock.roundTrip, clock.read()]; }})()"
    )
    return [round(value, 6) for value in tab.evaluate(expression)]


def decide(tab: Tab, distances: list[float], rate: float = 1.0, step: float = 0.1) -> list[Any]:
    """Give a policy these distances, and return what it chose after each."""
    expression = (
        f"(() => {{ const policy = new DriftPolicy(); let now = 0;"
        f" return {json.dumps(distances)}.map((distance) => {{"
        f" now += {step}; return policy.decide(distance, 0, {rate}, now); }}); }})()"
    )
    return list(tab.evaluate(expression))


def test_the_offset_is_half_of_what_the_four_stamps_differ_by(tab: Tab) -> None:
    # The server is 10 s ahead, each way takes 0.1 s, and the server thinks for 0.05 s.
    assert read_clock(tab, [(1.0, 11.1, 11.15, 1.25)]) == [10.0, 0.2, 110.0]


def test_the_fastest_of_eight_answers_counts_and_no_older_one(tab: Tab) -> None:
    fast = (0.0, 5.01, 5.01, 0.02)
    late = (0.0, 5.01, 5.01, 0.52)  # half a second late on its way back
    assert read_clock(tab, [fast] + 7 * [late])[:2] == [5.0, 0.02]
    assert read_clock(tab, [fast] + 8 * [late])[:2] == [4.75, 0.52]


@pytest.mark.parametrize(
    ("changes", "time", "position"),
    [
        ({}, 103.0, 10.0 + 3.0),
        ({"rate": 2.0}, 103.0, 10.0 + 6.0),
        ({"paused": True}, 103.0, 10.0),
        ({"held": True}, 103.0, 10.0),
        ({}, 99.0, 10.0),  # the start lies in the future
    ],
)
def test_the_position_follows_the_state(
    tab: Tab, changes: dict[str, Any], time: float, position: float
) -> None:
    state = {"media_time": 10.0, "server_time": 100.0, "rate": 1.0, "paused": False, "held": False}
    code = f"computePosition({json.dumps({**state, **changes})}, {time})"
    assert tab.evaluate(code) == position


def test_a_small_distance_changes_nothing(tab: Tab) -> None:
    assert decide(tab, [0.03, -0.03, 0.0]) == 3 * [{"rate": 1}]
    assert decide(tab, [0.03], rate=1.5) == [{"rate": 1.5}]


def test_a_correction_begins_beyond_one_bound_and_ends_below_another(tab: Tab) -> None:
    choices = decide(tab, [0.031, 0.031, 0.031] + 5 * [0.011] + 5 * [0.009])
    rates = [choice["rate"] for choice in choices]
    assert rates[0] == pytest.approx(1.031) and rates[7] == pytest.approx(1.011)
    assert rates[-1] == 1
    assert decide(tab, [0.011, 0.029])[-1] == {"rate": 1}  # between the bounds none begins


@pytest.mark.parametrize(
    ("distance", "rate"), [(0.05, 1.05), (0.4, 1.05), (-0.4, 0.95), (-0.049, 0.951)]
)
def test_the_speed_stays_within_five_percent(tab: Tab, distance: float, rate: float) -> None:
    (choice,) = decide(tab, [distance])
    assert choice["rate"] == pytest.approx(rate, abs=1e-9)
    (doubled,) = decide(tab, [2 * distance if abs(distance) < 0.4 else distance], rate=2.0)
    assert doubled["rate"] == pytest.approx(2 * rate, abs=1e-9)


def test_a_large_distance_is_closed_by_a_seek_ahead(tab: Tab) -> None:
    assert decide(tab, [0.401]) == [{"seek": 0.1}]
    assert decide(tab, [-0.401], rate=1.5) == [{"seek": pytest.approx(0.15)}]
    assert "seek" not in decide(tab, [0.4])[0]


def test_a_start_far_from_the_room_seeks_first(tab: Tab) -> None:
    code = "[0.4, 0.401, -0.401].map((distance) => new DriftPolicy().chooseStart(distance, 0, 2))"
    assert tab.evaluate(code) == [None, pytest.approx(0.2), pytest.approx(0.2)]


def test_one_odd_report_among_five_is_no_reason(tab: Tab) -> None:
    assert decide(tab, [0.0, 0.0, 0.0, 5.0, 0.0]) == 5 * [{"rate": 1}]


def test_seeks_that_do_not_help_become_rarer(tab: Tab) -> None:
    choices = decide(tab, 300 * [9.0], step=0.5)
    seeks = [0.5 * (number + 1) for number, choice in enumerate(choices) if "seek" in choice]
    pauses = [later - earlier for earlier, later in itertools.pairwise(seeks)]
    assert pauses == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert all(choice["rate"] == 1.05 for choice in choices if "rate" in choice)


def test_a_measured_seek_moves_the_aim(tab: Tab) -> None:
    code = (
        "(() => { const policy = new DriftPolicy(); policy.addSeekDuration(0.5);"
        " policy.addSeekDuration(60); return [policy.seekDuration, policy.decide(9, 1, 1, 0)]; })()"
    )
    assert tab.evaluate(code) == [pytest.approx(1.15), {"seek": pytest.approx(1.15)}]
