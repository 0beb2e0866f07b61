import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch import landing
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.fetch.parquet import write_batches
from dawnlist.components.fetch.window_plan import plan_windows
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import build_window_transactions, extend_window, read_covered_window
from dawnlist.settings import Settings, SourceSettings
from tests.support.literal import clicks, interactions
from tests.support.servers import NOBODY

AS_OF = parse_as_of("2026-01-02T00:00:00Z")
INSIDE = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = SourceSettings(columns={"event_time": ["received_at"]})
ROWS = [
    ("e1", 17850, "A", "view", "2025-12-29T23:59:59.999999Z"),
    ("e2", "17850.0", "B", "view", "2025-12-30T00:00:00.000000Z"),
    ("e3", 3.5, None, "view", "2026-01-01T23:59:59.999999Z"),
    ("e4", "x", "C", "view", "2026-01-02T00:00:00.000000Z"),
]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE interactions (event_id, user_id, item_id, event, received_at TEXT)"
        )
        connection.executemany("INSERT INTO interactions VALUES (?, ?, ?, ?, ?)", ROWS)
        connection.execute("CREATE TABLE items (item_id, title)")
        connection.execute("INSERT INTO items VALUES ('A', 'Apple')")
    return f"sqlite:///{tmp_path / 'shop.db'}"


def landed_rows(lake: Lake, name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(
        lake.path(*name.split("/")), filesystem=lake.filesystem
    ).to_pylist()
    return rows


def test_only_the_window_lands_with_the_values_as_they_were(lake: Lake, sqlite: str) -> None:
    landed = fetch_source(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)
    [name] = landed["interactions"]
    assert name == "landing/interactions/20251230T000000Z_20260102T000000Z/run-1.parquet"
    assert [
        (row["event_id"], row["user_id"], row["item_id"]) for row in landed_rows(lake, name)
    ] == [
        ("e2", "17850.0", "B"),
        ("e3", "3.5", None),
    ]
    assert landed["rows"] == {"interactions": 2, "items": 1}
    assert landed["window"] == ["2025-12-30T00:00:00Z", "2026-01-02T00:00:00Z"]
    assert landed["users"] is None  # this shop has no users table
    assert landed_rows(lake, landed["items"]) == [{"item_id": "A", "title": "Apple"}]


def test_a_retry_leaves_the_landing_object_as_it_is(lake: Lake, sqlite: str) -> None:
    first = fetch_source(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)
    with closing(sqlite3.connect(sqlite.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("DELETE FROM interactions")
    assert (
        fetch_source(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)["rows"] == first["rows"]
    )


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, number, hour, tzinfo=UTC)


def test_the_twin_of_a_run_that_was_first_keeps_its_object(
    lake: Lake, sqlite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "landing/interactions/20251230T000000Z_20260102T000000Z/run-1.parquet"
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"event_id": ["e2"], "received_at": ["2025-12-30T00:00:00Z"]}), sink)
    twin = sink.getvalue().to_pybytes()

    def write_after_the_twin(*arguments: Any) -> int:
        lake.create(twin, *name.split("/"))
        return write_batches(*arguments)

    monkeypatch.setattr(landing, "write_batches", write_after_the_twin)
    landed = fetch_source(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)
    assert landed["rows"]["interactions"] == 1
    assert landed["arrivals"] == {"2025-12-30T00:00:00Z": 1}
    assert lake.read(*name.split("/")) == twin


HOUR = timedelta(hours=1)


def test_a_window_goes_on_an_hour_before_what_the_lake_holds() -> None:
    held_long = (datetime(2020, 1, 1, tzinfo=UTC), day(20))
    assert plan_windows(None, day(21), 3, HOUR) == [(day(18), day(21))]
    assert plan_windows(held_long, day(21), 3, HOUR) == [(day(19, 23), day(21))]
    assert plan_windows(held_long, day(31), 3, HOUR) == [
        (day(19, 23), day(31))
    ]  # nights were missed
    assert plan_windows(held_long, day(20), 3, HOUR) == [
        (day(18, 23), day(20))
    ]  # the same day again
    assert plan_windows(held_long, day(21), 3, 0 * HOUR) == [(day(20), day(21))]


def test_a_longer_window_fetches_the_time_before_what_the_lake_holds() -> None:
    assert plan_windows((day(10), day(20)), day(21), 14, HOUR) == [
        (day(7), day(10)),
        (day(19, 23), day(21)),
    ]
    assert plan_windows((day(19, 23), day(20)), day(21), 14, HOUR) == [
        (day(7), day(21))
    ]  # they touch
    assert plan_windows((day(20), day(25)), day(15), 5, HOUR) == [
        (day(10), day(15))
    ]  # nothing held before that day
    assert plan_windows((day(10), day(20)), day(21), 14, HOUR, expired=day(10)) == [
        (day(19, 23), day(21))
    ]
    with pytest.raises(ValueError, match="window_days is 2: give 3 to 3660"):
        plan_windows(None, day(21), 2, HOUR)


