"""The collector's events as a source of fetch: alone, and beside another source."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.collected.collected_events import CollectedEvents
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.fetch.sources import open_source
from dawnlist.events.event_table import build_event_rows
from dawnlist.lake.commits import append_rows, commit_with_retries
from dawnlist.lake.lake import Lake
from dawnlist.schema import EVENTS_SCHEMA
from dawnlist.settings import Settings, SourceSettings

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 1, 2, tzinfo=UTC)
NOON = START + timedelta(hours=12)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def land(lake: Lake, *records: dict[str, Any]) -> None:
    """Put records into the table as the firehose does."""
    import orjson

    rows = []
    for number, fields in enumerate(records):
        record = {"id": f"e{number}", "type": "view", "user": "u1", "item": "i1", "time": NOON.timestamp(),
                  "received": NOON.timestamp(), **fields}  # fmt: skip
        kept = {name: value for name, value in record.items() if value is not None}
        rows += build_event_rows(f"{number + 1}-0".encode(), {b"e": orjson.dumps(kept)})
    table = pa.Table.from_pylist(rows, EVENTS_SCHEMA)
    commit_with_retries(
        lake, "events", lambda open_table: append_rows(lake, "events", open_table, table, {}, {})
    )


def read(
    lake: Lake, start: datetime = START, end: datetime = END, **settings: Any
) -> list[dict[str, Any]]:
    source = CollectedEvents(lake, SourceSettings(**settings))
    rows: list[dict[str, Any]] = pa.Table.from_batches(source.interactions(start, end)).to_pylist()
    return rows


def interactions(lake: Lake) -> list[tuple[str, str, str, str]]:
    rows = lake.rows("interactions")
    assert rows is not None
    names = ["event_id", "user_id", "item_id", "event_type"]
    return sorted(tuple(row[name] for name in names) for row in rows.to_table(names).to_pylist())


def run_day(lake: Lake, source: str, **settings: Any) -> dict[str, Any]:
    shop = Settings.model_validate({"source": {"check_days": 0, **settings}})
    landed = fetch_source(lake, source, shop.source, END, "r1", 3)
    clean_landed_objects(lake, landed, shop, END, "r1")
    return landed


def test_only_events_on_items_that_a_model_learns_from_are_read(lake: Lake) -> None:
    land(
        lake,
        {"type": "purchase", "quantity": 2},
        {"type": "impression"},
        {"item": None},
        {"type": "mood", "mood": "love", "mood_weight": 3.0},
        {"type": "mood", "mood": "angry", "mood_weight": -2.0},
        {"type": "mood", "mood": "sleepy"},
        {"type": "addtocart"},
        {"type": "mood", "mood": "calm", "mood_weight": 0.5},
        {"type": "mood", "mood": "dull", "mood_weight": 0.0},
    )
    types = [(row["event_id"], row["event_type"]) for row in read(lake)]
    assert types == [("e0", "purchase"), ("e3", "like"), ("e7", "like")]
    types = [
        (row["event_id"], row["event_type"]) for row in read(lake, events={"addtocart": "cart"})
    ]
    assert types == [("e0", "purchase"), ("e3", "like"), ("e6", "addtocart"), ("e7", "like")]
    assert read(lake)[0]["quantity"] == 2


def test_a_window_is_of_when_the_collector_took_them(lake: Lake) -> None:
    microsecond = timedelta(microseconds=1)
    for moment in (START - microsecond, START, END - microsecond, END):
        land(
            lake,
            {
                "received": moment.timestamp(),
                "time": (moment - timedelta(days=7)).timestamp(),
                "id": f"{moment}",
            },
        )
    assert {row["event_id"] for row in read(lake)} == {str(START), str(END - microsecond)}


def test_anonymous_events_get_the_user_of_a_later_login(lake: Lake) -> None:
    land(
        lake,
        {"user": None, "anonymous": "b1"},
        {"user": None, "anonymous": "b2"},
        {
            "type": "alias",
            "anonymous": "b1",
            "user": "u7",
            "item": None,
            "received": NOON.timestamp() + 60,
        },
    )
    assert [row["user_id"] for row in read(lake)] == ["u7", None]
    # A login after the window is not known yet.
    assert [row["user_id"] for row in read(lake, end=NOON + timedelta(seconds=60))] == [None, None]


def test_a_lake_without_events_has_no_rows(lake: Lake) -> None:
    assert read(lake) == []
    source = CollectedEvents(lake, SourceSettings())
    assert not source.gives_whole_days
    assert source.describe_newest() is None and source.count_rows_by_day([date(2026, 1, 1)]) == {
        date(2026, 1, 1): 0
    }


def test_the_events_alone_become_interactions(lake: Lake) -> None:
    land(lake, {}, {"id": "other", "type": "cart", "item": "i2"})
    landed = run_day(lake, "events")
    assert interactions(lake) == [("e0", "u1", "i1", "view"), ("other", "u1", "i2", "cart")]
    assert landed["arrivals"] == {"2026-01-01T12:00:00Z": 2}
    source = open_source("events", SourceSettings(), lake)
    assert source.count_rows_by_day([date(2026, 1, 1)]) == {date(2026, 1, 1): 2}
    assert source.describe_newest() == "2026-01-01T12:00:00Z"


def write_clicks(folder: Path) -> str:
    path = folder / "clicks.csv"
    path.write_text(
        "event_id,user_id,item_id,event,ts\n"
        "e0,u1,i1,view,2026-01-01T12:00:00Z\n"
        "db,u2,i2,cart,2026-01-01T13:00:00Z\n"
    )
    return str(path)


def test_beside_another_source_an_event_of_both_counts_once(lake: Lake, tmp_path: Path) -> None:
    land(lake, {}, {"id": "own", "item": "i3"})
    landed = run_day(lake, write_clicks(tmp_path), collected_events=True)
    assert interactions(lake) == [
        ("db", "u2", "i2", "cart"), ("e0", "u1", "i1", "view"), ("own", "u1", "i3", "view"),
    ]  # fmt: skip
    assert len(landed["interactions"]) == 2 and landed["rows"]["interactions"] == 4
    assert landed["arrivals"] == {"2026-01-01T12:00:00Z": 3, "2026-01-01T13:00:00Z": 1}
    group = open_source(write_clicks(tmp_path), SourceSettings(collected_events=True), lake)
    assert group.count_rows_by_day([date(2026, 1, 1)]) == {date(2026, 1, 1): 4}


def test_without_the_setting_the_events_are_left_alone(lake: Lake, tmp_path: Path) -> None:
    land(lake, {"id": "own", "item": "i3"})
    run_day(lake, write_clicks(tmp_path))
    assert interactions(lake) == [("db", "u2", "i2", "cart"), ("e0", "u1", "i1", "view")]
