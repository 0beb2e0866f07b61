"""The behaviour rule: which signs a user gives, from which bound on, and who is convicted by them."""

import importlib
from datetime import UTC, date, datetime, timedelta
from math import log
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from dawnlist.components.filter_bots import features
from dawnlist.components.filter_bots.behaviour import SIGNS, list_signs_of_user
from dawnlist.components.filter_bots.decision import apply_rules
from dawnlist.settings import BotSettings
from dawnlist.simulate import ShopConfig

START = date(2026, 1, 1)
NOON = 12 * 3600 + 7
ALL_DAY = (1 << 24) - 1


@pytest.fixture
def connection() -> Any:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        features.create_feature_tables(connection)
        connection.execute("CREATE TABLE users (user_id VARCHAR, email VARCHAR, role VARCHAR)")
        connection.execute("CREATE TABLE source (event_id VARCHAR)")
        yield connection


def add_day(connection: Any, user: str, day: int, **values: int) -> None:
    """Add what a user did on a day, and for the agents' table one address and agent."""
    row = {"events": 10, "views": 10, "hours": 1 << 12, "first_second": NOON + 4_000 * (day % 7)}
    row |= values
    names = ", ".join(["event_date", "user_id", *features.USER_DAY_AGGREGATES])
    numbers = ", ".join(str(row.get(name, 0)) for name in features.USER_DAY_AGGREGATES)
    connection.execute(
        f"INSERT INTO user_days ({names}) VALUES (?, ?, {numbers})",
        [START + timedelta(days=day), user],
    )
    connection.execute(
        "INSERT INTO agent_days VALUES (?, ?, 'Firefox', '192.0.2.0/24', ?)",
        [START + timedelta(days=day), user, row["events"]],
    )


def add_varied_days(connection: Any, user: str, count: int, **values: int) -> None:
    """Add days without a sign of their own: their number of views and the gaps between them vary."""
    day = 0
    for number in range(count):
        add_day(connection, user, day, **{"views": 3 + number, "events": 10 + number, **values})
        day += 1 + number % 3


def judge(connection: Any, **settings: Any) -> dict[str, Any]:
    return apply_rules(connection, BotSettings(max_behaviour_share=1, **settings))


def signs_of(connection: Any, user: str = "u") -> dict[str, str]:
    """Judge, and return the strength of each sign that a user gives."""
    judge(connection)
    return shown_signs(connection, user)


def shown_signs(connection: Any, user: str) -> dict[str, str]:
    listing = list_signs_of_user(connection, user)
    return {row["sign"]: row["strength"] for row in listing if row["strength"] in ("proof", "hint")}


def evidence_of(connection: Any, user: str = "u") -> str | None:
    rows = connection.execute(
        "SELECT evidence FROM found WHERE rule = 'behaviour' AND user_id = ?", [user]
    ).fetchall()
    return rows[0][0] if rows else None


def even_pauses(count: int, spread: float) -> dict[str, int]:
    """Sums of pauses of which half are by `spread` longer than 20 seconds, and half shorter."""
    mean = log(20)
    squares = mean**2 + spread**2
    return {
        "pauses": count,
        "clear_pauses": count,
        "log_pauses": round(1e6 * count * mean),
        "log_pauses_squared": round(1e6 * count * squares),
    }


@pytest.mark.parametrize(
    ("days", "count", "spread", "unclear", "strength"),
    [
        (5, 3, 0.45, 0, "proof"),
        (5, 3, 0.4501, 0, "hint"),
        (4, 3, 0.3, 0, "hint"),  # twelve pauses, on too few days for a proof
        (3, 9, 0.1, 0, None),  # some evenings
        (5, 2, 0.1, 0, "hint"),
        (4, 2, 0.1, 0, None),  # eight pauses
        (5, 3, 0.6, 0, "hint"),
        (5, 3, 0.6001, 0, None),
        (5, 4, 0.1, 1, "proof"),  # a fifth of the pauses is too short for the clock
        (5, 3, 0.1, 1, None),
    ],
)
def test_even_pauses(
    connection: Any, days: int, count: int, spread: float, unclear: int, strength: str | None
) -> None:
    pauses = even_pauses(count, spread)
    pauses["pauses"] += unclear
    add_varied_days(connection, "u", days, **pauses)
    add_varied_days(connection, "others", 8)
    assert signs_of(connection).get("even pauses") == strength


