"""The bounds of cleaning: the value exactly on each bound, and the nearest one beyond it."""

from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from dawnlist.components.clean import cleaning
from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.clean.interactions import apply_layout_hints
from dawnlist.components.clean.landed_objects import LandedObject
from dawnlist.components.clean.table_commits import add_adjacent_days, list_lookup_days
from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.rows.coercions import MAX_AGENT_CHARACTERS, MAX_ID_CHARACTERS
from dawnlist.settings import Settings, SourceSettings
from tests.test_clean import AS_OF, cleaned, events, land, rows_of

MICROSECOND = timedelta(microseconds=1)
NOON = "2026-01-30T12:00:00Z"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def view(event_id: str, user: str, time: str) -> tuple[str, str, str, str, str]:
    return (event_id, user, "10", "view", time)


def ids(lake: Lake) -> set[str]:
    """The event ids of the interactions."""
    return {row[0] for row in rows_of(lake, "interactions", "event_id")}


def reasons(lake: Lake) -> dict[int, str]:
    """The reasons of rejected rows by their number in the source, from 1."""
    return dict(rows_of(lake, "quarantine", "row_number", "reason"))


def test_a_click_exactly_two_seconds_after_another_is_a_double_click(lake: Lake) -> None:
    table = events(
        view("a1", "on it", "2026-01-30T12:00:00Z"),
        view("a2", "on it", "2026-01-30T12:00:02Z"),
        view("b1", "beyond it", "2026-01-30T12:00:00Z"),
        view("b2", "beyond it", "2026-01-30T12:00:02.000001Z"),
        view("c1", "at once", "2026-01-30T12:00:00Z"),
        view("c2", "at once", "2026-01-30T12:00:00Z"),
        view("d2", "in the other order", "2026-01-30T12:00:02Z"),
        view("d1", "in the other order", "2026-01-30T12:00:00Z"),
    )
    report = cleaned(lake, table)
    assert ids(lake) == {"a1", "b1", "b2", "c1", "d1"}
    assert (report["double_clicks"], report["duplicates"]) == (3, 0)


def test_without_a_time_for_double_clicks_there_are_none(lake: Lake) -> None:
    table = events(view("a1", "ann", NOON), view("a2", "ann", NOON), view("a2", "ann", NOON))
    report = cleaned(lake, table, double_click_seconds=0)
    assert ids(lake) == {"a1", "a2"}
    assert (report["double_clicks"], report["duplicates"]) == (0, 1)


def test_the_distance_to_a_stored_click_counts_in_both_directions(lake: Lake) -> None:
    """A late row that is hours older than what the lake holds is another visit, not a repeat."""
    users = ("after", "just after", "before", "just before", "hours before", "hours after")
    stored = [view(f"stored {user}", user, NOON) for user in users]
    stored.append(view("stored at night", "night", "2026-01-29T23:59:59Z"))
    stored.append(view("stored in the morning", "morning", "2026-01-30T00:00:01Z"))
    cleaned(lake, events(*stored))
    stored = [view("s1", "twice", NOON), view("s2", "twice", "2026-01-30T12:00:02.5Z")]
    cleaned(lake, events(*stored), run="r1b")
    before = ids(lake)
    report = cleaned(
        lake,
        events(
            view("between", "twice", "2026-01-30T12:00:01.25Z"),
            view("n1", "after", "2026-01-30T12:00:01Z"),
            view("after", "after", "2026-01-30T12:00:02Z"),
            view("just after", "just after", "2026-01-30T12:00:02.000001Z"),
            view("before", "before", "2026-01-30T11:59:58Z"),
            view("just before", "just before", "2026-01-30T11:59:57.999999Z"),
            view("hours before", "hours before", "2026-01-30T07:00:00Z"),
            view("hours after", "hours after", "2026-01-30T17:00:00Z"),
            view("night", "night", "2026-01-30T00:00:01Z"),
            view("morning", "morning", "2026-01-29T23:59:59Z"),
        ),
        run="r2",
    )
    assert ids(lake) - before == {"just after", "just before", "hours before", "hours after"}
    assert report["double_clicks"] == 6


def test_a_stored_event_that_comes_again_is_no_double_click_of_itself(lake: Lake) -> None:
    """It is known: a row of the overlap of two windows, of which the lake has the event already."""
    cleaned(lake, events(view("a", "ann", NOON)))
    report = cleaned(lake, events(view("a", "ann", NOON)), run="r2")
    assert (report["known"], report["double_clicks"], report["inserted"]) == (1, 0, 0)


def clean_day(lake: Lake, table: pa.Table, day: int, run: str) -> dict[str, Any]:
    """Clean a table as the window of one day of January."""
    start = parse_as_of(f"2026-01-{day:02}T00:00:00Z")
    window = [format_iso(start), format_iso(start + timedelta(days=1))]
    landed = {"interactions": [land(lake, table, run)], "windows": [window], "arrivals": {}}
    return clean_landed_objects(lake, landed, Settings(), start + timedelta(days=1), run)


