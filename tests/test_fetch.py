import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake

from components.fetch.landing import fetch, window
from components.fetch.sources import open_source
from components.lake import Lake
from components.settings import SourceSettings
from tests.literal import interactions

AS_OF = "2026-01-02T00:00:00Z"
INSIDE = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = SourceSettings()
ROWS = [
    ("e1", 17850, "A", "view", "2025-12-31T23:59:59.999999Z"),
    ("e2", "17850.0", "B", "view", "2026-01-01T00:00:00.000000Z"),
    ("e3", 3.5, None, "view", "2026-01-01T23:59:59.999999Z"),
    ("e4", "x", "C", "view", "2026-01-02T00:00:00.000000Z"),
]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE interactions (event_id, user_id, item_id, event, received_at TEXT)")
        connection.executemany("INSERT INTO interactions VALUES (?, ?, ?, ?, ?)", ROWS)
        connection.execute("CREATE TABLE items (item_id, title)")
        connection.execute("INSERT INTO items VALUES ('A', 'Apple')")
    return f"sqlite:///{tmp_path / 'shop.db'}"


def landed_rows(lake: Lake, name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(lake.path(*name.split("/")), filesystem=lake.filesystem).to_pylist()
    return rows


def test_only_the_window_lands_with_the_values_as_they_were(lake: Lake, sqlite: str) -> None:
    landed = fetch(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=1)
    [name] = landed["interactions"]
    assert name == "landing/interactions/20260101T000000Z_20260102T000000Z/run-1.parquet"
    assert [(row["event_id"], row["user_id"], row["item_id"]) for row in landed_rows(lake, name)] == [
        ("e2", "17850.0", "B"),
        ("e3", "3.5", None),
    ]
    assert landed["rows"] == {"interactions": 2, "items": 1}
    assert landed["window"] == ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]
    assert landed["users"] is None  # this shop has no users table
    assert landed_rows(lake, landed["items"]) == [{"item_id": "A", "title": "Apple"}]


def test_a_retry_leaves_the_landing_object_as_it_is(lake: Lake, sqlite: str) -> None:
    first = fetch(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=1)
    with sqlite3.connect(sqlite.removeprefix("sqlite:///")) as connection:
        connection.execute("DELETE FROM interactions")
    assert fetch(lake, sqlite, SETTINGS, AS_OF, "run-1", window_days=1)["rows"] == first["rows"]


def test_the_window_goes_on_where_the_last_commit_ended(lake: Lake) -> None:
    reached = datetime(2025, 12, 30, tzinfo=UTC)
    assert window(lake, INSIDE, 365) == (datetime(2025, 1, 1, tzinfo=UTC), True)
    commit = CommitProperties(app_transactions=[Transaction("watermark", int(reached.timestamp()))])
    write_deltalake(lake.table_uri("interactions"), interactions(("u", "i", 1)), commit_properties=commit)
    assert window(lake, INSIDE, 365) == (reached, False)
    assert window(lake, reached, 365) == (datetime(2025, 12, 29, tzinfo=UTC), False)  # the same day again


def test_postgresql_gives_the_same_rows(lake: Lake, postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS interactions")
        connection.execute("CREATE TABLE interactions (event_id text, user_id float, item_id text, event text, "
                           "received_at timestamptz)")  # fmt: skip
        with connection.cursor() as cursor:
            values = [(e, 17850.5, item, kind, at) for e, _, item, kind, at in ROWS]
            cursor.executemany("INSERT INTO interactions VALUES (%s, %s, %s, %s, %s)", values)
    try:
        landed = fetch(lake, postgres, SETTINGS, AS_OF, "run-1", window_days=1)
        found = landed_rows(lake, landed["interactions"][0])
        assert [(row["event_id"], row["user_id"], row["item_id"]) for row in found] == [
            ("e2", "17850.5", "B"),
            ("e3", "17850.5", None),
        ]
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute("DROP TABLE interactions")


def test_movielens_dat_without_users(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::7::9::1767225600\n1::8::3::1767312000\n2::7::x::not a time\n")
    (tmp_path / "movies.dat").write_text('7::He said "x", l\'été (1999)::Drama|Comedy\n', encoding="utf-8")
    landed = fetch(lake, str(tmp_path), SETTINGS, AS_OF, "run-1", window_days=1)
    assert [row["item_id"] for row in landed_rows(lake, landed["interactions"][0])] == ["7", "7"]
    assert landed_rows(lake, landed["items"]) == [
        {"item_id": "7", "title": 'He said "x", l\'été (1999)', "genres": "Drama|Comedy"}
    ]
    assert landed["users"] is None


def test_a_folder_of_daily_files_gives_whole_days(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "interactions").mkdir()
    for day in ("2025-12-31", "2026-01-01", "2026-01-02"):
        (tmp_path / "interactions" / f"{day}.csv").write_text(f"user_id,item_id,event,ts\n{day},a,view,{day}\n")
    landed = fetch(lake, str(tmp_path), SETTINGS, AS_OF, "run-1", window_days=1)
    assert [row["user_id"] for row in landed_rows(lake, landed["interactions"][0])] == ["2026-01-01"]


def test_one_csv_and_one_parquet_are_cut_by_event_time(lake: Lake, tmp_path: Path) -> None:
    text = "visitor,item_id,event,ts\na,1,view,1767225600000\nb,1,view,2026-01-02T00:00:00+00:00\n"
    (tmp_path / "clicks.csv").write_text(text)
    landed = fetch(lake, str(tmp_path / "clicks.csv"), SETTINGS, AS_OF, "run-1", window_days=1)
    assert [row["visitor"] for row in landed_rows(lake, landed["interactions"][0])] == ["a"]
    pq.write_table(interactions(("a", "1", 24 * 29.5), ("b", "1", 24 * 31)), tmp_path / "clicks.parquet")
    landed = fetch(lake, str(tmp_path / "clicks.parquet"), SETTINGS, AS_OF, "run-2", window_days=1)
    assert [row["user_id"] for row in landed_rows(lake, landed["interactions"][0])] == ["a"]


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
        fetch(lake, url, SETTINGS, AS_OF, "run-1", window_days=1)
    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert lake.names("landing", "interactions") == []


def test_a_missing_table_or_column_says_what_there_is(lake: Lake, sqlite: str) -> None:
    with pytest.raises(ValueError, match=r"no table 'clicks' .it has: interactions, items"):
        fetch(lake, sqlite, SourceSettings(interactions="clicks"), AS_OF, "run-1", window_days=1)
    with pytest.raises(ValueError, match=r"no column 'at' to cut the window on .it has: event_id"):
        fetch(lake, sqlite, SourceSettings(time_column="at"), AS_OF, "run-1", window_days=1)


def test_a_first_fetch_that_finds_nothing_names_the_newest_row(lake: Lake, sqlite: str) -> None:
    with pytest.raises(ValueError, match="its newest is of 2026-01-02T00:00:00"):
        fetch(lake, sqlite, SETTINGS, "2027-01-01T00:00:00Z", "run-1", window_days=1)


def test_a_truncated_parquet_is_one_clear_line(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "clicks.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match="can't be read"):
        fetch(lake, str(tmp_path / "clicks.parquet"), SETTINGS, AS_OF, "run-1", window_days=1)


def test_reading_a_database_changes_nothing(sqlite: str) -> None:
    before = Path(sqlite.removeprefix("sqlite:///")).read_bytes()
    assert sum(batch.num_rows for batch in open_source(sqlite, SETTINGS).interactions(INSIDE, INSIDE)) == 0
    assert Path(sqlite.removeprefix("sqlite:///")).read_bytes() == before