@pytest.mark.parametrize(
    ("period", "days", "extra_days", "strength"),
    [
        (13, 6, (), "proof"),  # 6 * ln(13) - ln(30 * 13) = 9.42
        (12, 6, (), "hint"),  # 6 * ln(12) - ln(30 * 12) = 9.02
        (2, 17, (), "hint"),  # 17 * ln(2) - ln(30 * 2) = 7.69
        (2, 16, (), None),  # 16 * ln(2) - ln(30 * 2) = 6.996
        (30, 5, (), None),
        (3, 34, (1, 4, 7, 10, 13, 16), "proof"),  # 34 of 40
        (3, 34, (1, 4, 7, 10, 13, 16, 19), "hint"),  # 34 of 41
        (7, 12, (), None),  # weeks are people's calendar
        (14, 12, (), None),
        (30, 8, (), "proof"),
        (31, 8, (), None),
        (1, 60, (), None),
    ],
)
def test_every_k_days_exactly(
    connection: Any, period: int, days: int, extra_days: tuple[int, ...], strength: str | None
) -> None:
    for number in range(days):
        add_day(connection, "u", number * period, views=2 + number)
    for day in extra_days:
        add_day(connection, "u", day, views=100 + day)
    assert signs_of(connection).get("every k days exactly") == strength


@pytest.mark.parametrize(
    ("same", "late", "away", "strength"),
    [
        (8, 0, 0, "proof"),
        (6, 0, 2, "proof"),  # three quarters
        (6, 0, 3, "hint"),
        (7, 0, 0, "hint"),
        (3, 0, 2, None),  # five days
        (6, 0, 0, "hint"),
        (6, 0, 4, "hint"),  # three fifths
        (6, 0, 5, None),
        (1, 7, 0, "proof"),  # half an hour later, to the second
    ],
)
@pytest.mark.parametrize("start", [NOON, 86_400 - 600])
def test_one_time_of_the_day(
    connection: Any, start: int, same: int, late: int, away: int, strength: str | None
) -> None:
    seconds = [start] * same + [start + 1_800] * late
    seconds += [start + 7_200 * (1 + number) for number in range(away)]
    for number, second in enumerate(seconds):
        add_day(connection, "u", number, views=2 + number, first_second=second % 86_400)
    assert signs_of(connection).get("one time of the day") == strength


def test_more_than_half_an_hour_is_not_one_time(connection: Any) -> None:
    for number in range(8):
        add_day(connection, "u", number, views=number, first_second=NOON + number % 2 * 1_801)
    assert "one time of the day" not in signs_of(connection)


@pytest.mark.parametrize(
    ("days", "hours", "strength"),
    [
        ((0, 1, 2), 22, "proof"),
        ((0, 1, 2), 21, None),
        ((0, 1), 22, "hint"),
        ((0, 2, 4), 22, None),
        ((0, 1, 3, 4), 24, "hint"),
    ],
)
def test_no_sleep_for_days(
    connection: Any, days: tuple[int, ...], hours: int, strength: str | None
) -> None:
    for day in days:
        add_day(connection, "u", day, events=50, hours=(1 << hours) - 1)
    assert signs_of(connection).get("no sleep for days") == strength


@pytest.mark.parametrize(
    ("events", "hours", "strength"),
    [
        (4_800, 12, "proof"),
        (4_799, 12, None),
        (4_400, 11, "hint"),
        (2_400, 6, "hint"),
        (2_399, 6, None),
        (9_000, 5, None),  # an import takes an hour, a list an evening
    ],
)
def test_speed_over_hours(connection: Any, events: int, hours: int, strength: str | None) -> None:
    add_day(connection, "u", 0, events=events, hours=(1 << hours) - 1)
    assert signs_of(connection).get("speed over hours") == strength


@pytest.mark.parametrize(
    ("equal", "other", "size", "strength"),
    [
        (8, 0, 2, "proof"),
        (17, 3, 2, "proof"),
        (16, 3, 2, "hint"),  # 84 %
        (8, 0, 1, None),  # one a day is a habit of people
        (7, 0, 3, "hint"),
        (5, 0, 3, None),
        (13, 7, 2, "hint"),
        (12, 7, 2, None),
    ],
)
@pytest.mark.parametrize("has_views", [True, False])
def test_equal_days(
    connection: Any, equal: int, other: int, size: int, has_views: bool, strength: str | None
) -> None:
    sizes = [size] * equal + [30 + number for number in range(other)]
    for day, number in enumerate(sizes):
        views = number if has_views else 0
        add_day(connection, "u", day, views=views, events=number)
    add_day(connection, "u", 100, views=0, events=0)  # a day without any does not count
    connection.execute("UPDATE user_days SET events = events + 30 WHERE views > 0")
    strengths = signs_of(connection)
    total = sum(sizes)
    if has_views or total >= 30:
        assert strengths.get("equal days") == strength


