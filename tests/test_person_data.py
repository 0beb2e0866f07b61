"""Export and erasure of one person: all places, all ids, and nobody else."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import redis
from deltalake import write_deltalake

from dawnlist.events import person_data
from dawnlist.events.person_data import erase_person, iter_person_data
from dawnlist.events.stream_keys import WORKER_GROUP
from dawnlist.explore.lake_sql import query_lake
from dawnlist.lake.lake import Lake
from dawnlist.lake.row_deletion import delete_rows
from dawnlist.serving.collector.firehose import Firehose
from dawnlist.serving.collector.worker import Worker
from dawnlist.settings import Settings
from dawnlist.store.recent import record_event
from dawnlist.upkeep.expiry import Expiry
from tests.support.collecting import KEYS, read_stream
from tests.support.kfp_api import dawnlist
from tests.test_firehose import NOW

TIME = {"time": NOW, "received": NOW}


@pytest.fixture
def store(valkey: str) -> Iterator[Any]:
    with redis.from_url(valkey) as client:
        yield client


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def put(store: Any, stream: str, record: Any, **more: Any) -> None:
    store.xadd(stream, {"e": orjson.dumps(record), **more})


def fill(store: Any, lake: Lake) -> None:
    """Give ann (and her b1) and bob a row in each table, an entry in each stream, and keys."""
    for user in ("ann", "bob"):
        put(
            store,
            KEYS.enriched,
            {"id": f"{user}-1", "type": "view", "user": user, "item": "i1", **TIME},
        )
        put(store, KEYS.dead, {"type": "No", "user": user}, reason="type: wrong")
    put(
        store,
        KEYS.enriched,
        {"id": "b1-1", "type": "view", "anonymous": "b1", "item": "i1", **TIME},
    )
    put(
        store,
        KEYS.enriched,
        {"id": "b2-1", "type": "view", "anonymous": "b2", "item": "i1", **TIME},
    )
    put(
        store, KEYS.enriched, {"id": "a", "type": "alias", "user": "ann", "anonymous": "b1", **TIME}
    )
    answer = {"id": "r", "time": NOW, "items": ["i1"], "tier": "list", "token": "1-a"}
    put(store, KEYS.shown, [{**answer, "user": "ann"}, {**answer, "user": "bob"}])
    put(store, KEYS.dead, "no object", reason="an event is a JSON object")
    Firehose(store, lake, "shop").land_everything()
    for user in ("ann", "bob"):
        record = {"id": f"{user}-2", "type": "view", "user": user, "item": "i2", **TIME}
        put(store, KEYS.accepted, record)
        put(store, KEYS.enriched, record)
        put(store, KEYS.dead, {"user": user}, reason="wrong")
        record_event(store, "shop", user, "i3", "view", NOW)
    put(store, KEYS.shown, [{**answer, "user": "ann"}, {**answer, "user": "bob"}])
    record_event(store, "shop", "b1", "i3", "view", NOW)
    store.set(KEYS.alias("b1"), "ann")
    store.set(KEYS.visit("ann"), "1 v")


EVERYTHING = {
    "table events": 3, "table shown": 1, "table dead_events": 1, "stream accepted": 1, "stream enriched": 1,
    "stream shown": 1, "stream dead": 1,
}  # fmt: skip


def count_places(store: Any, lake: Lake, user: str) -> dict[str, int]:
    places: dict[str, int] = {}
    for entry in iter_person_data(store, lake, "shop", user):
        places[entry["place"]] = places.get(entry["place"], 0) + 1
    return places


def test_everything_of_a_person_is_exported_and_erased(
    store: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_data, "PASS_SECONDS", 0.0)
    fill(store, lake)
    assert count_places(store, lake, "ann") == EVERYTHING | {"recent events": 2}
    bob = count_places(store, lake, "bob")
    assert bob == EVERYTHING | {"table events": 1, "recent events": 1}
    assert erase_person(store, lake, "shop", "ann") == EVERYTHING | {"keys of the store": 4}
    assert count_places(store, lake, "ann") == {}
    assert count_places(store, lake, "bob") == bob
    assert sum(erase_person(store, lake, "shop", "nobody").values()) == 0


def test_a_dead_letter_of_any_form_is_in_nobodys_way(store: Any, lake: Lake) -> None:
    for anonymous in (["b1"], {"b": 1}, None, 7):
        put(
            store,
            KEYS.dead,
            {"type": "view", "user": "ann", "anonymous": anonymous},
            reason="wrong",
        )
        put(
            store,
            KEYS.dead,
            {"type": "view", "user": ["ann"], "anonymous": anonymous},
            reason="wrong",
        )
    assert count_places(store, lake, "ann") == {"stream dead": 4}


def test_what_was_erased_does_not_come_back_by_a_firehose_that_was_killed(
    store: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_data, "PASS_SECONDS", 0.0)
    for event_id, user in (("1", "bob"), ("2", "ann"), ("3", "eve")):
        put(store, KEYS.enriched, {"id": event_id, "type": "view", "user": user, **TIME})
    firehose = Firehose(store, lake, "shop")
    landing = firehose._landings[0]
    firehose._write_files(
        landing, firehose._read_entries(landing.stream, (0, 0))
    )  # and killed here
    assert erase_person(store, lake, "shop", "ann")["stream enriched"] == 1
    Firehose(store, lake, "shop").land_everything()
    rows = lake.rows("events")
    assert rows is not None
    assert rows.to_table()["user_id"].to_pylist() == ["bob", "eve"]


def test_an_event_that_a_worker_holds_does_not_come_back(
    store: Any, valkey: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_data, "PASS_SECONDS", 0.0)
    worker = Worker(store, "shop", Settings())
    worker.ensure_group()
    put(store, KEYS.accepted, {"id": "1", "type": "view", "user": "ann", "item": "i1", **TIME})
    put(store, KEYS.accepted, {"id": "2", "type": "view", "user": "bob", "item": "i1", **TIME})
    process = worker._process
    erased: list[dict[str, int]] = []

    def process_after_an_erasure(entries: Any) -> None:
        erased.append(erase_person(store, lake, "shop", "ann"))
        process(entries)

    monkeypatch.setattr(worker, "_process", process_after_an_erasure)
    worker.work_once()
    assert erased[0]["stream accepted"] == 1
    assert [record["id"] for record in read_stream(valkey, KEYS.enriched)] == ["2"]
    assert store.xpending(KEYS.accepted, WORKER_GROUP)["pending"] == 0


def test_the_position_of_the_firehose_survives_an_erasure(
    store: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_data, "PASS_SECONDS", 0.0)
    fill(store, lake)
    erase_person(store, lake, "shop", "ann")
    put(store, KEYS.enriched, {"id": "last", "type": "view", "user": "eve", **TIME})
    Firehose(store, lake, "shop").land_everything()
    rows = lake.rows("events")
    assert rows is not None
    assert sorted(rows.to_table()["event_id"].to_pylist()) == ["b2-1", "bob-1", "bob-2", "last"]


def test_events_that_never_end_are_told(
    store: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_data, "PASS_SECONDS", 0.0)
    erase_once = person_data._erase_once

    def erase_while_events_come(*arguments: Any) -> dict[str, int]:
        put(store, KEYS.enriched, {"id": "x", "type": "view", "user": "ann", **TIME})
        return erase_once(*arguments)

    monkeypatch.setattr(person_data, "_erase_once", erase_while_events_come)
    with pytest.raises(RuntimeError, match="still come after 5 passes"):
        erase_person(store, lake, "shop", "ann")
    assert store.xlen(KEYS.enriched) == 0


def test_the_commands(valkey: str, store: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_data, "PASS_SECONDS", 0.0)
    fill(store, lake)
    words = (
        "--user",
        "ann",
        "--redis",
        valkey,
        "--namespace",
        "shop",
        "--lake",
        lake.uri.removesuffix("/shop"),
    )
    lines = dawnlist("events", "export", *words).out.splitlines()
    assert len(lines) == sum(EVERYTHING.values()) + 2
    assert json.loads(lines[0])["place"] == "table events"
    assert "table events: 3 erased" in dawnlist("events", "erase", *words, "--yes").out
    assert dawnlist("events", "export", *words).out == ""


def test_old_days_of_the_collectors_tables_expire(store: Any, lake: Lake) -> None:
    """NOW is 2026-01-01: a day is kept for exactly as many days as the settings say."""
    fill(store, lake)
    noon = datetime.fromtimestamp(NOW, UTC) + timedelta(hours=12)
    for days_later, rows in ((3, 0), (4, 5)):
        settled = noon + timedelta(days=days_later)
        expiry = Expiry(lake, noon, settled, dry_run=False)
        assert expiry.expire_collected({"events": 3, "none": 1}) == {"events": rows}
    left = lake.rows("events")
    assert left is not None and left.count_rows() == 0


def test_rows_are_deleted_and_texts_can_still_be_compared(lake: Lake) -> None:
    days = pa.array([date(2026, 1, 1), date(2026, 1, 1), date(2026, 1, 2)])
    rows = pa.table({"id": ["a", "b", "c"], "tags": [["x"], None, ["y"]], "event_date": days})
    write_deltalake(lake.table_uri("t"), rows, partition_by=["event_date"])
    assert delete_rows(lake, "t", pc.field("id") == "z") == 0
    assert read_version(lake) == 0
    assert delete_rows(lake, "t", pc.field("id") == "a") == 1
    assert delete_rows(lake, "t", pc.field("id") == "c") == 1  # the whole file
    table = lake.rows("t")
    assert table is not None
    left = [{"id": "b", "tags": None, "event_date": date(2026, 1, 1)}]
    assert table.to_table(filter=pc.field("id") == "b").to_pylist() == left
    assert (
        query_lake(lake, "SELECT * FROM t WHERE id = 'b' AND event_date = '2026-01-01'").to_pylist()
        == left
    )
    opened = lake.table("t")
    assert opened is not None and opened.get_add_actions(flatten=True).num_rows == 1
    assert delete_rows(lake, "none", pc.field("id") == "a") == 0


def read_version(lake: Lake) -> int:
    table = lake.table("t")
    assert table is not None
    return int(table.version())


def test_files_of_partitions_are_replaced_or_refused(lake: Lake) -> None:
    rows = pa.table(
        {
            "id": ["a", "b", "c", "d", "e", "f"],
            "part": ["ü%/x", "ü%/x", None, None, "plain", "plain"],
        }
    )
    write_deltalake(lake.table_uri("t"), rows, partition_by=["part"])
    with pytest.raises(ValueError, match="whose name the log encodes"):
        delete_rows(lake, "t", pc.field("id") == "a")
    assert delete_rows(lake, "t", pc.field("id").isin(["c", "e"])) == 2
    table = lake.rows("t")
    assert table is not None
    left = {row["id"]: row["part"] for row in table.to_table().to_pylist()}
    assert left == {"a": "ü%/x", "b": "ü%/x", "d": None, "f": "plain"}


def test_rows_for_which_the_condition_is_null_stay(lake: Lake) -> None:
    write_deltalake(lake.table_uri("t"), pa.table({"id": ["a", None]}))
    assert delete_rows(lake, "t", pc.field("id") == "a") == 1
    table = lake.rows("t")
    assert table is not None and table.to_table().to_pylist() == [{"id": None}]


def test_a_table_without_days_can_be_queried_after_somebodys_delete(lake: Lake) -> None:
    write_deltalake(lake.table_uri("items"), pa.table({"item_id": ["a", "b"], "title": ["A", "B"]}))
    opened = lake.table("items")
    assert opened is not None
    opened.delete("item_id = 'a'")  # delta-rs writes the other row as string views
    answer = query_lake(
        lake, "SELECT item_id FROM items WHERE title = 'B' AND item_id IN ('a', 'b')"
    )
    assert answer.to_pylist() == [{"item_id": "b"}]