@pytest.mark.parametrize(("day", "is_known"), [(16, True), (17, True), (18, False)])
def test_a_replayed_event_with_another_time_is_known_for_a_week(
    lake: Lake, day: int, is_known: bool
) -> None:
    clean_day(lake, events(view("a", "ann", "2026-01-10T12:00:00Z")), 10, "r1")
    replay = events(view("a", "ann", f"2026-01-{day}T12:00:00Z"))
    report = clean_day(lake, replay, day, "r2")
    assert (report["known"], report["inserted"]) == ((1, 0) if is_known else (0, 1))


def test_event_ids_are_looked_up_from_a_week_before_the_window_to_its_end() -> None:
    window = (parse_as_of("2026-01-10T00:00:00Z"), parse_as_of("2026-01-11T00:00:00Z"))
    january = [date(2026, 1, day) for day in range(3, 12)]
    assert list_lookup_days([], [window]) == january
    assert list_lookup_days([date(2025, 12, 1)], [window]) == [date(2025, 12, 1), *january]
    assert add_adjacent_days([date(2026, 1, 1)]) == [
        date(2025, 12, 31),
        date(2026, 1, 1),
        date(2026, 1, 2),
    ]


def test_times_on_their_bounds(lake: Lake) -> None:
    latest = AS_OF + timedelta(minutes=5)
    times = [
        "1995-01-01T00:00:00Z",
        "1994-12-31T23:59:59.999999Z",
        format_iso(latest),
        format_iso(latest + MICROSECOND),
    ]
    cleaned(lake, events(*(view(f"e{n}", f"u{n}", time) for n, time in enumerate(times))))
    assert ids(lake) == {"e0", "e2"}
    assert reasons(lake) == {2: "time before 1995", 4: "time in the future"}


def test_a_row_may_be_five_minutes_ahead_of_its_arrival_and_no_more(lake: Lake) -> None:
    """An arrival counts up to a day after the window: daily files end at the source's midnight."""
    five_minutes, day = timedelta(minutes=5), timedelta(days=1)
    early = parse_as_of(NOON)
    pairs = [
        (early, early + five_minutes),
        (early, early + five_minutes + MICROSECOND),
        (AS_OF + day, AS_OF + day + five_minutes),
        (AS_OF + day, AS_OF + day + five_minutes + MICROSECOND),
        (AS_OF + day + MICROSECOND, AS_OF + day + five_minutes + MICROSECOND),
    ]
    rows = [view(f"e{n}", f"u{n}", format_iso(time)) for n, (_, time) in enumerate(pairs)]
    arrivals = pa.array([format_iso(arrived) for arrived, _ in pairs])
    cleaned(lake, events(*rows).append_column("received_at", arrivals))
    assert ids(lake) == {"e0", "e2"}
    assert set(reasons(lake)) == {2, 4, 5}


def test_ids_and_agents_of_the_longest_length(lake: Lake) -> None:
    longest = "x" * MAX_ID_CHARACTERS
    assert (MAX_ID_CHARACTERS, MAX_AGENT_CHARACTERS) == (512, 1024)
    table = events(
        ("a", longest, "10", "view", NOON),
        ("b", longest + "x", "10", "view", NOON),
        ("c", "ann", longest, "view", NOON),
        ("d", "ann", longest + "x", "view", NOON),
    )
    agent = "y" * MAX_AGENT_CHARACTERS
    cleaned(lake, table.append_column("user_agent", pa.array([agent, "", agent + "z", ""])))
    assert rows_of(lake, "interactions", "event_id", "user_agent") == [("a", agent), ("c", agent)]
    assert reasons(lake) == {2: "user_id too long", 4: "item_id too long"}


def sales(column: str, values: list[str], event: str) -> pa.Table:
    """One row for each value of a column, each of another user."""
    users = [str(number) for number in range(len(values))]
    table = pa.table({"user_id": users, column: values})
    for name, value in (("item_id", "10"), ("event", event), ("ts", NOON)):
        table = table.append_column(name, pa.array([value] * len(values)))
    return table


def test_quantities_on_their_bound(lake: Lake) -> None:
    table = sales("quantity", ["0", "0.001", "-1", "1"], "purchase")
    cleaned(lake, table)
    assert [row[0] for row in rows_of(lake, "interactions", "user_id")] == ["1", "3"]
    assert reasons(lake) == {1: "quantity not positive", 3: "quantity not positive"}


def test_ratings_on_the_ends_of_their_scale(lake: Lake) -> None:
    table = sales("rating", ["0", "5", "5.000001", "-0.000001"], "rating")
    cleaned(lake, table, rating_scale=5)
    assert rows_of(lake, "interactions", "user_id", "weight") == [("0", 0.0), ("1", 1.0)]
    assert reasons(lake) == {3: "rating outside 0 to 5", 4: "rating outside 0 to 5"}