@pytest.mark.parametrize(
    ("days", "steps", "ascents", "strength"),
    [
        (7, 2, 2, "proof"),  # 14 * ln(2) = 9.70
        (13, 1, 1, "hint"),  # 13 * ln(2) = 9.01
        (3, 20, 20, None),  # some evenings at a list in order
        (11, 1, 1, "hint"),  # 11 * ln(2) = 7.62
        (5, 2, 2, None),  # 10 * ln(2) = 6.93
        (30, 4, 3, "proof"),
        (10, 40, 29, "hint"),  # 72.5 %: not every step of a walk
        (10, 40, 24, "hint"),  # 60 % on each day
        (10, 40, 23, None),
    ],
)
def test_catalogue_in_order(
    connection: Any, days: int, steps: int, ascents: int, strength: str | None
) -> None:
    add_varied_days(connection, "u", days, steps=steps, ascents=ascents)
    add_varied_days(connection, "others", 8)
    assert signs_of(connection).get("catalogue in order") == strength


@pytest.mark.parametrize(
    ("acts", "blind", "strength"),
    [
        ((4, 4, 4), (1, 1, 1), "proof"),  # a quarter of 12
        ((4, 4, 5), (1, 1, 1), "hint"),
        ((3, 3, 3), (1, 1, 1), "hint"),  # nine acts
        ((2, 2, 1), (1, 1, 1), None),  # five acts
        ((2, 2, 2), (1, 1, 1), "hint"),
        ((6, 7, 7), (1, 1, 1), "hint"),  # 15 %
        ((7, 7, 7), (1, 1, 1), None),
        ((6, 6, 6), (6, 6, 0), None),  # two days
    ],
)
def test_acts_without_a_view(
    connection: Any, acts: tuple[int, ...], blind: tuple[int, ...], strength: str | None
) -> None:
    for day, (act_count, blind_count) in enumerate(zip(acts, blind, strict=True)):
        add_day(connection, "u", day * day, acts=act_count, blind_acts=blind_count)
    for number in range(9):
        add_day(connection, f"other{number}", 0, acts=3)
    assert signs_of(connection).get("acts without a view") == strength


def test_acts_without_a_view_are_no_sign_where_people_do_so(connection: Any) -> None:
    """One in nine acts from a list. Of one in ten it would be a sign."""
    for day in range(3):
        add_day(connection, "u", day, acts=4, blind_acts=4)
    for number in range(8):
        add_day(connection, f"other{number}", 0, acts=3)
    report = judge(connection)
    [sign] = [row for row in report["signs"] if row["sign"] == "acts without a view"]
    assert sign["mute"] == "people of this shop act on items without opening them"


@pytest.mark.parametrize(
    ("addresses", "strength"),
    [
        ([f"{30 + number}.7.1.0/24" for number in range(8)], "hint"),
        ([f"{30 + number}.7.1.0/24" for number in range(7)], None),
        ([f"2001:{number}:1::/48" for number in range(8)], "hint"),
        ([f"100.64.{number}.0/24" for number in range(20)], None),  # a carrier's range
        ([f"2001:db8:{number}::/48" for number in range(20)], None),
        ([f"{30 + max(number, 3)}.7.1.0/24" for number in range(20)], "hint"),  # 17 of 20
        ([f"{30 + max(number, 4)}.7.1.0/24" for number in range(20)], None),
    ],
)
def test_another_provider_each_time(
    connection: Any, addresses: list[str], strength: str | None
) -> None:
    add_varied_days(connection, "u", len(addresses))
    days = connection.execute("SELECT event_date FROM user_days ORDER BY 1").fetchall()
    for (day,), address in zip(days, addresses, strict=True):
        connection.execute("UPDATE agent_days SET ip = ? WHERE event_date = ?", [address, day])
    add_varied_days(connection, "others", 8)
    assert signs_of(connection).get("another provider each time") == strength


