"""The firehose: every enriched event is in the lake exactly once, whenever it is killed."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from dawnlist.explore.lake_sql import query_lake
from dawnlist.lake.lake import Lake
from dawnlist.serving.collector import firehose as firehose_module
from dawnlist.serving.collector.firehose import Firehose
from dawnlist.upkeep.compaction import compact_table
from tests.support.collecting import KEYS, count_entries

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.fixture
def store(valkey: str) -> Iterator[Any]:
    with redis.from_url(valkey) as client:
        yield client


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


def put(store: Any, *ids: str, **fields: Any) -> None:
    for event_id in ids:
        record = {
            "id": event_id,
            "type": "view",
            "user": "u1",
            "time": NOW,
            "received": NOW + 1,
            **fields,
        }
        store.xadd(KEYS.enriched, {"e": orjson.dumps(record)})


def landed(lake: Lake) -> list[str]:
    rows = lake.rows("events")
    return [] if rows is None else sorted(rows.to_table()["event_id"].to_pylist())


def test_events_and_dead_letters_land(store: Any, valkey: str, lake: Lake) -> None:
    put(
        store,
        "a",
        item="i1",
        mood="love",
        mood_weight=3.0,
        position=2,
        properties={"x": 1},
        is_program=True,
    )
    put(store, "b", time=NOW - 86_400)
    store.xadd(KEYS.dead, {"e": b"{}", "reason": "type: missing"})
    assert Firehose(store, lake, "shop").land_everything() == 3
    for stream in (KEYS.enriched, KEYS.dead):
        assert count_entries(valkey, stream) == 0
    sql = """
    SELECT event_id, user_id, item_id, mood_weight, position, properties, is_program, event_date::VARCHAR AS day
    FROM events ORDER BY 1
    """
    first, second = query_lake(lake, sql).to_pylist()
    assert first == {
        "event_id": "a", "user_id": "u1", "item_id": "i1", "mood_weight": 3.0, "position": 2, "properties": '{"x":1}',
        "is_program": True, "day": "2026-01-01",
    }  # fmt: skip
    assert (second["event_id"], second["item_id"], second["day"]) == ("b", None, "2025-12-31")
    assert query_lake(lake, "SELECT reason FROM dead_events").to_pylist() == [
        {"reason": "type: missing"}
    ]


def test_a_table_without_events_can_be_asked(lake: Lake) -> None:
    lake.write(b"x", "landing", "interactions", "x")
    assert query_lake(lake, "SELECT count(*) AS n FROM events").to_pylist() == [{"n": 0}]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("point", ["_write_files", "add_files", "_trim"])
def test_a_firehose_that_is_killed_loses_and_doubles_nothing(
    store: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """It is killed before or after each thing that it does; meanwhile more events come."""
    put(store, "a", "b")
    for is_before in (True, False):
        with monkeypatch.context() as patch:
            owner = firehose_module if point == "add_files" else Firehose
            original = getattr(owner, point)

            def die(*arguments: Any, original: Any = original, is_before: bool = is_before) -> None:
                if not is_before:
                    original(*arguments)
                raise Killed

            patch.setattr(owner, point, die)
            with pytest.raises(Killed):
                Firehose(store, lake, "shop").land_everything()
        put(store, f"{is_before}")
    Firehose(store, lake, "shop").land_everything()
    assert landed(lake) == ["False", "True", "a", "b"]
    assert store.xlen(KEYS.enriched) == 0


def test_of_two_firehoses_with_the_same_entries_one_lands_them(
    store: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a", "b")
    slow, quick = Firehose(store, lake, "shop"), Firehose(store, lake, "shop")
    original = Firehose._write_files

    def write_slowly(self: Firehose, *arguments: Any) -> Any:
        files = original(self, *arguments)
        if self is slow:
            put(store, "c")
            quick.land_everything()
        return files

    monkeypatch.setattr(Firehose, "_write_files", write_slowly)
    slow.land_everything()
    assert landed(lake) == ["a", "b", "c"]


def test_entries_wait_for_their_time_or_their_number(
    store: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a")
    milliseconds = int(store.xrange(KEYS.enriched)[0][0].split(b"-")[0])
    firehose = Firehose(store, lake, "shop", land_seconds=60)
    for seconds, number in ((59.999, 0), (60.0, 1)):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: milliseconds / 1000 + seconds)
        assert firehose.land_if_due(firehose._landings[0]) == number
    put(store, "b")
    large = Firehose(
        store, lake, "shop", land_seconds=1e9, land_bytes=store.memory_usage(KEYS.enriched)
    )
    assert large.land_if_due(large._landings[0]) == 1
    put(store, "c")
    larger = Firehose(
        store, lake, "shop", land_seconds=1e9, land_bytes=1 + store.memory_usage(KEYS.enriched)
    )
    assert larger.land_if_due(larger._landings[0]) == 0


def test_a_lake_that_is_away_leaves_the_events_in_the_stream(store: Any, tmp_path: Path) -> None:
    put(store, "a")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError):
        Firehose(store, Lake.open(str(tmp_path / "file"), "shop"), "shop").land_everything()
    assert store.xlen(KEYS.enriched) == 1


def test_compaction_keeps_the_position(store: Any, lake: Lake) -> None:
    for number in range(6):
        put(store, str(number))
        Firehose(store, lake, "shop").land_everything()
    assert compact_table(lake, "events")["files_after"] == 1
    put(store, "6")
    Firehose(store, lake, "shop").land_everything()
    assert landed(lake) == [str(number) for number in range(7)]


def test_an_entry_that_the_table_can_not_hold_is_a_dead_letter_and_stops_no_other(
    store: Any, lake: Lake
) -> None:
    put(store, "a")
    put(store, "b", position=2**40)
    put(store, "c", position=2**31 - 1)
    store.xadd(KEYS.enriched, {"e": b'{"id": "d"}'})
    put(store, "e", time=1e300)
    put(store, "f")
    Firehose(store, lake, "shop").land_everything()
    assert landed(lake) == ["a", "c", "f"]
    assert store.xlen(KEYS.enriched) == 0
    dead = lake.rows("dead_events")
    assert dead is not None
    reasons = sorted(dead.to_table()["reason"].to_pylist())
    assert len(reasons) == 3
    assert reasons[2].startswith("the table events can't hold it: ")
    assert all("of the stream holds no record" in reason for reason in reasons[:2])


def test_a_firehose_survives_what_nobody_thought_of(
    store: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a")
    firehose, stop, calls = Firehose(store, lake, "shop", land_seconds=0), threading.Event(), [0]
    land_if_due = firehose.land_if_due

    def fail_at_first(landing: Any) -> int:
        calls[0] += 1
        if calls[0] == 1:
            raise RuntimeError("a fault of another library")
        stop.set()
        return land_if_due(landing)

    monkeypatch.setattr(firehose, "land_if_due", fail_at_first)
    firehose.run(stop, lambda: None)
    assert landed(lake) == ["a"]