def test_an_event_of_no_weight_is_not_wanted_and_one_of_little_weight_is(lake: Lake) -> None:
    table = events(view("a", "ann", NOON), ("b", "bob", "10", "cart", NOON))
    cleaned(lake, table, weights={"view": 0, "cart": 0.001})
    assert ids(lake) == {"b"}
    assert reasons(lake) == {1: "event not wanted"}


def test_a_column_of_ratings_is_only_asked_of_ratings(lake: Lake) -> None:
    table = sales("rating", ["x", "11"], "view")
    cleaned(lake, table)
    assert len(rows_of(lake, "interactions", "user_id")) == 2


def test_the_first_reason_of_a_row_counts(lake: Lake) -> None:
    cleaned(lake, events((None, None, None, None, None), ("b", "ann", None, None, None)))
    assert reasons(lake) == {1: "user_id missing", 2: "item_id missing"}


def test_the_order_of_copies_in_the_source_does_not_matter(lake: Lake) -> None:
    """Of two rows of one event the older stays, whichever comes first."""
    cleaned(
        lake,
        events(
            view("a", "ann", "2026-01-30T12:00:09Z"),
            view("a", "ann", NOON),
            view("b", "bob", NOON),
            view("b", "bob", "2026-01-30T12:00:09Z"),
        ),
    )
    times = rows_of(lake, "interactions", "event_id", "event_time")
    noon = parse_as_of(NOON)
    assert times == [("a", noon), ("b", noon)]


def test_a_shop_s_settings_of_double_clicks_are_in_seconds(lake: Lake) -> None:
    table = events(view("a", "ann", NOON), view("b", "ann", "2026-01-30T12:00:30Z"))
    cleaned(lake, table, double_click_seconds=29.999999)
    assert ids(lake) == {"a", "b"}
    assert SourceSettings().double_click_seconds == 2


def test_a_run_that_lost_its_lease_commits_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is asked between the limits and the commit of the interactions."""

    def refuse() -> None:
        raise RuntimeError("lost the lease")

    lost = nullcontext(SimpleNamespace(check=refuse))
    monkeypatch.setattr(cleaning, "hold_lease", lambda *_, **__: lost)
    with pytest.raises(RuntimeError, match="lost the lease"):
        cleaned(lake, events(view("a", "ann", NOON), view("b", "null", NOON)))
    assert lake.table("interactions") is None
    assert reasons(lake) == {2: "user_id missing"}


def test_a_rating_with_a_reused_id_has_its_own_weight(lake: Lake) -> None:
    table = sales("rating", ["5", "1", "4"], "rating")
    ids_of_rows = pa.array(["same", "same", "other"])
    cleaned(lake, table.append_column("event_id", ids_of_rows), rating_scale=5)
    assert rows_of(lake, "interactions", "user_id", "weight") == [
        ("0", 1.0),
        ("1", pytest.approx(0.2)),
        ("2", pytest.approx(0.8)),
    ]
    table = events(view("same", "ann", NOON), view("same", "bob", NOON))
    cleaned(lake, table, run="r2")
    assert rows_of(lake, "interactions", "user_id", "weight")[3:] == [("ann", 1.0), ("bob", 1.0)]


def test_the_hints_of_the_newest_object_with_rows_count() -> None:
    def landed(rows: int, scale: float | None) -> LandedObject:
        hints = {} if scale is None else {"rating_scale": scale}
        return LandedObject("name", "view", ["a"], rows, hints)

    def scale_of(*objects: LandedObject) -> float | None:
        return apply_layout_hints(list(objects), SourceSettings()).rating_scale

    assert scale_of() == 10
    assert scale_of(landed(1, 5), landed(1, 100), landed(0, 20)) == 100
    assert scale_of(landed(1, 5), landed(1, 100), landed(1, None)) == 10
    assert scale_of(landed(0, 20)) == 10


def test_objects_of_one_run_are_cleaned_together(lake: Lake) -> None:
    names = [
        land(lake, events(view("a", "ann", NOON), view("x", "null", NOON)), "r1"),
        land(lake, events().slice(0, 0), "r2"),
        land(lake, events(view("b", "bob", NOON), view("a", "ann", NOON)), "r3"),
    ]
    window = ["2026-01-01T00:00:00Z", format_iso(AS_OF)]
    landed = {"interactions": names, "windows": [window], "arrivals": {}}
    report = clean_landed_objects(lake, landed, Settings(), AS_OF, "r1")
    assert (report["clean"], report["duplicates"], report["quarantined"]) == (2, 1, 1)
    stored = rows_of(lake, "interactions", "event_id", "source")
    assert stored == [("a", names[0]), ("b", names[2])]
    assert rows_of(lake, "quarantine", "source_object", "row_number") == [(names[0], 2)]