@pytest.mark.parametrize(("crowd", "strength"), [(1_000, "hint"), (999, None)])
def test_a_thousand_users_of_one_address(connection: Any, crowd: int, strength: str | None) -> None:
    add_day(connection, "u", 0, events=30)
    connection.execute(
        "INSERT INTO agent_days SELECT ?, 'other' || number, 'Firefox', '192.0.2.0/24', 1 "
        "FROM range(?) t(number)",
        [START, crowd - 1],
    )
    assert signs_of(connection).get("a thousand users of one address") == strength


def add_machine(connection: Any, user: str, **values: int) -> None:
    """Add a user who comes every third day exactly and views two items each time."""
    for number in range(20):
        add_day(connection, user, 3 * number, **{"views": 2, **values})


def test_a_proof_and_another_sign_convict(connection: Any) -> None:
    add_machine(connection, "u")
    judge(connection)
    assert evidence_of(connection) == (
        "every 3 days exactly, 20 of 20 days; exactly 2 views on 20 of 20 days"
    )


def test_one_proof_does_not_convict(connection: Any) -> None:
    for number in range(20):
        add_day(connection, "u", 3 * number, views=2 + number)
    assert signs_of(connection) == {"every k days exactly": "proof"}
    assert evidence_of(connection) is None


def test_hints_without_a_proof_do_not_convict(connection: Any) -> None:
    for number in range(6):
        add_day(connection, "u", 12 * number, views=2)
    assert signs_of(connection) == {"every k days exactly": "hint", "equal days": "hint"}
    assert evidence_of(connection) is None


def test_signs_of_one_cause_count_once(connection: Any) -> None:
    """A collector goes through a list in order and likes what it shows, evening by evening."""
    add_varied_days(connection, "u", 8, steps=20, ascents=20, acts=9, blind_acts=9)
    for number in range(19):
        add_day(connection, f"other{number}", 0, acts=3)
    assert signs_of(connection) == {"catalogue in order": "proof", "acts without a view": "proof"}
    assert evidence_of(connection) is None


@pytest.mark.parametrize(
    ("events", "purchases", "is_judged"),
    [(10, 0, True), (10, 1, True), (9, 1, False)],
)
def test_who_buys_is_not_judged(
    connection: Any, events: int, purchases: int, is_judged: bool
) -> None:
    """A subscription comes on exact days. A tenth of the events may be purchases."""
    add_machine(connection, "u", events=events, purchases=purchases)
    judge(connection)
    assert (evidence_of(connection) is not None) == is_judged


@pytest.mark.parametrize(("last_day", "is_judged"), [(11, True), (10, False)])
def test_who_has_less_than_thirty_events_is_not_judged(
    connection: Any, last_day: int, is_judged: bool
) -> None:
    for number in range(19):
        add_day(connection, "u", 3 * number, views=1, events=1)
    add_day(connection, "u", 57, views=1, events=last_day)
    judge(connection)
    assert bool(list_signs_of_user(connection, "u")) == is_judged


@pytest.mark.parametrize(("machines", "is_mute"), [(6, True), (5, False)])
def test_a_sign_that_many_give_is_a_habit_of_the_shop(
    connection: Any, machines: int, is_mute: bool
) -> None:
    for number in range(machines):
        add_machine(connection, f"u{number}")
    report = judge(connection)
    reasons = {row["sign"]: row["mute"] for row in report["signs"]}
    expected = f"{machines} of {machines} judged users give it: a habit of this shop"
    assert (reasons["every k days exactly"] == expected) == is_mute
    assert (evidence_of(connection, "u0") is None) == is_mute


@pytest.mark.parametrize(("people", "is_mute"), [(54, False), (53, True)])
def test_a_sign_of_a_tenth_is_no_habit_yet(connection: Any, people: int, is_mute: bool) -> None:
    """Six machines among sixty users, or among 59. Whom another rule has found does not count."""
    for number in range(6):
        add_machine(connection, f"u{number}")
    for number in range(people):
        add_day(connection, f"p{number}", 0, events=30)
    add_machine(connection, "staff")
    judge(connection, staff_ids=["staff"])
    assert (evidence_of(connection, "u0") is None) == is_mute
    assert (evidence_of(connection, "staff") is None) == is_mute


