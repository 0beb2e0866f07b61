import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake

from components.clean.cleaning import clean
from components.fetch.landing import fetch
from components.fetch.sources import open_source
from components.fetch.windows import windows
from components.lake import Lake
from components.settings import Settings, SourceSettings
from components.watermark import extended, held, transactions
from tests.literal import interactions

AS_OF = "2026-01-02T00:00:00Z"
INSIDE = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = SourceSettings()
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
        connection.execute("CREATE TABLE interactions (event_id, user_id, item_id, event, received_at TEXT)")
        connection.executemany("INSERT INTO interactions VALUES (?, ?, ?, ?, ?)", ROWS)
        connection.execute("CREATE TABLE items (item_id, title)")
        connection.execute("INSERT INTO items VALUES ('A', 'Apple')")
    return f"sqlite:///{tmp_path / 'shop.db'}"


def landed_rows(lake: Lake, name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(lake.path(*name.split("/")), filesystem=lake.filesystem).to_pylist()
    return rows


def test_only_the_window_lands_with_the_values_as_they_were(lake: Lake, sqlite: str) -> None:
    landed = fetch(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)
    [name] = landed["interactions"]
    assert name == "landing/interactions/20251230T000000Z_20260102T000000Z/run-1.parquet"
    assert [(row["event_id"], row["user_id"], row["item_id"]) for row in landed_rows(lake, name)] == [
        ("e2", "17850.0", "B"),
        ("e3", "3.5", None),
    ]
    assert landed["rows"] == {"interactions": 2, "items": 1}
    assert landed["window"] == ["2025-12-30T00:00:00Z", "2026-01-02T00:00:00Z"]
    assert landed["users"] is None  # this shop has no users table
    assert landed_rows(lake, landed["items"]) == [{"item_id": "A", "title": "Apple"}]


def test_a_retry_leaves_the_landing_object_as_it_is(lake: Lake, sqlite: str) -> None:
    first = fetch(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)
    with closing(sqlite3.connect(sqlite.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("DELETE FROM interactions")
    assert fetch(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)["rows"] == first["rows"]


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, number, hour, tzinfo=UTC)


HOUR = timedelta(hours=1)


def test_a_window_goes_on_an_hour_before_what_the_lake_holds() -> None:
    held_long = (datetime(2020, 1, 1, tzinfo=UTC), day(20))
    assert windows(None, day(21), 3, HOUR) == [(day(18), day(21))]
    assert windows(held_long, day(21), 3, HOUR) == [(day(19, 23), day(21))]
    assert windows(held_long, day(31), 3, HOUR) == [(day(19, 23), day(31))]  # nights were missed
    assert windows(held_long, day(20), 3, HOUR) == [(day(18, 23), day(20))]  # the same day again
    assert windows(held_long, day(21), 3, 0 * HOUR) == [(day(20), day(21))]


def test_a_longer_window_fetches_the_time_before_what_the_lake_holds() -> None:
    assert windows((day(10), day(20)), day(21), 14, HOUR) == [(day(7), day(10)), (day(19, 23), day(21))]
    assert windows((day(19, 23), day(20)), day(21), 14, HOUR) == [(day(7), day(21))]  # they touch
    assert windows((day(20), day(25)), day(15), 5, HOUR) == [(day(10), day(15))]  # nothing held before that day
    with pytest.raises(ValueError, match="window_days is 2: give 3 to 3660"):
        windows(None, day(21), 2, HOUR)


def test_what_is_held_grows_only_without_a_gap(lake: Lake) -> None:
    assert extended(None, [(day(3), day(5))]) == (day(3), day(5))
    assert extended((day(3), day(5)), [(day(1), day(3)), (day(4), day(6))]) == (day(1), day(6))
    assert extended((day(3), day(5)), [(day(1), day(2)), (day(6), day(7))]) == (day(3), day(5))
    write_deltalake(lake.table_uri("interactions"), interactions(("u", "i", 1)))
    assert held(None) is held(lake.table("interactions")) is None
    commit = CommitProperties(app_transactions=[Transaction(*mark) for mark in transactions((day(3), day(5))).items()])
    write_deltalake(lake.table_uri("interactions"), interactions(), mode="append", commit_properties=commit)
    assert held(lake.table("interactions")) == (day(3), day(5))


def clicks(path: Path, *times: object, kind: str = "TEXT") -> str:
    """A shop of one click for each time, which its user is called after."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS interactions (user_id, item_id, event, ts, received_at {kind})")
        rows = [(str(time), "i", "view", "2026-01-01T00:00:00Z", time) for time in times]
        connection.executemany("INSERT INTO interactions VALUES (?, ?, ?, ?, ?)", rows)
    return f"sqlite:///{path}"


def run_day(lake: Lake, source: str, as_of: str, run: str, window_days: int) -> set[str]:
    """Fetch and clean; the users that the lake then holds."""
    clean(lake, fetch(lake, source, SETTINGS, as_of, run, window_days), Settings(), as_of, run)
    rows = lake.rows("interactions")
    return set() if rows is None else set(rows.to_table()["user_id"].to_pylist())


def test_a_row_that_was_committed_after_its_fetch_comes_with_the_next(lake: Lake, tmp_path: Path) -> None:
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
    assert len(fetch(lake, source, SETTINGS, "2026-01-21T00:00:00Z", "r3", 30)["interactions"]) == 1


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        (kind, [form.format(*moment) for moment in ((1, 2), (1, 3), (2, 2), (2, 3))])
        for kind in ("TEXT", "DATETIME", "")
        for form in (
            "2026-01-{0:02} {1:02}:00:00",
            "2026-01-{0:02}T{1:02}:00:00",
            "2026-01-{0:02}T{1:02}:00:00Z",
            "2026-01-{0:02} {1:02}:00:00.000",
            "2026-01-{0:02} {1:02}:00:00+00:00",
        )
    ]
    + [
        (kind, [(1767225600 + 3600 * hours) * unit for hours in (2, 3, 26, 27)])
        for kind, unit in (("INTEGER", 1), ("INTEGER", 1000), ("REAL", 1), ("REAL", 1e6), ("DATETIME", 1000))
    ],
)
def test_the_window_is_cut_in_the_form_of_the_time_column(tmp_path: Path, kind: str, times: list[object]) -> None:
    source = open_source(clicks(tmp_path / "shop.db", *times, kind=kind), SETTINGS)
    batches = list(source.interactions(day(1, 3), day(2, 3)))
    assert pa.Table.from_batches(batches)["user_id"].to_pylist() == [str(time) for time in times[1:3]]


def test_a_column_of_days_is_cut_at_days(tmp_path: Path) -> None:
    source = open_source(clicks(tmp_path / "shop.db", "2026-01-01", "2026-01-02", "2026-01-03", kind="DATE"), SETTINGS)
    batches = list(source.interactions(day(1, 3), day(3, 3)))
    assert pa.Table.from_batches(batches)["user_id"].to_pylist() == ["2026-01-01", "2026-01-02"]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2026-01-01T00:00:00Z", "yesterday"], "holds 'yesterday', which can't be compared"),
        (["2026-01-01T00:00:00+02:00"], r"holds '2026-01-01T00:00:00\+02:00', which"),
        ([1767225600 * 10**9], "holds 1767225600000000000, which"),
        (["2026-01-01 00:00:00", "2026-01-01T00:00:00Z"], "two forms that do not sort by time"),
        ([1767225600, "2026-01-01T00:00:00Z"], "two forms that do not sort by time"),
    ],
)
def test_a_time_column_that_can_not_be_cut_is_refused(
    lake: Lake, tmp_path: Path, times: list[Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fetch(lake, clicks(tmp_path / "shop.db", *times, kind=""), SETTINGS, AS_OF, "run-1", window_days=3)


def test_postgresql_gives_the_same_rows(lake: Lake, postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS interactions")
        connection.execute("CREATE TABLE interactions (event_id text, user_id float, item_id text, event text, "
                           "received_at timestamptz)")  # fmt: skip
        with connection.cursor() as cursor:
            values = [(e, 17850.5, item, kind, at) for e, _, item, kind, at in ROWS]
            cursor.executemany("INSERT INTO interactions VALUES (%s, %s, %s, %s, %s)", values)
    try:
        landed = fetch(lake, postgres, SETTINGS, AS_OF, "run-1", window_days=3)
        found = landed_rows(lake, landed["interactions"][0])
        assert [(row["event_id"], row["user_id"], row["item_id"]) for row in found] == [
            ("e2", "17850.5", "B"),
            ("e3", "17850.5", None),
        ]
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute("DROP TABLE interactions")


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        ("timestamptz", ["2026-01-01 04:00+02", "2026-01-01 05:00+02", "2026-01-02 02:00Z", "2026-01-02 03:00Z"]),
        ("timestamp", ["2026-01-01 02:00", "2026-01-01 03:00", "2026-01-02 02:00", "2026-01-02 03:00"]),
        ("date", ["2025-12-31", "2026-01-01", "2026-01-01", "2026-01-02"]),
        ("text", ["2026-01-01 02:00:00", "2026-01-01 03:00:00.5", "2026-01-02 02:00:00", "2026-01-02 03:00:00"]),
        ("bigint", ["1767232800000", "1767236400000", "1767319200000", "1767322800000"]),
        ("double precision", ["1767232800", "1767236400", "1767319200", "1767322800"]),
        ("numeric", ["1767232800", "1767236400", "1767319200", "1767322800"]),
    ],
)
def test_postgresql_is_cut_in_the_form_of_the_time_column(postgres: str, kind: str, times: list[str]) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA forms")
        try:
            connection.execute(f"CREATE TABLE forms.clicks (number int, received_at {kind})")
            for number, time in enumerate(times):
                row = f"INSERT INTO forms.clicks VALUES ({number}, '{time}')"
                connection.execute(row)
            source = open_source(postgres, SourceSettings(interactions="forms.clicks", items="forms.clicks"))
            batches = list(source.interactions(day(1, 3), day(2, 3)))
            assert pa.Table.from_batches(batches)["number"].to_pylist() == ["1", "2"]
            assert source.whole("items") is not None
        finally:
            connection.execute("DROP SCHEMA forms CASCADE")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "the source is empty"),
        ("sqlite:////nowhere/shop.db", "there is no file '/nowhere/shop.db'"),
        ("/nowhere", "does not exist"),
        ("mongodb://host/x", "is of a kind that can't be read"),
        ("postgresql://me:s3cret@host/x", "set DAWNLIST_SOURCE_PASSWORD instead"),
        ("postgresql://me@127.0.0.1:1/x", "does not answer or refuses"),
    ],
)
def test_an_unusable_source_is_one_clear_line(lake: Lake, url: str, message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message) as error:
        fetch(lake, url, SETTINGS, AS_OF, "run-1", window_days=3)
    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert lake.names("landing", "interactions") == []


def test_a_missing_table_or_column_says_what_there_is(lake: Lake, sqlite: str) -> None:
    with pytest.raises(ValueError, match=r"no table 'clicks' .it has: interactions, items"):
        fetch(lake, sqlite, SourceSettings(interactions="clicks"), AS_OF, "run-1", window_days=3)
    with pytest.raises(ValueError, match=r"no column 'at' to cut the window on .it has: event_id"):
        fetch(lake, sqlite, SourceSettings(time_column="at"), AS_OF, "run-1", window_days=3)


def test_a_first_fetch_that_finds_nothing_names_the_newest_row(lake: Lake, sqlite: str) -> None:
    with pytest.raises(ValueError, match="its newest is of 2026-01-02T00:00:00"):
        fetch(lake, sqlite, SETTINGS, "2027-01-01T00:00:00Z", "run-1", window_days=3)


def test_a_file_that_is_no_database_is_one_clear_line(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_bytes(b"no database" * 500)
    with pytest.raises(ValueError, match=r"can't be read \(file is not a database\)"):
        fetch(lake, f"sqlite:///{tmp_path / 'shop.db'}", SETTINGS, AS_OF, "run-1", window_days=3)


@pytest.mark.parametrize("folder", ["a?b", "a#b", "a%20b", "a b"])
def test_a_path_may_have_any_name(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    source = open_source(clicks(tmp_path / folder / "shop.db", "2026-01-01T00:00:00Z"), SETTINGS)
    assert sum(batch.num_rows for batch in source.interactions(day(1), day(2))) == 1


def test_what_a_broken_upload_left_is_landed_again(lake: Lake, sqlite: str) -> None:
    [name] = fetch(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)["interactions"]
    whole = lake.read(*name.split("/")) or b""
    lake.write(whole[: len(whole) // 2], *name.split("/"))
    assert fetch(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=3)["rows"]["interactions"] == 2
    assert len(landed_rows(lake, name)) == 2


def test_reading_a_database_changes_nothing(sqlite: str) -> None:
    before = Path(sqlite.removeprefix("sqlite:///")).read_bytes()
    assert sum(batch.num_rows for batch in open_source(sqlite, SETTINGS).interactions(INSIDE, INSIDE)) == 0
    assert Path(sqlite.removeprefix("sqlite:///")).read_bytes() == before