def test_what_is_held_grows_only_without_a_gap(lake: Lake) -> None:
    assert extend_window(None, [(day(3), day(5))]) == (day(3), day(5))
    assert extend_window((day(3), day(5)), [(day(1), day(3)), (day(4), day(6))]) == (day(1), day(6))
    assert extend_window((day(3), day(5)), [(day(1), day(2)), (day(6), day(7))]) == (day(3), day(5))
    write_deltalake(lake.table_uri("interactions"), interactions(("u", "i", 1)))
    assert read_covered_window(None) is read_covered_window(lake.table("interactions")) is None
    commit = CommitProperties(
        app_transactions=[
            Transaction(*mark) for mark in build_window_transactions((day(3), day(5))).items()
        ]
    )
    write_deltalake(
        lake.table_uri("interactions"), interactions(), mode="append", commit_properties=commit
    )
    assert read_covered_window(lake.table("interactions")) == (day(3), day(5))


def run_day(lake: Lake, source: str, as_of: str, run: str, window_days: int) -> set[str]:
    """Fetch and clean; the users that the lake then holds."""
    moment = parse_as_of(as_of)
    clean_landed_objects(
        lake,
        fetch_source(lake, source, SETTINGS, moment, run, window_days),
        Settings(),
        moment,
        run,
    )
    rows = lake.rows("interactions")
    return set() if rows is None else set(rows.to_table()["user_id"].to_pylist())


def test_a_row_that_was_committed_after_its_fetch_comes_with_the_next(
    lake: Lake, tmp_path: Path
) -> None:
    source = clicks(tmp_path / "shop.db", "2026-01-02T10:00:00Z")
    assert len(run_day(lake, source, "2026-01-03T00:00:00Z", "r1", 3)) == 1
    clicks(tmp_path / "shop.db", "2026-01-02T23:59:58Z")
    assert "2026-01-02T23:59:58Z" in run_day(lake, source, "2026-01-04T00:00:00Z", "r2", 3)


def test_a_short_first_window_does_not_cut_history_for_good(lake: Lake, tmp_path: Path) -> None:
    times = [f"2026-01-{day:02}T12:00:00Z" for day in range(1, 21)]
    source = clicks(tmp_path / "shop.db", *times)
    assert run_day(lake, source, "2026-01-20T00:00:00Z", "r1", 3) == set(times[16:19])
    assert run_day(lake, source, "2026-01-21T00:00:00Z", "r2", 30) == set(times)
    assert len(lake.names("landing", "interactions")) == 3
    assert (
        len(
            fetch_source(lake, source, SETTINGS, parse_as_of("2026-01-21T00:00:00Z"), "r3", 30)[
                "interactions"
            ]
        )
        == 1
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "the source is empty"),
        ("sqlite:////nowhere/shop.db", "there is no file '/nowhere/shop.db'"),
        ("/nowhere", "does not exist"),
        ("mongodb://host/x", "is of a kind that can't be read"),
        ("postgresql://me:s3cret@host/x", "set DAWNLIST_SOURCE_PASSWORD instead"),
        ("postgresql://me@NOBODY/x", "does not answer or refuses"),
    ],
)
def test_an_unusable_source_is_one_clear_line(lake: Lake, url: str, message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message) as error:
        fetch_source(lake, url.replace("NOBODY", NOBODY), SETTINGS, AS_OF, "run-1", window_days=3)
    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert lake.names("landing", "interactions") == []


def test_a_first_fetch_that_finds_nothing_names_the_newest_row(lake: Lake, sqlite: str) -> None:
    with pytest.raises(ValueError, match="its newest is of 2026-01-02T00:00:00"):
        fetch_source(
            lake, sqlite, SETTINGS, parse_as_of("2026-10-01T00:00:00Z"), "run-1", window_days=3
        )


def test_a_day_to_come_is_refused_but_for_what_clocks_differ_by(lake: Lake, sqlite: str) -> None:
    for ahead, said in (
        (timedelta(hours=1), "is in the future"),
        (timedelta(seconds=20), "the source has no interactions"),
    ):
        with pytest.raises(ValueError, match=said):
            fetch_source(
                lake,
                sqlite,
                SETTINGS,
                datetime.now(UTC) + ahead,
                "run-1",
                window_days=3,
            )