def test_a_source_of_days_mutes_the_signs_of_times(connection: Any) -> None:
    add_machine(connection, "u", first_second=0, hours=1)
    reasons = {row["sign"]: row["mute"] for row in judge(connection)["signs"]}
    no_times = "the source has days, but no times of the day"
    assert reasons == {
        "even pauses": no_times,
        "every k days exactly": None,
        "one time of the day": no_times,
        "no sleep for days": no_times,
        "speed over hours": no_times,
        "equal days": None,
        "catalogue in order": no_times,
        "acts without a view": None,
        "another provider each time": None,
        "a thousand users of one address": None,
    }


def test_half_of_the_days_at_midnight_mute_nothing(connection: Any) -> None:
    for number in range(20):
        add_day(connection, "u", number, first_second=NOON * (number % 2))
    assert {row["mute"] for row in judge(connection)["signs"]} == {None}


def test_where_all_is_bought_nobody_is_judged(connection: Any) -> None:
    for number in range(20):
        add_day(connection, "u", number, views=0, purchases=10)
    reasons = {row["mute"] for row in judge(connection)["signs"]}
    assert reasons == {"nobody is judged: no user has 30 events of which at most 10% are purchases"}


def test_a_source_without_views_addresses_and_agents(connection: Any) -> None:
    add_varied_days(connection, "u", 20, views=0)
    connection.execute("UPDATE agent_days SET ip = NULL, user_agent = NULL")
    reasons = {row["sign"]: row["mute"] for row in judge(connection)["signs"] if row["mute"]}
    assert reasons == {
        "acts without a view": "the source has no views",
        "another provider each time": "the source has no addresses",
        "a thousand users of one address": "the source has no addresses",
    }


def test_a_source_without_agents(connection: Any) -> None:
    add_varied_days(connection, "u", 20)
    connection.execute("UPDATE agent_days SET user_agent = NULL")
    reasons = {row["sign"]: row["mute"] for row in judge(connection)["signs"] if row["mute"]}
    assert reasons == {"a thousand users of one address": "the source has no user agents"}


def test_a_source_of_few_days_says_how_many_a_sign_needs(connection: Any) -> None:
    add_day(connection, "u", 0, events=30)
    reasons = {row["sign"]: row["mute"] for row in judge(connection)["signs"]}
    assert reasons["equal days"] == "it needs 6 days with events, there are 1"
    assert reasons["speed over hours"] is None
    assert len(reasons) == len(SIGNS)


