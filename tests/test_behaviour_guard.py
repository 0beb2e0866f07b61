"""When the behaviour rule goes into shadow by itself, and what the report says of it."""

from typing import Any

import duckdb
import pytest

from dawnlist.components.filter_bots import features
from dawnlist.components.filter_bots.decision import apply_rules, list_suspects
from dawnlist.components.filter_bots.report import render_drop_markdown, render_drop_page
from dawnlist.settings import BotSettings

MACHINE_EVENTS = 40
"""Events of the machine, which comes every third day exactly and views two items each time."""


@pytest.fixture
def connection() -> Any:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        features.create_feature_tables(connection)
        connection.execute("CREATE TABLE users (user_id VARCHAR, email VARCHAR, role VARCHAR)")
        connection.execute("CREATE TABLE source (event_id VARCHAR)")
        connection.execute(
            "INSERT INTO user_days BY NAME "
            "SELECT DATE '2026-01-01' + 3 * n::INTEGER AS event_date, 'machine' AS user_id, "
            "2 AS events, 2 AS views, 0 AS purchases, 4000 * n AS first_second, 1 AS hours FROM range(20) t(n)"
        )
        yield connection


def add_people(connection: Any, count: int, events: int, purchases: int = 0) -> None:
    """Add people who all come on one day, a thousandth of it apart."""
    connection.execute(
        "INSERT INTO user_days BY NAME "
        "SELECT DATE '2026-01-01' AS event_date, 'person' || n AS user_id, ? AS events, "
        "? AS purchases, 86 * n + 7 AS first_second, 1 AS hours FROM range(?) t(n)",
        [events, purchases, count],
    )


def buy(connection: Any, user: str, purchases: int) -> None:
    connection.execute(
        "UPDATE user_days SET purchases = ? WHERE user_id = ? AND event_date = DATE '2026-01-01'",
        [purchases, user],
    )


def mode(report: dict[str, Any]) -> tuple[str, int]:
    [rule] = [rule for rule in report["rules"] if rule["rule"] == "behaviour"]
    return rule["mode"], rule["users"]


@pytest.mark.parametrize(("people", "expected"), [(99, "on"), (98, "shadow")])
def test_more_than_the_share_goes_into_shadow(connection: Any, people: int, expected: str) -> None:
    """40 of 4,000 events are just the hundredth that the default allows."""
    add_people(connection, people, MACHINE_EVENTS)
    report = apply_rules(connection, BotSettings())
    assert mode(report) == (expected, 1)
    [suspect] = list_suspects(connection).to_pylist()
    assert suspect["action"] == {"on": "drop", "shadow": "shadow"}[expected]
    assert report["dropped_events"] == {"on": MACHINE_EVENTS, "shadow": 0}[expected]


def test_the_first_line_says_so(connection: Any) -> None:
    add_people(connection, 9, MACHINE_EVENTS)
    report = apply_rules(connection, BotSettings())
    sentence = (
        "The rule behaviour went into shadow by itself: it would drop 10.00% of the events, more "
        "than bots.max_behaviour_share allows (1.00%). Look at its evidence below; if these are "
        "machines, raise the setting."
    )
    assert report["shadow_reason"] == sentence
    lines = render_drop_markdown(report).splitlines()
    assert lines[2].startswith(
        "The rule behaviour went into shadow by itself: it would drop 10.00%"
    )
    assert lines[3].startswith("0 of 400 events")
    page = render_drop_page(report)
    assert page.index("went into shadow") < page.index("0 of 400 events")
    assert "every 3 days exactly, 20 of 20 days; exactly 2 views on 20 of 20 days" in page


def test_a_raised_share_drops(connection: Any) -> None:
    add_people(connection, 9, MACHINE_EVENTS)
    assert mode(apply_rules(connection, BotSettings(max_behaviour_share=0.1))) == ("on", 1)


def test_users_whom_another_rule_drops_do_not_count(connection: Any) -> None:
    """Without the denied user's events the machine has more than its hundredth."""
    add_people(connection, 99, MACHINE_EVENTS)
    assert mode(apply_rules(connection, BotSettings(deny=["person0"])))[0] == "shadow"


def test_a_machine_that_another_rule_drops_does_not_count(connection: Any) -> None:
    add_people(connection, 9, MACHINE_EVENTS)
    report = apply_rules(connection, BotSettings(deny=["machine"]))
    assert (mode(report), report["dropped_events"]) == (("on", 1), MACHINE_EVENTS)


def test_an_allowed_machine_does_not_count(connection: Any) -> None:
    add_people(connection, 9, MACHINE_EVENTS)
    assert mode(apply_rules(connection, BotSettings(allow=["machine"]))) == ("on", 0)


@pytest.mark.parametrize(("mode_set", "users"), [("shadow", 1), ("off", 0)])
def test_a_rule_that_drops_nothing_has_no_reason(
    connection: Any, mode_set: Any, users: int
) -> None:
    add_people(connection, 9, MACHINE_EVENTS)
    report = apply_rules(connection, BotSettings(behaviour=mode_set))
    assert (mode(report), report["shadow_reason"]) == ((mode_set, users), None)
    assert bool(report["signs"]) == (mode_set == "shadow")


@pytest.mark.parametrize(
    ("better", "as_good", "expected"),
    [
        (99, 0, "shadow"),
        (100, 0, "on"),
        (0, 99, "shadow"),
        (0, 100, "on"),  # of 101 equally good customers nobody is among the best hundred
    ],
)
def test_one_of_the_best_customers_goes_into_shadow(
    connection: Any, better: int, as_good: int, expected: str
) -> None:
    add_people(connection, 200, MACHINE_EVENTS)
    buy(connection, "machine", 1)
    for number in range(better):
        buy(connection, f"person{number}", 2)
    for number in range(as_good):
        buy(connection, f"person{number}", 1)
    report = apply_rules(connection, BotSettings())
    assert mode(report) == (expected, 1)
    if expected == "shadow":
        assert report["shadow_reason"] == (
            "The rule behaviour went into shadow by itself: it would drop 1 of the 100 users with "
            "most purchases (such as machine). Look at its evidence below; list people in bots.allow and "
            "machines in bots.deny."
        )


def test_who_buys_nothing_is_no_customer(connection: Any) -> None:
    add_people(connection, 99, MACHINE_EVENTS)
    assert mode(apply_rules(connection, BotSettings()))[0] == "on"


@pytest.mark.parametrize("share", [-0.01, 1.01])
def test_a_share_lies_from_0_to_1(share: float) -> None:
    with pytest.raises(ValueError, match="max_behaviour_share"):
        BotSettings(max_behaviour_share=share)
