"""`dawnlist check`: what becomes of a source, before a run reads it."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawnlist.components.fetch.database import DatabaseSource
from dawnlist.components.fetch.landing import fetch_windows
from dawnlist.components.fetch.sources import open_main_source
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.check.source_check import check_source
from dawnlist.rows.column_aliases import match_interaction_columns
from dawnlist.settings import Settings, SourceSettings
from tests.support.kfp_api import dawnlist

NOW = datetime.now(UTC).replace(microsecond=0)
TIMES = [(NOW - timedelta(days=1, minutes=minute)).isoformat() for minute in range(8)]


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Eight rows: one is of an unknown event, one has no user; the time column has no index."""
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE interactions (visitor, sku, event, received_at, note)")
        names = ["view", "view", "VIEW ", "cart", "gaze", "view", "view", "view"]
        rows = []
        for number, (name, time) in enumerate(zip(names, TIMES, strict=True)):
            rows.append((None if number == 5 else f"u{number}", f"i{number}", name, time, "x" * 99))
        connection.executemany("INSERT INTO interactions VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("CREATE TABLE items (id, title, price)")
        connection.execute("INSERT INTO items VALUES ('i0', 'Zero', '1,5'), (NULL, 'None', '2')")
    return f"sqlite:///{tmp_path / 'shop.db'}"


def make_settings(**source: Any) -> Settings:
    names = {"user_id": "visitor", "event_time": ["received_at"], **source.pop("columns", {})}
    return Settings.model_validate(
        {"source": {"columns": names, **source}, "items": {"columns": {"price": "number"}}}
    )


def test_a_database_is_checked_as_a_run_reads_it(database: str) -> None:
    check = check_source(database, make_settings())
    assert (check.interactions.rows, check.interactions.rejected) == (8, 2)
    assert {column.name: column.read_as for column in check.interactions.columns} == {
        "visitor": ["user_id"],
        "sku": ["item_id"],
        "event": ["event_type"],
        "received_at": ["event_time", "the time of arrival"],
        "note": [],
    }
    assert check.interactions.columns[0].example == "u0"
    assert check.events == {"view": 5, "VIEW ": 1, "cart": 1, "gaze": 1}
    assert sorted(check.reasons.values()) == [1, 1]
    assert sorted(check.reasons) == ["event unknown", "user_id missing"]
    assert len(check.clean_rows) == 5
    assert {row["user_id"] for row in check.clean_rows} <= {f"u{number}" for number in range(8)}
    assert check.items is not None and (check.items.rows, check.items.rejected) == (2, 1)
    assert check.items.columns[2].read_as == ["price"]
    assert check.users is None
    assert "received_at of interactions has no index" in check.time_index


def test_an_index_that_begins_with_the_time_counts(database: str, tmp_path: Path) -> None:
    source = DatabaseSource(database, make_settings().source)
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE INDEX other ON interactions (sku, received_at)")
        assert "has no index that begins with it" in source.describe_time_index()
        connection.execute("CREATE INDEX ours ON interactions (received_at, sku)")
        assert source.describe_time_index() == "received_at of interactions has an index"


@pytest.mark.parametrize("rows", [1, 7, 8, 9])
def test_the_sample_is_bounded(database: str, tmp_path: Path, rows: int) -> None:
    assert check_source(database, make_settings(), rows).interactions.rows == min(rows, 8)
    file = tmp_path / "clicks.parquet"
    table = pa.table(
        {"user_id": ["u"] * 8, "item_id": ["i"] * 8, "event": ["view"] * 8, "ts": TIMES}
    )
    pq.write_table(table, file, row_group_size=3)
    check = check_source(str(file), Settings(), rows)
    assert check.interactions.rows == min(rows, 8)
    assert check.time_index == "files have no index, so each window reads all of them"


def test_of_daily_files_the_newest_is_looked_at(tmp_path: Path) -> None:
    for day in ("2026-01-01", "2026-01-02"):
        text = f"user_id,item_id,event,ts\nu,{day},view,{day}T10:00:00Z\n"
        (tmp_path / f"{day}.csv").write_text(text)
    check = check_source(str(tmp_path), Settings())
    assert [row["item_id"] for row in check.clean_rows] == ["2026-01-02"]
    assert "named by day" in check.time_index


def test_the_command_prints_tables_or_json(database: str, tmp_path: Path) -> None:
    settings = tmp_path / "shop.yaml"
    settings.write_text("source: {columns: {user_id: visitor, event_time: received_at}}\n")
    words = ("check", "--source", database, "--settings", str(settings))
    text = dawnlist(*words).out
    assert "rejected: 2 of 8 rows (25.0%)" in text
    assert "gaze" in text and "unknown, rejected" in text and "users: the source has none" in text
    answer = json.loads(dawnlist(*words, "--format", "json").out)
    assert answer["interactions"]["rejected"] == 2
    assert answer["clean_rows"][0]["event_time"].startswith(f"{NOW - timedelta(days=1):%Y-%m-%d}")


def test_all_missing_columns_are_named_at_once_before_rows_are_read(
    database: str, tmp_path: Path
) -> None:
    message = (
        r"table 'interactions' has no column for user_id and none for event_time among 'visitor', 'sku', "
        r".*source.columns: \{user_id: \[its name\], event_time: \[its name\]\}"
    )
    with pytest.raises(ValueError, match=message):
        fetch_windows(
            Lake.open(str(tmp_path), "shop"), open_main_source(database, SourceSettings()), [], "r1"
        )
    with pytest.raises(ValueError, match="user_id and none for event_time"):
        check_source(database, Settings())
    every = (
        "x has no column for user_id and none for item_id and none for event_time and none for event_type "
        "among 'a'.*; or set source.default_event"
    )
    with pytest.raises(ValueError, match=every):
        match_interaction_columns(["a"], SourceSettings(), "x")


def test_a_wrong_setting_is_told_before_a_store_starts(database: str, tmp_path: Path) -> None:
    settings = tmp_path / "shop.yaml"
    settings.write_text("source: {columnz: 3}\n")
    home = tmp_path / "home"
    words = (
        "run",
        "--local",
        "--source",
        database,
        "--settings",
        str(settings),
        "--home",
        str(home),
    )
    assert "source.columnz is 3: there is no such name" in dawnlist(*words).err
    assert not home.exists()


@pytest.mark.parametrize(
    ("document", "values"),
    [
        ({"source": {"columns": {"user_id": "visitor"}}}, {"user_id": ["visitor"]}),
        ({"source": {"columns": {"user_id": ["a", "b"]}}}, {"user_id": ["a", "b"]}),
        ({"source": {"columns": {"event_id": []}}}, {"event_id": []}),
    ],
)
def test_a_single_value_is_a_list_of_one(document: dict[str, Any], values: dict[str, Any]) -> None:
    assert Settings.model_validate(document).source.columns == values


def test_single_values_of_other_sections_are_lists_too() -> None:
    settings = Settings.model_validate(
        {
            "items": {"blocked": "i1"},
            "collector": {"browser_keys": {"pk_shop": "https://shop.example"}},
        }
    )
    assert settings.items.blocked == ["i1"]
    assert settings.collector.browser_keys == {"pk_shop": ["https://shop.example"]}
    with pytest.raises(ValueError, match="blocked"):
        Settings.model_validate({"items": {"blocked": {"i1": 1}}})
    with pytest.raises(ValueError, match="blocked"):
        Settings.model_validate({"items": {"blocked": None}})