def test_features_of_a_day_by_hand(connection: Any) -> None:
    """ann views 1, comments on it and views 2, eight seconds apart; 2 after two hours, 1 at 23:59. bob comes later."""
    start = datetime(2026, 1, 3, 10, tzinfo=UTC)
    seconds = [0.0, 8.0, 16.0, 7_200.0, 13 * 3_600 + 3_540.0, 14 * 3_600.0]
    times = [start + timedelta(seconds=second) for second in seconds]
    table = pa.table(
        {
            "event_id": [f"e{number}" for number in range(6)],
            "user_id": ["ann"] * 5 + ["bob"],
            "item_id": ["1", "1", "2", "2", "1", "10"],
            "event_type": ["view", "comment", "view", "view", "purchase", "cart"],
            "event_time": pa.array(times, pa.timestamp("us", "UTC")),
            "event_date": pa.array([time.date() for time in times], pa.date32()),
            "user_agent": ["a"] * 6,
            "ip": ["10.1.2.0/24"] * 6,
        }
    )
    connection.register("events", table)
    features.measure_features(connection, "events")
    rows = connection.execute("FROM user_days ORDER BY event_date").fetchall()
    hours = 1 << 10 | 1 << 12 | 1 << 23
    pause = round(1e6 * log(16))
    square = round(1e6 * log(16) ** 2)
    # events, views, purchases, hours, first second, pauses (4), steps, ascents, acts, blind acts
    of_ann = (5, 3, 1, hours, 36_000, 1, 1, pause, square, 1, 1, 1, 0)
    assert rows[0] == (date(2026, 1, 3), "ann", *of_ann)
    assert rows[1] == (date(2026, 1, 4), "bob", 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    agents = connection.execute(
        "SELECT user_id, user_agent, ip, events FROM agent_days ORDER BY 1"
    ).fetchall()
    assert agents == [("ann", "a", "10.1.2.0/24", 5), ("bob", "a", "10.1.2.0/24", 1)]


@pytest.mark.parametrize(
    ("first", "second", "is_clear"),
    [
        (1.0, 10.0, False),  # whole seconds
        (1.0, 11.0, True),
        (0.5, 1.4, False),
        (0.5, 1.5, True),
        (0.0, 540.0, False),  # whole minutes
        (0.0, 600.0, True),
        (0.5, 1_800.5, True),
        (0.5, 1_800.6, False),
    ],
)
def test_a_pause_is_clear_if_it_is_long_for_the_clock(
    connection: Any, first: float, second: float, is_clear: bool
) -> None:
    start = datetime(2026, 1, 3, 10, tzinfo=UTC)
    times = [start + timedelta(seconds=first), start + timedelta(seconds=second)]
    table = pa.table(
        {
            "event_id": ["e1", "e2"],
            "user_id": ["ann", "ann"],
            "item_id": ["1", "2"],
            "event_type": ["view", "view"],
            "event_time": pa.array(times, pa.timestamp("us", "UTC")),
            "event_date": pa.array([start.date()] * 2, pa.date32()),
            "user_agent": ["a", "a"],
            "ip": ["10.1.2.0/24"] * 2,
        }
    )
    connection.register("events", table)
    features.measure_features(connection, "events")
    assert connection.execute("SELECT clear_pauses FROM user_days").fetchall() == [(is_clear,)]


def test_people_are_no_machines_on_a_simulated_shop() -> None:
    """benchmarks/bots.py in small, on a seed that is neither tuned on nor reported."""
    benchmark = importlib.import_module("benchmarks.bots")
    shop = benchmark.figures(ShopConfig(users=4_000, days=60, seed=5))
    assert shop.declared == 1
    assert shop.lost <= 0.005
    assert shop.precision(benchmark.FOUND) >= 0.99
    assert shop.precision(benchmark.FOUND_EVENTS) >= 0.99
    assert shop.recall(benchmark.FOUND_JUDGEABLE, benchmark.JUDGEABLE) >= 0.75


def events_of(user: str, times: list[datetime], items: int = 101) -> pa.Table:
    """Views of one item after the other, at these times, from one address."""
    return pa.table(
        {
            "event_id": [f"{user}-{number}" for number in range(len(times))],
            "user_id": [user] * len(times),
            "item_id": [f"i{100 + number * 50 % items}" for number in range(len(times))],
            "event_type": ["view"] * len(times),
            "event_time": pa.array(times, pa.timestamp("us", "UTC")),
            "event_date": pa.array([time.date() for time in times], pa.date32()),
            "user_agent": ["Firefox"] * len(times),
            "ip": ["192.0.2.0/24"] * len(times),
        }
    )


@pytest.mark.parametrize(
    ("seconds", "days", "evidence"),
    [
        (
            900,
            8,
            "even pauses on 8 days, mostly 900 to 900 seconds; exactly 96 views on 8 of 8 days; "
            "first visit of 8 of 8 days in the half hour after 00:00 UTC; "
            "no sleep: 8 days in a row with events in 22 hours or more",
        ),
        (
            3_600,
            8,
            "exactly 24 views on 8 of 8 days; "
            "first visit of 8 of 8 days in the half hour after 00:00 UTC; "
            "no sleep: 8 days in a row with events in 22 hours or more",
        ),
        (
            6,
            3,
            "14,400 events in 24 hours of a day; "
            "no sleep: 3 days in a row with events in 22 hours or more",
        ),
    ],
    ids=["a monitor of each quarter of an hour", "a monitor of each hour", "a scraper"],
)
def test_machines_that_do_not_hide_are_found_by_their_events(
    connection: Any, seconds: int, days: int, evidence: str
) -> None:
    start = datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC)
    count = days * 86_400 // seconds
    times = [start + timedelta(seconds=seconds * number) for number in range(count)]
    connection.register("events", events_of("machine", times))
    features.measure_features(connection, "events")
    judge(connection)
    assert evidence_of(connection, "machine") == evidence


def test_an_evening_of_ratings_is_no_evidence(connection: Any) -> None:
    """A rating every three seconds for half an hour, an import of a thousand in a minute."""
    start = datetime(2026, 1, 1, 20, 0, 7, tzinfo=UTC)
    rater = [start + timedelta(seconds=3 * number) for number in range(600)]
    importer = [start + timedelta(seconds=0.06 * number) for number in range(1_000)]
    for user, times in (("rater", rater), ("importer", importer)):
        connection.register("events", events_of(user, times, items=2_001))
        features.measure_features(connection, "events")
    assert signs_of(connection, "rater") == {}
    assert list_signs_of_user(connection, "importer")
    assert shown_signs(connection, "importer") == {}