def test_what_a_broken_upload_left_is_landed_again(lake: Lake, sqlite: str) -> None:
    [name] = fetch_source(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)["interactions"]
    whole = lake.read(*name.split("/")) or b""
    lake.write(whole[: len(whole) // 2], *name.split("/"))
    assert (
        fetch_source(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)["rows"]["interactions"]
        == 2
    )
    assert len(landed_rows(lake, name)) == 2


def shop(path: Path, *rows: tuple[str, str, str]) -> str:
    """A shop of views of one item by one user: event_id, ts, received_at."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS interactions (event_id, user_id, item_id, event, ts, received_at)"
        )
        values = [(name, "u", "i", "view", time, received) for name, time, received in rows]
        connection.executemany("INSERT INTO interactions VALUES (?, ?, ?, ?, ?, ?)", values)
    return f"sqlite:///{path}"


def nightly(lake: Lake, source: str, *as_of: str) -> set[str]:
    """Fetch and clean once for each; the ids of the events that the lake then holds."""
    for number, moment in enumerate(map(parse_as_of, as_of)):
        clean_landed_objects(
            lake,
            fetch_source(lake, source, SETTINGS, moment, f"r{number}", 5),
            Settings(),
            moment,
            f"r{number}",
        )
    rows = lake.rows("interactions")
    return set() if rows is None else set(rows.to_table()["event_id"].to_pylist())


def test_a_double_click_over_the_start_of_a_window_stays_one(lake: Lake, tmp_path: Path) -> None:
    clicks = ("2026-01-02T01:59:59.5Z", "2026-01-02T02:00:00.5Z")
    source = shop(
        tmp_path / "shop.db", *((f"e{number}", time, time) for number, time in enumerate(clicks))
    )
    assert nightly(lake, source, "2026-01-02T03:00:00Z", "2026-01-03T03:00:00Z") == {"e0"}


def test_a_double_click_that_a_later_night_completes_stays_one(lake: Lake, tmp_path: Path) -> None:
    """As at the edge of a backfill, whose windows go from the newest to the oldest."""
    source = shop(
        tmp_path / "shop.db", ("after", "2026-01-02T00:00:00.5Z", "2026-01-02T00:00:00.5Z")
    )
    assert nightly(lake, source, "2026-01-02T03:00:00Z") == {"after"}
    shop(tmp_path / "shop.db", ("before", "2026-01-01T23:59:59.5Z", "2026-01-02T05:00:00Z"))
    assert nightly(lake, source, "2026-01-02T03:00:00Z", "2026-01-03T03:00:00Z") == {"after"}


def test_a_time_is_in_the_future_of_its_arrival_whenever_it_is_fetched(
    lake: Lake, tmp_path: Path
) -> None:
    source = shop(
        tmp_path / "shop.db",
        ("ahead", "2026-01-02T04:00:00Z", "2026-01-02T02:30:00Z"),
        ("skewed", "2026-01-02T02:34:00Z", "2026-01-02T02:30:00Z"),
    )
    assert nightly(lake, source, "2026-01-02T03:00:00Z", "2026-01-03T03:00:00Z") == {"skewed"}
    quarantine = lake.rows("quarantine")
    assert quarantine is not None
    assert quarantine.to_table()["reason"].to_pylist() == ["time in the future"]


def test_a_first_fetch_that_found_nothing_looks_again(lake: Lake, tmp_path: Path) -> None:
    source = shop(tmp_path / "shop.db", ("old", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"))
    with pytest.raises(ValueError, match="the source has no interactions in"):
        fetch_source(lake, source, SETTINGS, parse_as_of("2026-01-02T03:00:00Z"), "r0", 5)
    shop(tmp_path / "shop.db", ("new", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"))
    assert nightly(lake, source, "2026-01-02T03:00:00Z") == {"new"}


def test_rows_that_came_between_two_tries_of_a_fetch_are_told(lake: Lake, tmp_path: Path) -> None:
    """The object of the first try stays, so its rows are what was taken in."""
    folder = tmp_path / "days"
    folder.mkdir()
    for day_, name in (("2026-01-01", "a"), ("2026-01-02", "b")):
        (folder / f"{day_}.csv").write_text(f"user_id,item_id,event,ts\n{name},i,view,{day_}\n")
    assert run_day(lake, str(folder), "2026-01-03T00:00:00Z", "r0", 3) == {"a", "b"}
    (folder / "2026-01-03.csv").write_text("user_id,item_id,event,ts\nc,i,view,2026-01-03\n")
    fetch_source(lake, str(folder), SETTINGS, parse_as_of("2026-01-04T00:00:00Z"), "r1", 3)
    with (folder / "2026-01-03.csv").open("a") as file:
        file.write("d,i,view,2026-01-03\n")
    assert run_day(lake, str(folder), "2026-01-04T00:00:00Z", "r1", 3) == {"a", "b", "c"}
    (folder / "2026-01-04.csv").write_text("user_id,item_id,event,ts\ne,i,view,2026-01-04\n")
    late = fetch_source(lake, str(folder), SETTINGS, parse_as_of("2026-01-05T00:00:00Z"), "r2", 3)[
        "late"
    ]
    assert [(found["day"], found["source"]) for found in late] == [("2026-01-03", 2)]


def test_an_event_that_is_replayed_with_another_time_stays_one(lake: Lake, tmp_path: Path) -> None:
    source = shop(tmp_path / "shop.db", ("e", "2026-01-02T01:00:00Z", "2026-01-02T01:00:00Z"))
    assert nightly(lake, source, "2026-01-02T03:00:00Z") == {"e"}
    shop(tmp_path / "shop.db", ("e", "2026-01-04T01:00:00Z", "2026-01-04T01:00:00Z"))
    nightly(lake, source, "2026-01-02T03:00:00Z", "2026-01-04T03:00:00Z")
    rows = lake.rows("interactions")
    assert rows is not None and rows.count_rows() == 1
