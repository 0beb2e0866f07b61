"""What an event must look like, and what the collector makes of it: its record, times and ids."""

from typing import Any

import pytest

from dawnlist.events.event_schema import explain_invalid_event
from dawnlist.serving.collector.acceptance import (
    RefusedEventError,
    RequestFacts,
    build_record,
    compute_skew,
)

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
WEEK = 7 * 86_400.0
FACTS = RequestFacts(NOW)


def event(**fields: Any) -> dict[str, Any]:
    return {"type": "view", "user": "u1", **fields}


def record(**fields: Any) -> dict[str, Any]:
    return build_record(event(**fields), FACTS, WEEK)


@pytest.mark.parametrize(
    "good",
    [
        event(),
        event(id="x"),
        event(id="x" * 128),
        event(user=17),
        event(user="u" * 512),
        event(position=0),
        event(position=10_000),
        event(type="a" * 64),
        event(mood="👍"),
        event(quantity=0.5),
        event(rating=0),
        event(properties={"a": {"b": [1]}}),
        {"type": "view", "anonymous": "b1"},
        {"type": "view", "consent": False},
        {"type": "alias", "user": "u1", "anonymous": "b1"},
    ],
)
def test_valid_events_are_accepted(good: dict[str, Any]) -> None:
    assert explain_invalid_event(good) is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"user": "u1"}, '"type" is a required property'),
        (event(type="View"), "type: "),
        (event(type="a" * 65), "type: "),
        (event(type=""), "type: "),
        (event(id=""), "id: "),
        (event(id="x" * 129), "id: "),
        (event(id=7), "id: "),
        (event(user=""), "user: "),
        (event(user="u" * 513), "user: "),
        (event(user=True), "user: true is not of types"),
        (event(user=["u1"]), "user: "),
        (event(position=-1), "position: "),
        (event(position=10_001), "position: "),
        (event(position=1.5), "position: "),
        (event(quantity=0), "quantity: "),
        (event(rating=-1), "rating: "),
        (event(itm="1"), "'itm' was unexpected"),
        (event(properties=[]), "properties: "),
        (event(properties={str(n): n for n in range(51)}), "properties: "),
        ({"type": "view"}, "give user, or anonymous, or consent: false"),
        ({"type": "view", "consent": True}, "give user, or anonymous, or consent: false"),
        ({"type": "alias", "user": "u1"}, '"anonymous" is a required property'),
        (
            event(type="alias", anonymous="b1", consent=False),
            "consent: an alias event joins the ids of a person",
        ),
        ("view", "an event is a JSON object"),
        (None, "an event is a JSON object"),
    ],
)
def test_an_invalid_event_gets_one_line_that_names_the_field(bad: Any, reason: str) -> None:
    explanation = explain_invalid_event(bad)
    assert explanation is not None
    assert reason in explanation and "\n" not in explanation and len(explanation) <= 200


def test_ids_are_texts_without_blanks_around_them() -> None:
    made = record(user=17, item=" 22423.0 ", anonymous="b\u200b1")
    assert (made["user"], made["item"], made["anonymous"]) == ("17", "22423", "b1")
    with pytest.raises(RefusedEventError, match="item: '  ' is blank"):
        record(item="  ")


def test_an_integer_that_was_rounded_is_no_id() -> None:
    assert record(user=2**64 - 1)["user"] == str(2**64 - 1)  # an integer of 64 bits is whole
    assert record(user=float(2**53 - 1))["user"] == str(2**53 - 1)
    for rounded in (float(2**53), -float(2**53), 1e29):
        with pytest.raises(RefusedEventError, match=r"^user: .* has too many digits"):
            record(user=rounded)


def test_an_event_without_an_id_gets_one_of_its_own() -> None:
    first, second = record(), record()
    assert first["id"] != second["id"] and len(first["id"]) == 32
    assert record(id="mine")["id"] == "mine"


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2025-12-31T23:59:59Z", NOW - 1),
        ("2026-01-01T00:59:59+01:00", NOW - 1),
        (NOW - 1, NOW - 1),
        (int(NOW) - 1, NOW - 1),
        ((NOW - 1) * 1000, NOW - 1),
        (NOW - WEEK, NOW - WEEK),  # exactly as old as is allowed
        (NOW + 60, NOW + 60),  # exactly as far in the future as clocks may differ
        (NOW + 61, NOW),  # further: now
    ],
)
def test_times_are_read(time: Any, seconds: float) -> None:
    assert record(time=time)["time"] == pytest.approx(seconds, abs=1e-3)


def test_an_event_without_a_time_is_of_now() -> None:
    assert record()["time"] == NOW


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (NOW - WEEK - 1, "is more than 7 days ago"),
        (0, "is more than 7 days ago"),
        ("2026-01-01T00:00:00", "has no zone"),
        ("yesterday", "is not ISO-8601"),
        ("0001-01-01T00:00:00+23:59", "out of range|more than 7 days"),
        (1e308, ""),
    ],
)
def test_times_that_can_not_be_used_are_refused_or_now(time: Any, reason: str) -> None:
    if not reason:
        assert record(time=time)["time"] == NOW
        return
    with pytest.raises(RefusedEventError, match=reason):
        record(time=time)


def test_the_times_of_a_slow_clock_are_corrected() -> None:
    """The sender's clock is an hour behind, and says so by the time of sending."""
    skew = compute_skew(NOW - 3600, NOW)
    facts = RequestFacts(NOW, skew)
    made = build_record(event(time=NOW - 3610), facts, WEEK)
    assert made["time"] == NOW - 10


@pytest.mark.parametrize(
    ("sent", "skew"), [(NOW - 0.999, 0.0), (NOW - 1, 1.0), (NOW + 1, -1.0), (None, 0.0)]
)
def test_less_than_a_second_is_the_way_over_the_network(sent: float | None, skew: float) -> None:
    assert compute_skew(sent, NOW) == skew


@pytest.mark.parametrize("sent", ["now", True, [], {}])
def test_a_time_of_sending_that_can_not_be_read_is_refused(sent: Any) -> None:
    with pytest.raises(RefusedEventError, match=r"^sent_at: "):
        compute_skew(sent, NOW)


def test_large_properties_are_refused() -> None:
    # {"a":"…"} has 8 bytes beside the text.
    assert record(properties={"a": "x" * 7_992})["properties"]["a"]
    with pytest.raises(RefusedEventError, match="more than 8,000 bytes"):
        record(properties={"a": "x" * 7_993})
